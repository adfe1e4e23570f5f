//! What a schema says of itself: `__schema` and `__type`.

use std::sync::LazyLock;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::document::TypeRef;
use super::schema::{Field, Input, Kind, Schema};
use super::validate::condition;
use super::{Asked, Error, Object, Resolved};

/// The types that describe types. `Query` has what every root of queries has besides its own fields.
static META: LazyLock<Schema> = LazyLock::new(|| {
    let text = "
        type Query { __schema: __Schema! __type(name: String!): __Type }
        type __Schema { description: String types: [__Type!]! queryType: __Type! mutationType: __Type
            subscriptionType: __Type directives: [__Directive!]! }
        type __Type { kind: String! name: String description: String specifiedByURL: String isOneOf: Boolean
            fields(includeDeprecated: Boolean): [__Field!] interfaces: [__Type!] possibleTypes: [__Type!]
            enumValues(includeDeprecated: Boolean): [__EnumValue!]
            inputFields(includeDeprecated: Boolean): [__InputValue!] ofType: __Type }
        type __Field { name: String! description: String args(includeDeprecated: Boolean): [__InputValue!]!
            type: __Type! isDeprecated: Boolean! deprecationReason: String }
        type __InputValue { name: String! description: String type: __Type! defaultValue: String
            isDeprecated: Boolean! deprecationReason: String }
        type __EnumValue { name: String! description: String isDeprecated: Boolean! deprecationReason: String }
        type __Directive { name: String! description: String isRepeatable: Boolean! locations: [String!]!
            args(includeDeprecated: Boolean): [__InputValue!]! }";
    Schema::parse(text).expect("the text is a constant, which a test reads")
});

/// A field of an object, or of what describes types.
pub(super) fn field<'s>(schema: &'s Schema, object: &str, name: &str) -> Option<&'s Field> {
    match name.starts_with("__") || object.starts_with("__") {
        true => META.field(object, name),
        false => schema.field(object, name),
    }
}

/// Whether what has this type has fields to select.
pub(super) fn is_object(schema: &Schema, name: &str) -> bool {
    schema.is_object(name) || META.is_object(name)
}

/// What `__schema` or `__type` comes to.
pub(super) fn resolve<'s>(schema: &'s Schema, asked: &Asked<'_>) -> Resolved<'s> {
    match asked.name {
        "__schema" => Resolved::object(Whole(schema)),
        _ => named(schema, asked.required("name")),
    }
}

fn named<'s>(schema: &'s Schema, name: &str) -> Resolved<'s> {
    let found = schema.types.get_key_value(name);
    Resolved::maybe(found.map(|(name, kind)| Named { schema, name, kind }))
}

fn of_ref<'s>(schema: &'s Schema, ty: &'s TypeRef) -> Resolved<'s> {
    match ty {
        TypeRef::Named(name) => named(schema, name),
        TypeRef::List(of) => Resolved::object(Wrapped { schema, kind: "LIST", of }),
        TypeRef::NonNull(of) => Resolved::object(Wrapped { schema, kind: "NON_NULL", of }),
    }
}

struct Whole<'s>(&'s Schema);

impl Object for Whole<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        let schema = self.0;
        let found = match asked.name {
            "types" => Resolved::List(schema.types.keys().map(|name| named(schema, name)).collect()),
            "queryType" => named(schema, Schema::root(false)),
            "mutationType" => named(schema, Schema::root(true)),
            "directives" => {
                Resolved::List(["include", "skip"].map(|name| Resolved::object(Directive { schema, name })).into())
            }
            _ => Resolved::NULL,
        };
        async { Ok(found) }.boxed()
    }
}

struct Directive<'s> {
    schema: &'s Schema,
    name: &'static str,
}

/// The condition of both directives.
static CONDITION: LazyLock<Vec<Input>> = LazyLock::new(|| vec![condition()]);

impl Object for Directive<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        let found = match asked.name {
            "name" => Resolved::json(self.name),
            "isRepeatable" => Resolved::json(false),
            "locations" => Resolved::Json(json!(["FIELD", "FRAGMENT_SPREAD", "INLINE_FRAGMENT"])),
            "args" => inputs(self.schema, &CONDITION),
            _ => Resolved::NULL,
        };
        async { Ok(found) }.boxed()
    }
}

struct Wrapped<'s> {
    schema: &'s Schema,
    kind: &'static str,
    of: &'s TypeRef,
}

impl Object for Wrapped<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        let found = match asked.name {
            "kind" => Resolved::json(self.kind),
            "ofType" => of_ref(self.schema, self.of),
            _ => Resolved::NULL,
        };
        async { Ok(found) }.boxed()
    }
}

struct Named<'s> {
    schema: &'s Schema,
    name: &'s str,
    kind: &'s Kind,
}

impl Object for Named<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        let schema = self.schema;
        let found = match (asked.name, self.kind) {
            ("name", _) => Resolved::json(self.name),
            ("kind", Kind::Scalar) => Resolved::json("SCALAR"),
            ("kind", Kind::Object(_)) => Resolved::json("OBJECT"),
            ("kind", Kind::Input(_)) => Resolved::json("INPUT_OBJECT"),
            ("kind", Kind::Enum(_)) => Resolved::json("ENUM"),
            ("fields", Kind::Object(fields)) => {
                let described = |field: &'a Field| {
                    let Field { name, ty, arguments, .. } = field;
                    Resolved::object(Described { schema, name, ty, arguments })
                };
                Resolved::List(fields.iter().map(described).collect())
            }
            ("interfaces", Kind::Object(_)) => Resolved::List(Vec::new()),
            ("inputFields", Kind::Input(fields)) => inputs(schema, fields),
            ("isOneOf", Kind::Input(_)) => Resolved::json(false),
            ("enumValues", Kind::Enum(values)) => {
                let value = |name: &String| json!({ "name": name, "isDeprecated": false });
                Resolved::Json(Value::Array(values.iter().map(value).collect()))
            }
            _ => Resolved::NULL,
        };
        async { Ok(found) }.boxed()
    }
}

/// A field, or what may be given to one; that has no arguments.
struct Described<'s> {
    schema: &'s Schema,
    name: &'s str,
    ty: &'s TypeRef,
    arguments: &'s [Input],
}

impl Object for Described<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        let found = match asked.name {
            "name" => Resolved::json(self.name),
            "args" => inputs(self.schema, self.arguments),
            "type" => of_ref(self.schema, self.ty),
            "isDeprecated" => Resolved::json(false),
            _ => Resolved::NULL,
        };
        async { Ok(found) }.boxed()
    }
}

fn inputs<'s>(schema: &'s Schema, inputs: &'s [Input]) -> Resolved<'s> {
    let described = |Input { name, ty, .. }: &'s Input| Described { schema, name, ty, arguments: &[] };
    Resolved::List(inputs.iter().map(|input| Resolved::object(described(input))).collect())
}
