//! GraphQL as a server speaks it (specification of October 2021): documents are read, checked against a schema and executed.
//!
//! A schema is text in the schema language ([`schema::Schema::parse`]); what its fields come to is said by [`Object`]s, or by
//! JSON, whose members are then the fields. Queries and mutations, variables, aliases, fragments, `@skip`, `@include` and
//! introspection are done; subscriptions, interfaces, unions and descriptions are not, and a schema cannot have them.
//!
//! Nothing that a document says costs more than its limits: bytes, tokens, depth, and the number of fields with all fragments
//! written out. They are checked before anything is executed.

mod document;
mod execute;
mod input;
mod introspect;
pub mod schema;
mod text;
mod validate;

use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

pub use execute::execute;

/// Most bytes of a document.
pub const MAX_BYTES: usize = 64 << 10;

/// Most names, numbers, texts and signs of a document.
const MAX_TOKENS: usize = 10_000;

/// How deep selections, and values, may be nested. The introspection of common clients has 13.
const MAX_DEPTH: usize = 20;

/// Most fields of an operation, with all fragments written out.
const MAX_FIELDS: usize = 1000;

/// Why a document, or a field of it, comes to nothing; the text is safe for any caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The text.
    pub message: String,
    /// The number that the API has for it.
    pub code: Option<i32>,
}

impl Error {
    /// An error of this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: None }
    }

    /// The same, of this number.
    #[must_use]
    pub fn with_code(self, code: i32) -> Self {
        Self { code: Some(code), ..self }
    }

    /// As it stands in an answer.
    fn json(&self) -> Value {
        match self.code {
            None => json!({ "message": self.message }),
            Some(code) => json!({ "message": self.message, "extensions": { "code": code } }),
        }
    }
}

/// What a client asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The document.
    pub query: String,
    /// Values of its variables.
    pub variables: Map<String, Value>,
    /// Which of its operations is meant, where it has several.
    pub operation: Option<String>,
}

/// A field that is asked for, with its arguments as the schema has them.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its name in the schema.
    pub name: &'a str,
    /// Its arguments; those that were left out are missing.
    pub arguments: &'a Map<String, Value>,
    /// Names of the fields that are selected of it.
    pub selected: &'a [&'a str],
}

impl<'a> Asked<'a> {
    /// An argument that is a text, an id or a name of an enum.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.arguments.get(name)?.as_str()
    }

    /// An argument that is a text and must be there, as the schema says.
    pub fn required(&self, name: &str) -> &'a str {
        self.text(name).unwrap_or_default()
    }

    /// An argument that is a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.arguments.get(name)?.as_i64()
    }

    /// Whether that field is selected of this one.
    pub fn selects(&self, name: &str) -> bool {
        self.selected.contains(&name)
    }
}

/// What a field comes to.
pub enum Resolved<'a> {
    /// JSON; where the field's type is an object, its members are that object's fields, and missing ones are null.
    Json(Value),
    /// An object whose fields are worked out when they are asked for.
    Object(Box<dyn Object + 'a>),
    /// A list.
    List(Vec<Resolved<'a>>),
}

impl<'a> Resolved<'a> {
    /// Nothing.
    pub const NULL: Self = Self::Json(Value::Null);

    /// JSON.
    pub fn json(value: impl Into<Value>) -> Self {
        Self::Json(value.into())
    }

    /// An object.
    pub fn object(object: impl Object + 'a) -> Self {
        Self::Object(Box::new(object))
    }

    /// An object, or nothing.
    pub fn maybe(object: Option<impl Object + 'a>) -> Self {
        object.map_or(Self::NULL, Self::object)
    }
}

/// An object that knows its fields.
pub trait Object: Send + Sync {
    /// What a field comes to. Only fields of its type are asked for.
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>>;
}

/// The answer where nothing was executed.
pub fn refusal(error: &Error) -> Value {
    json!({ "errors": [error.json()] })
}

#[cfg(test)]
mod tests;
