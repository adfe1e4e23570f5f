//! A schema: types by name, read from text in the schema language.

use std::collections::BTreeMap;

use super::Error;
use super::document::{TypeRef, type_ref};
use super::text::Words;

/// An argument, or a field of an input.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) ty: TypeRef,
}

/// A field of an object.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) arguments: Vec<Input>,
    pub(super) ty: TypeRef,
}

/// What a type is.
pub(super) enum Kind {
    Scalar,
    Object(Vec<Field>),
    Input(Vec<Input>),
    Enum(Vec<String>),
}

/// Types by name. `Query` and `Mutation` are the roots.
pub struct Schema {
    pub(super) types: BTreeMap<String, Kind>,
    text: String,
}

const SCALARS: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

impl Schema {
    /// Reads a schema; every type that it names must be there.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut words = Words::read(text)?;
        let mut types: BTreeMap<String, Kind> =
            SCALARS.into_iter().map(|name| (name.to_owned(), Kind::Scalar)).collect();
        while !words.is_empty() {
            let kind = words.name()?;
            let name = words.name()?;
            let ty = match kind.as_str() {
                "scalar" => Kind::Scalar,
                "type" => Kind::Object(braced(&mut words, field)?),
                "input" => Kind::Input(braced(&mut words, input)?),
                "enum" => Kind::Enum(braced(&mut words, Words::name)?),
                other => return Err(Error::new(format!("{other:?} is no kind of type"))),
            };
            if types.insert(name.clone(), ty).is_some() {
                return Err(Error::new(format!("there are two types {name:?}")));
            }
        }
        let schema = Self { types, text: text.to_owned() };
        schema.check()?;
        Ok(schema)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the root of queries, or of mutations.
    pub(super) const fn root(is_mutation: bool) -> &'static str {
        if is_mutation { "Mutation" } else { "Query" }
    }

    /// A field of an object.
    pub(super) fn field(&self, object: &str, name: &str) -> Option<&Field> {
        match self.types.get(object)? {
            Kind::Object(fields) => fields.iter().find(|field| field.name == name),
            _ => None,
        }
    }

    /// Whether what has this type has fields to select.
    pub(super) fn is_object(&self, name: &str) -> bool {
        matches!(self.types.get(name), Some(Kind::Object(_)))
    }

    fn check(&self) -> Result<(), Error> {
        let named = self.types.values().flat_map(|kind| match kind {
            Kind::Object(fields) => {
                let arguments = fields.iter().flat_map(|field| &field.arguments);
                let arguments = arguments.map(|argument| argument.ty.inner());
                fields.iter().map(|field| field.ty.inner()).chain(arguments).collect()
            }
            Kind::Input(fields) => fields.iter().map(|field| field.ty.inner()).collect(),
            Kind::Scalar | Kind::Enum(_) => Vec::new(),
        });
        match named.chain(["Query"]).find(|name| !self.types.contains_key(*name)) {
            Some(missing) => Err(Error::new(format!("there is no type {missing:?}"))),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema").field("types", &self.types.len()).finish_non_exhaustive()
    }
}

fn braced<T>(words: &mut Words, one: fn(&mut Words) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    words.expect("{")?;
    let mut found = Vec::new();
    while !words.takes("}") {
        found.push(one(words)?);
    }
    Ok(found)
}

fn field(words: &mut Words) -> Result<Field, Error> {
    let name = words.name()?;
    let mut arguments = Vec::new();
    if words.takes("(") {
        while !words.takes(")") {
            arguments.push(input(words)?);
        }
    }
    words.expect(":")?;
    Ok(Field { name, arguments, ty: type_ref(words, 0)? })
}

fn input(words: &mut Words) -> Result<Input, Error> {
    let name = words.name()?;
    words.expect(":")?;
    Ok(Input { name, ty: type_ref(words, 0)? })
}
