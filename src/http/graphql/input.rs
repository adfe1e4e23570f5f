//! Values that clients give, as the schema's types have them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Error;
use super::document::{Literal, Operation, TypeRef};
use super::schema::{Input, Kind, Schema};

/// The variables of an operation, as values that may stand in a document.
pub(super) type Variables = HashMap<String, Given>;

/// A value, and whether it came as JSON, which writes names of enums as texts.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) literal: Literal,
    pub(super) is_json: bool,
}

/// Reads input values.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) schema: &'a Schema,
    pub(super) variables: &'a Variables,
}

/// The variables that an operation declares, with the values that are given for them.
pub(super) fn variables(
    schema: &Schema,
    operation: &Operation,
    given: &Map<String, Value>,
) -> Result<Variables, Error> {
    let mut found = Variables::new();
    let none = Variables::new();
    for variable in &operation.variables {
        let name = &variable.name;
        if matches!(schema.types.get(variable.ty.inner()), None | Some(Kind::Object(_))) {
            return Err(Error::new(format!("variable ${name} has type {}; expected an input type", variable.ty)));
        }
        let value = match (given.get(name), &variable.default) {
            (Some(value), _) => Given { literal: literal_of(value), is_json: true },
            (None, Some(default)) => Given { literal: default.clone(), is_json: false },
            (None, None) => {
                if let TypeRef::NonNull(_) = variable.ty {
                    return Err(Error::new(format!("variable ${name} of type {} is missing", variable.ty)));
                }
                continue;
            }
        };
        let reader = Reader { schema, variables: &none };
        reader.value(&value.literal, &variable.ty, value.is_json, &format!("variable ${name}"))?;
        found.insert(name.clone(), value);
    }
    Ok(found)
}

fn literal_of(value: &Value) -> Literal {
    match value {
        Value::Null => Literal::Null,
        Value::Bool(value) => Literal::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Literal::Int(number),
            None => Literal::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Literal::Text(text.clone()),
        Value::Array(list) => Literal::List(list.iter().map(literal_of).collect()),
        Value::Object(members) => {
            Literal::Object(members.iter().map(|(name, value)| (name.clone(), literal_of(value))).collect())
        }
    }
}

impl Reader<'_> {
    /// Arguments, or members of an input, as `expected`; what is left out is missing.
    pub(super) fn members(
        &self,
        given: &[(String, Literal)],
        expected: &[Input],
        is_json: bool,
        of: &str,
    ) -> Result<Map<String, Value>, Error> {
        if let Some((name, _)) = given.iter().find(|(name, _)| expected.iter().all(|it| it.name != *name)) {
            return Err(Error::new(format!("{of} has no argument {name:?}")));
        }
        let mut found = Map::new();
        for Input { name, ty } in expected {
            let place = format!("{of}: {name}");
            let literal = given.iter().find(|(given, _)| given == name).map(|(_, literal)| literal);
            match literal {
                Some(literal) if !self.is_missing(literal) => {
                    found.insert(name.clone(), self.value(literal, ty, is_json, &place)?);
                }
                _ if matches!(ty, TypeRef::NonNull(_)) => {
                    return Err(Error::new(format!("{place} is missing; expected {ty}")));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// A variable without a value is as if it did not stand there.
    fn is_missing(&self, literal: &Literal) -> bool {
        matches!(literal, Literal::Variable(name) if !self.variables.contains_key(name))
    }

    pub(super) fn value(&self, literal: &Literal, ty: &TypeRef, is_json: bool, place: &str) -> Result<Value, Error> {
        if let Literal::Variable(name) = literal {
            return match self.variables.get(name) {
                Some(given) => self.value(&given.literal, ty, given.is_json, place),
                None => self.value(&Literal::Null, ty, is_json, place),
            };
        }
        match (ty, literal) {
            (TypeRef::NonNull(_), Literal::Null) => Err(Error::new(format!("{place} is null; expected {ty}"))),
            (TypeRef::NonNull(of), _) => self.value(literal, of, is_json, place),
            (_, Literal::Null) => Ok(Value::Null),
            (TypeRef::List(of), Literal::List(list)) => {
                list.iter().map(|one| self.value(one, of, is_json, place)).collect::<Result<_, _>>().map(Value::Array)
            }
            (TypeRef::List(of), one) => Ok(json!([self.value(one, of, is_json, place)?])),
            (TypeRef::Named(name), _) => self.named(literal, name, is_json, place),
        }
    }

    fn named(&self, literal: &Literal, name: &str, is_json: bool, place: &str) -> Result<Value, Error> {
        let wrong = || Error::new(format!("{place} is {}; expected {name}", shown(literal)));
        match (self.schema.types.get(name), literal) {
            (Some(Kind::Enum(values)), Literal::Enum(value) | Literal::Text(value)) => {
                let is_written_so = matches!(literal, Literal::Enum(_)) != is_json;
                let known = is_written_so && values.contains(value);
                let expected = || Error::new(format!("{place} is {value:?}; expected one of {}", values.join(", ")));
                known.then(|| json!(value)).ok_or_else(expected)
            }
            (Some(Kind::Input(fields)), Literal::Object(members)) => {
                self.members(members, fields, is_json, place).map(Value::Object)
            }
            (Some(Kind::Scalar), literal) => scalar(name, literal).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

fn scalar(name: &str, literal: &Literal) -> Option<Value> {
    match (name, literal) {
        ("Int", Literal::Int(number)) => i32::try_from(*number).ok().map(Value::from),
        ("Float", Literal::Int(number)) => Some(json!(number)),
        ("Float", Literal::Float(number)) => Some(json!(number)),
        ("Boolean", Literal::Bool(value)) => Some(json!(value)),
        ("ID", Literal::Int(number)) => Some(json!(number.to_string())),
        ("Int" | "Float" | "Boolean", _) => None,
        (_, Literal::Text(text)) => Some(json!(text)),
        _ => None,
    }
}

fn shown(literal: &Literal) -> String {
    const MOST: usize = 40;
    let short: fn(&str) -> String = |text| text.chars().take(MOST).collect();
    match literal {
        Literal::Null => "null".to_owned(),
        Literal::Bool(value) => value.to_string(),
        Literal::Int(number) => number.to_string(),
        Literal::Float(number) => number.to_string(),
        Literal::Text(text) => format!("{:?}", short(text)),
        Literal::Enum(name) => short(name),
        Literal::Variable(name) => format!("${name}"),
        Literal::List(_) => "a list".to_owned(),
        Literal::Object(_) => "an object".to_owned(),
    }
}
