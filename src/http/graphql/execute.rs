//! Executes a checked operation: fields one after the other, each with what it comes to.

use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::document::{Directive, Document, FieldNode, Literal, Selection, TypeRef};
use super::input::{self, Reader, Variables};
use super::schema::Schema;
use super::validate::{condition, validate};
use super::{Asked, Error, Object, Request, Resolved, introspect, refusal};

/// The answer to a request: `data`, and `errors` where there are any.
pub async fn execute(schema: &Schema, query: &dyn Object, mutation: &dyn Object, request: &Request) -> Value {
    match prepared(schema, request) {
        Ok((document, variables)) => {
            let run = Run { schema, document: &document, variables: &variables, errors: Mutex::default() };
            run.answer(request, query, mutation).await
        }
        Err(error) => refusal(&error),
    }
}

fn prepared(schema: &Schema, request: &Request) -> Result<(Document, Variables), Error> {
    let document = Document::parse(&request.query)?;
    let operation = document.operation(request.operation.as_deref())?;
    let variables = input::variables(schema, operation, &request.variables)?;
    validate(schema, &document, operation, &variables)?;
    Ok((document, variables))
}

struct Run<'r> {
    schema: &'r Schema,
    document: &'r Document,
    variables: &'r Variables,
    errors: Mutex<Vec<Value>>,
}

/// What has the fields.
#[derive(Clone, Copy)]
enum Source<'a> {
    Object(&'a dyn Object),
    Json(&'a Value),
}

/// Where in the answer something stands.
#[derive(Clone, Copy)]
struct Path<'p> {
    up: Option<&'p Path<'p>>,
    at: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

impl Path<'_> {
    fn json(&self) -> Vec<Value> {
        let mut path = self.up.map(Path::json).unwrap_or_default();
        path.push(match self.at {
            Step::Key(key) => key.into(),
            Step::Index(index) => index.into(),
        });
        path
    }
}

/// What must not be null is: so is what it stands in.
struct Missing;

impl Run<'_> {
    async fn answer(self, request: &Request, query: &dyn Object, mutation: &dyn Object) -> Value {
        let Ok(operation) = self.document.operation(request.operation.as_deref()) else { return Value::Null };
        let root = Source::Object(if operation.is_mutation { mutation } else { query });
        let data = self.object(root, Schema::root(operation.is_mutation), &[&operation.selections], None).await;
        let data = data.unwrap_or(Value::Null);
        let errors = self.errors.into_inner().unwrap_or_else(PoisonError::into_inner);
        if errors.is_empty() { json!({ "data": data }) } else { json!({ "data": data, "errors": errors }) }
    }

    fn fail(&self, error: &Error, path: Path<'_>) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = error.json();
        told["path"] = path.json().into();
        errors.push(told);
    }

    fn object<'f>(
        &'f self,
        source: Source<'f>,
        ty: &'f str,
        selections: &'f [&'f Vec<Selection>],
        path: Option<&'f Path<'f>>,
    ) -> BoxFuture<'f, Result<Value, Missing>> {
        async move {
            let mut fields = Vec::new();
            for selections in selections {
                self.collect(selections, &mut fields);
            }
            let mut answer = Map::new();
            for nodes in &fields {
                let key = nodes[0].key.as_str();
                let path = Path { up: path, at: Step::Key(key) };
                answer.insert(key.to_owned(), self.field(source, ty, nodes, path).await?);
            }
            Ok(Value::Object(answer))
        }
        .boxed()
    }

    /// Fields by their names in the answer, in order, those of one name together.
    fn collect<'f>(&'f self, selections: &'f [Selection], fields: &mut Vec<Vec<&'f FieldNode>>) {
        for selection in selections {
            match selection {
                Selection::Field(node) if self.is_wanted(&node.directives) => {
                    match fields.iter_mut().find(|nodes| nodes[0].key == node.key) {
                        Some(nodes) => nodes.push(node),
                        None => fields.push(vec![node]),
                    }
                }
                Selection::Spread { fragment, directives } if self.is_wanted(directives) => {
                    if let Some(fragment) = self.document.fragments.get(fragment) {
                        self.collect(&fragment.selections, fields);
                    }
                }
                Selection::Inline { directives, selections, .. } if self.is_wanted(directives) => {
                    self.collect(selections, fields);
                }
                _ => {}
            }
        }
    }

    fn is_wanted(&self, directives: &[Directive]) -> bool {
        directives.iter().all(|Directive { name, arguments }| {
            let condition = self.arguments(arguments, &[condition()]).get("if").and_then(Value::as_bool);
            condition.is_some_and(|holds| holds == (name == "include"))
        })
    }

    /// They were checked: nothing is left that could be wrong with them.
    fn arguments(&self, given: &[(String, Literal)], expected: &[super::schema::Input]) -> Map<String, Value> {
        let reader = Reader { schema: self.schema, variables: self.variables };
        reader.members(given, expected, false, "").unwrap_or_default()
    }

    async fn field(
        &self,
        source: Source<'_>,
        ty: &str,
        nodes: &[&FieldNode],
        path: Path<'_>,
    ) -> Result<Value, Missing> {
        let name = nodes[0].name.as_str();
        if name == "__typename" {
            return Ok(ty.into());
        }
        let Some(field) = introspect::field(self.schema, ty, name) else { return Ok(Value::Null) };
        let arguments = self.arguments(&nodes[0].arguments, &field.arguments);
        let selections: Vec<&Vec<Selection>> = nodes.iter().map(|node| &node.selections).collect();
        let mut selected = Vec::new();
        selections.iter().for_each(|selections| self.collect(selections, &mut selected));
        let selected: Vec<&str> = selected.iter().map(|nodes| nodes[0].name.as_str()).collect();
        let asked = Asked { name, arguments: &arguments, selected: &selected };
        let resolved = match source {
            _ if name.starts_with("__") => Ok(introspect::resolve(self.schema, &asked)),
            Source::Object(object) => object.resolve(asked).await,
            Source::Json(value) => Ok(Resolved::Json(value.get(name).cloned().unwrap_or_default())),
        };
        let resolved = resolved.unwrap_or_else(|error| {
            self.fail(&error, path);
            Resolved::NULL
        });
        self.complete(resolved, &field.ty, &selections, path).await
    }

    fn complete<'f>(
        &'f self,
        resolved: Resolved<'f>,
        ty: &'f TypeRef,
        selections: &'f [&'f Vec<Selection>],
        path: Path<'f>,
    ) -> BoxFuture<'f, Result<Value, Missing>> {
        async move {
            match ty {
                TypeRef::NonNull(of) => match self.complete(resolved, of, selections, path).await? {
                    Value::Null => Err(Missing),
                    value => Ok(value),
                },
                TypeRef::List(of) => Ok(self.list(resolved, of, selections, path).await.unwrap_or_default()),
                TypeRef::Named(name) => Ok(self.named(resolved, name, selections, path).await.unwrap_or_default()),
            }
        }
        .boxed()
    }

    async fn list(
        &self,
        resolved: Resolved<'_>,
        of: &TypeRef,
        selections: &[&Vec<Selection>],
        path: Path<'_>,
    ) -> Result<Value, Missing> {
        let list = match resolved {
            Resolved::List(list) => list,
            Resolved::Json(Value::Array(list)) => list.into_iter().map(Resolved::Json).collect(),
            _ => return Ok(Value::Null),
        };
        let mut answer = Vec::with_capacity(list.len());
        for (index, one) in list.into_iter().enumerate() {
            let path = Path { up: Some(&path), at: Step::Index(index) };
            answer.push(self.complete(one, of, selections, path).await?);
        }
        Ok(Value::Array(answer))
    }

    async fn named(
        &self,
        resolved: Resolved<'_>,
        name: &str,
        selections: &[&Vec<Selection>],
        path: Path<'_>,
    ) -> Result<Value, Missing> {
        match resolved {
            Resolved::Json(value) if value.is_object() => {
                self.object(Source::Json(&value), name, selections, Some(&path)).await
            }
            Resolved::Json(value) => Ok(value),
            Resolved::Object(object) => self.object(Source::Object(&*object), name, selections, Some(&path)).await,
            Resolved::List(_) => Ok(Value::Null),
        }
    }
}
