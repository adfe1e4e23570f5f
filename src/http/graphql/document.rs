//! A document as it is written: operations, fragments, selections, values.

use std::collections::HashMap;

use super::text::{Token, Words};
use super::{Error, MAX_BYTES, MAX_DEPTH};

/// A value as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Enum(String),
    Variable(String),
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
}

/// A type as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TypeRef {
    Named(String),
    List(Box<TypeRef>),
    NonNull(Box<TypeRef>),
}

impl TypeRef {
    /// The name within.
    pub(super) fn inner(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::List(of) | Self::NonNull(of) => of.inner(),
        }
    }
}

impl std::fmt::Display for TypeRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::List(of) => write!(f, "[{of}]"),
            Self::NonNull(of) => write!(f, "{of}!"),
        }
    }
}

/// `@skip` and `@include`; there are no others.
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<(String, Literal)>,
}

pub(super) struct FieldNode {
    /// What it is called in the answer.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) arguments: Vec<(String, Literal)>,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
}

pub(super) enum Selection {
    Field(FieldNode),
    Spread { fragment: String, directives: Vec<Directive> },
    Inline { on: Option<String>, directives: Vec<Directive>, selections: Vec<Selection> },
}

pub(super) struct Variable {
    pub(super) name: String,
    pub(super) ty: TypeRef,
    pub(super) default: Option<Literal>,
}

pub(super) struct Operation {
    pub(super) is_mutation: bool,
    pub(super) name: Option<String>,
    pub(super) variables: Vec<Variable>,
    pub(super) selections: Vec<Selection>,
}

pub(super) struct Fragment {
    pub(super) on: String,
    pub(super) selections: Vec<Selection>,
}

#[derive(Default)]
pub(super) struct Document {
    pub(super) operations: Vec<Operation>,
    pub(super) fragments: HashMap<String, Fragment>,
}

impl Document {
    /// Reads a document.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::new(format!("the document has {} bytes; expected at most {MAX_BYTES}", text.len())));
        }
        let mut words = Words::read(text)?;
        let mut document = Self::default();
        while !words.is_empty() {
            document.read_definition(&mut words)?;
        }
        Ok(document)
    }

    /// The operation of that name, or the only one.
    pub(super) fn operation(&self, name: Option<&str>) -> Result<&Operation, Error> {
        match (name, self.operations.as_slice()) {
            (Some(name), operations) => {
                let found = operations.iter().find(|operation| operation.name.as_deref() == Some(name));
                found.ok_or_else(|| Error::new(format!("the document has no operation {name:?}")))
            }
            (None, [only]) => Ok(only),
            (None, []) => Err(Error::new("the document has no operation")),
            (None, _) => Err(Error::new("the document has several operations; expected operationName")),
        }
    }

    fn read_definition(&mut self, words: &mut Words) -> Result<(), Error> {
        if words.takes_name("fragment") {
            let name = words.name()?;
            if !words.takes_name("on") {
                return Err(words.unexpected("on"));
            }
            let fragment = Fragment { on: words.name()?, selections: Vec::new() };
            read_directives(words)?;
            let fragment = Fragment { selections: selections(words, 0)?, ..fragment };
            return match self.fragments.insert(name.clone(), fragment) {
                Some(_) => Err(Error::new(format!("the document has two fragments {name:?}"))),
                None => Ok(()),
            };
        }
        let operation = read_operation(words)?;
        let is_taken = |other: &Operation| other.name.is_none() || other.name == operation.name;
        if operation.name.is_none() && !self.operations.is_empty() || self.operations.iter().any(is_taken) {
            return Err(Error::new("the operations of the document do not have names of their own"));
        }
        self.operations.push(operation);
        Ok(())
    }
}

fn read_operation(words: &mut Words) -> Result<Operation, Error> {
    if matches!(words.peek(), Some(Token::Sign("{"))) {
        let selections = selections(words, 0)?;
        return Ok(Operation { is_mutation: false, name: None, variables: Vec::new(), selections });
    }
    if words.takes_name("subscription") {
        return Err(Error::new("subscriptions are not done"));
    }
    let is_mutation = words.takes_name("mutation");
    if !is_mutation && !words.takes_name("query") {
        return Err(words.unexpected("query, mutation or fragment"));
    }
    let name = if let Some(Token::Name(_)) = words.peek() { Some(words.name()?) } else { None };
    let mut variables = Vec::new();
    if words.takes("(") {
        while !words.takes(")") {
            variables.push(read_variable(words)?);
        }
    }
    read_directives(words)?;
    Ok(Operation { is_mutation, name, variables, selections: selections(words, 0)? })
}

fn read_variable(words: &mut Words) -> Result<Variable, Error> {
    words.expect("$")?;
    let name = words.name()?;
    words.expect(":")?;
    let ty = type_ref(words, 0)?;
    let default = if words.takes("=") { Some(literal(words, 0)?) } else { None };
    read_directives(words)?;
    Ok(Variable { name, ty, default })
}

/// Reads a type.
pub(super) fn type_ref(words: &mut Words, depth: usize) -> Result<TypeRef, Error> {
    check_depth(depth)?;
    let of = if words.takes("[") {
        let of = type_ref(words, depth + 1)?;
        words.expect("]")?;
        TypeRef::List(Box::new(of))
    } else {
        TypeRef::Named(words.name()?)
    };
    Ok(if words.takes("!") { TypeRef::NonNull(Box::new(of)) } else { of })
}

fn selections(words: &mut Words, depth: usize) -> Result<Vec<Selection>, Error> {
    check_depth(depth)?;
    words.expect("{")?;
    let mut found = vec![selection(words, depth)?];
    while !words.takes("}") {
        found.push(selection(words, depth)?);
    }
    Ok(found)
}

fn selection(words: &mut Words, depth: usize) -> Result<Selection, Error> {
    if !words.takes("...") {
        return Ok(Selection::Field(read_field(words, depth)?));
    }
    let is_spread = matches!(words.peek(), Some(Token::Name(name)) if name != "on");
    if is_spread {
        return Ok(Selection::Spread { fragment: words.name()?, directives: read_directives(words)? });
    }
    let on = if words.takes_name("on") { Some(words.name()?) } else { None };
    let directives = read_directives(words)?;
    Ok(Selection::Inline { on, directives, selections: selections(words, depth + 1)? })
}

fn read_field(words: &mut Words, depth: usize) -> Result<FieldNode, Error> {
    let key = words.name()?;
    let name = if words.takes(":") { words.name()? } else { key.clone() };
    let arguments = read_arguments(words)?;
    let directives = read_directives(words)?;
    let has_more = matches!(words.peek(), Some(Token::Sign("{")));
    let selections = if has_more { selections(words, depth + 1)? } else { Vec::new() };
    Ok(FieldNode { key, name, arguments, directives, selections })
}

fn read_arguments(words: &mut Words) -> Result<Vec<(String, Literal)>, Error> {
    let mut found: Vec<(String, Literal)> = Vec::new();
    if words.takes("(") {
        while !words.takes(")") {
            let name = words.name()?;
            words.expect(":")?;
            if found.iter().any(|(other, _)| *other == name) {
                return Err(Error::new(format!("argument {name:?} is given twice")));
            }
            found.push((name, literal(words, 0)?));
        }
    }
    Ok(found)
}

fn read_directives(words: &mut Words) -> Result<Vec<Directive>, Error> {
    let mut found = Vec::new();
    while words.takes("@") {
        found.push(Directive { name: words.name()?, arguments: read_arguments(words)? });
    }
    Ok(found)
}

fn literal(words: &mut Words, depth: usize) -> Result<Literal, Error> {
    check_depth(depth)?;
    if words.takes("$") {
        return Ok(Literal::Variable(words.name()?));
    }
    if words.takes("[") {
        let mut list = Vec::new();
        while !words.takes("]") {
            list.push(literal(words, depth + 1)?);
        }
        return Ok(Literal::List(list));
    }
    if words.takes("{") {
        let mut members = Vec::new();
        while !words.takes("}") {
            let name = words.name()?;
            words.expect(":")?;
            members.push((name, literal(words, depth + 1)?));
        }
        return Ok(Literal::Object(members));
    }
    if matches!(words.peek(), None | Some(Token::Sign(_))) {
        return Err(words.unexpected("a value"));
    }
    Ok(match words.next() {
        Some(Token::Int(number)) => Literal::Int(number),
        Some(Token::Float(number)) => Literal::Float(number),
        Some(Token::Text(text)) => Literal::Text(text),
        Some(Token::Name(name)) => match name.as_str() {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "null" => Literal::Null,
            _ => Literal::Enum(name),
        },
        Some(Token::Sign(_)) | None => Literal::Null,
    })
}

fn check_depth(depth: usize) -> Result<(), Error> {
    match depth < MAX_DEPTH {
        true => Ok(()),
        false => Err(Error::new(format!("the document is nested more than {MAX_DEPTH} deep"))),
    }
}
