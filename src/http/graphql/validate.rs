//! Checks an operation against the schema before anything of it is executed.

use std::collections::HashMap;

use super::document::{Directive, Document, FieldNode, Literal, Operation, Selection, TypeRef};
use super::input::{Reader, Variables};
use super::schema::{Input, Schema};
use super::{Error, MAX_DEPTH, MAX_FIELDS};

/// Checks all that an operation selects: fields, arguments, fragments, and how much it is.
pub(super) fn validate(
    schema: &Schema,
    document: &Document,
    operation: &Operation,
    variables: &Variables,
) -> Result<(), Error> {
    let mut check = Check { schema, document, operation, reader: Reader { schema, variables }, fields: 0 };
    let root = Schema::root(operation.is_mutation);
    if !schema.is_object(root) {
        return Err(Error::new("there are no mutations"));
    }
    check.selections(&operation.selections, root, 0, &mut HashMap::new())
}

struct Check<'a> {
    schema: &'a Schema,
    document: &'a Document,
    operation: &'a Operation,
    reader: Reader<'a>,
    fields: usize,
}

/// What stands under each name of an answer.
type Keys<'a> = HashMap<&'a str, &'a FieldNode>;

impl<'a> Check<'a> {
    fn selections(
        &mut self,
        selections: &'a [Selection],
        object: &str,
        depth: usize,
        keys: &mut Keys<'a>,
    ) -> Result<(), Error> {
        // Also ends fragments that spread themselves.
        if depth > MAX_DEPTH {
            return Err(Error::new(format!("the operation is nested more than {MAX_DEPTH} deep")));
        }
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    self.directives(&field.directives)?;
                    self.field(field, object, depth, keys)?;
                }
                Selection::Spread { fragment, directives } => {
                    self.directives(directives)?;
                    let found = self.document.fragments.get(fragment);
                    let found = found.ok_or_else(|| Error::new(format!("there is no fragment {fragment:?}")))?;
                    self.fits(&found.on, object)?;
                    self.count()?;
                    self.selections(&found.selections, object, depth + 1, keys)?;
                }
                Selection::Inline { on, directives, selections } => {
                    self.directives(directives)?;
                    self.fits(on.as_deref().unwrap_or(object), object)?;
                    self.count()?;
                    self.selections(selections, object, depth + 1, keys)?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Error> {
        self.fields += 1;
        match self.fields > MAX_FIELDS {
            true => Err(Error::new(format!("the operation selects more than {MAX_FIELDS} fields"))),
            false => Ok(()),
        }
    }

    /// Without interfaces and unions a fragment fits the very type that it is on.
    fn fits(&self, on: &str, object: &str) -> Result<(), Error> {
        match on == object {
            true => Ok(()),
            false => Err(Error::new(format!("a fragment on {on:?} cannot be spread in {object:?}"))),
        }
    }

    fn field(&mut self, node: &'a FieldNode, object: &str, depth: usize, keys: &mut Keys<'a>) -> Result<(), Error> {
        self.count()?;
        let other = *keys.entry(&node.key).or_insert(node);
        if other.name != node.name || other.arguments != node.arguments {
            return Err(Error::new(format!("{:?} stands for two different fields of {object:?}", node.key)));
        }
        if node.name == "__typename" {
            return self.leaf(node, "String");
        }
        let of = format!("field {:?} of type {object:?}", node.name);
        let field = super::introspect::field(self.schema, object, &node.name)
            .ok_or_else(|| Error::new(format!("there is no {of}")))?;
        self.arguments(&node.arguments, &field.arguments, &of)?;
        let inner = field.ty.inner();
        if !super::introspect::is_object(self.schema, inner) {
            return self.leaf(node, inner);
        }
        if node.selections.is_empty() {
            return Err(Error::new(format!("{of} has type {inner:?}; expected a selection of its fields")));
        }
        self.selections(&node.selections, inner, depth + 1, &mut Keys::new())
    }

    fn leaf(&self, node: &FieldNode, ty: &str) -> Result<(), Error> {
        match node.selections.is_empty() {
            true => Ok(()),
            false => Err(Error::new(format!("field {:?} has type {ty:?}, which has no fields", node.name))),
        }
    }

    fn arguments(&self, given: &[(String, Literal)], expected: &[Input], of: &str) -> Result<(), Error> {
        given.iter().try_for_each(|(_, literal)| self.declared(literal))?;
        self.reader.members(given, expected, false, of).map(|_| ())
    }

    /// Whether the variables in a value are those of the operation.
    fn declared(&self, literal: &Literal) -> Result<(), Error> {
        match literal {
            Literal::Variable(name) if self.operation.variables.iter().all(|known| known.name != *name) => {
                Err(Error::new(format!("variable ${name} is not declared")))
            }
            Literal::List(list) => list.iter().try_for_each(|one| self.declared(one)),
            Literal::Object(members) => members.iter().try_for_each(|(_, value)| self.declared(value)),
            _ => Ok(()),
        }
    }

    fn directives(&self, directives: &[Directive]) -> Result<(), Error> {
        for Directive { name, arguments } in directives {
            if !matches!(name.as_str(), "skip" | "include") {
                return Err(Error::new(format!("there is no directive @{name}")));
            }
            self.arguments(arguments, &[condition()], &format!("@{name}"))?;
        }
        Ok(())
    }
}

/// The argument of `@skip` and `@include`.
pub(super) fn condition() -> Input {
    let boolean = TypeRef::Named("Boolean".to_owned());
    Input { name: "if".to_owned(), ty: TypeRef::NonNull(Box::new(boolean)) }
}
