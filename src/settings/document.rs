//! A tree of settings in which every name and value knows where it was written.

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::mistake::{Lines, Mistake, Place};

/// A value and the place of its text.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value was written.
    pub place: Place,
    /// What was written.
    pub raw: Raw,
}

/// What a settings file can hold.
#[derive(Clone, Debug)]
pub enum Raw {
    /// A TOML string.
    Text(String),
    /// The text of an environment variable, which may stand for any scalar or for a comma-separated list.
    Variable(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// A number with a fraction, or a date: no setting takes one.
    Other(String),
    /// `[…]`.
    List(Vec<Node>),
    /// A table, in the order in which it was written.
    Table(Vec<Entry>),
}

/// A name in a table and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name, unquoted.
    pub name: String,
    /// Where the name was written.
    pub place: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// A table with nothing in it.
    pub fn empty(place: Place) -> Self {
        Self { place, raw: Raw::Table(Vec::new()) }
    }

    /// Reads TOML. `file` is the name that mistakes are reported under.
    ///
    /// # Errors
    /// The first error of syntax, with its place.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, Mistake> {
        let lines = Lines::of(text);
        let document = Document::parse(text).map_err(|error| {
            let position = error.span().map(|span| lines.position(span.start));
            let problem = error.message().trim().replace('\n', ", ");
            Place { file: file.to_owned(), position }.mistake("", problem)
        })?;
        let reader = Reader { file, lines };
        Ok(Self { place: Place::whole(file), raw: reader.table(document.as_table()) })
    }

    /// Sets the value at `path` to the text of environment variable `variable`, making tables on the way.
    ///
    /// Names are compared with `-` and `_` alike and without regard to case, so that `MOGR_BUCKETS__MY_PHOTOS__URL`
    /// reaches `[buckets.my-photos]`. A name that is not there yet is added as `path` spells it.
    pub fn set_variable(&mut self, path: &[String], variable: &str, text: String) {
        let place = Place::whole(variable);
        let Some((name, rest)) = path.split_first() else {
            *self = Self { place, raw: Raw::Variable(text) };
            return;
        };
        if !matches!(self.raw, Raw::Table(_)) {
            *self = Self::empty(place.clone());
        }
        let Raw::Table(entries) = &mut self.raw else { return };
        let index = entries.iter().position(|entry| same_name(&entry.name, name)).unwrap_or_else(|| {
            entries.push(Entry { name: name.clone(), place: place.clone(), node: Self::empty(place.clone()) });
            entries.len() - 1
        });
        let entry = &mut entries[index];
        if rest.is_empty() {
            entry.place = place;
        }
        entry.node.set_variable(rest, variable, text);
    }

    /// The value as a person would quote it in a message.
    pub fn shown(&self) -> String {
        match &self.raw {
            Raw::Text(text) | Raw::Variable(text) => format!("{text:?}"),
            Raw::Integer(number) => number.to_string(),
            Raw::Bool(flag) => flag.to_string(),
            Raw::Other(text) => text.clone(),
            Raw::List(_) => "a list".to_owned(),
            Raw::Table(_) => "a table".to_owned(),
        }
    }
}

fn same_name(a: &str, b: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    a == b || plain(a) == plain(b)
}

struct Reader<'a> {
    file: &'a str,
    lines: Lines<'a>,
}

impl Reader<'_> {
    fn place(&self, span: Option<std::ops::Range<usize>>) -> Place {
        Place { file: self.file.to_owned(), position: span.map(|span| self.lines.position(span.start)) }
    }

    fn table(&self, table: &dyn TableLike) -> Raw {
        let entry = |(name, item): (&str, &Item)| {
            let place = self.place(table.key(name).and_then(toml_edit::Key::span));
            let mut node = self.item(item)?;
            if node.place.position.is_none() {
                node.place = place.clone();
            }
            Some(Entry { name: name.to_owned(), place, node })
        };
        Raw::Table(table.iter().filter_map(entry).collect())
    }

    fn item(&self, item: &Item) -> Option<Node> {
        let place = self.place(item.span());
        let raw = match item {
            Item::None => return None,
            Item::Value(value) => return Some(self.value(value)),
            Item::Table(table) => self.table(table),
            Item::ArrayOfTables(tables) => {
                let node = |table: &Table| Node { place: self.place(table.span()), raw: self.table(table) };
                Raw::List(tables.iter().map(node).collect())
            }
        };
        Some(Node { place, raw })
    }

    fn value(&self, value: &Value) -> Node {
        let raw = match value {
            Value::String(text) => Raw::Text(text.value().clone()),
            Value::Integer(number) => Raw::Integer(*number.value()),
            Value::Boolean(flag) => Raw::Bool(*flag.value()),
            Value::Float(number) => Raw::Other(number.value().to_string()),
            Value::Datetime(date) => Raw::Other(date.value().to_string()),
            Value::Array(list) => Raw::List(list.iter().map(|value| self.value(value)).collect()),
            Value::InlineTable(table) => self.table(table),
        };
        Node { place: self.place(value.span()), raw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Position;

    fn at(entry: &Entry) -> (usize, usize, usize, usize) {
        let (name, value) = (entry.place.position.unwrap(), entry.node.place.position.unwrap());
        (name.line, name.column, value.line, value.column)
    }

    #[test]
    fn names_and_values_keep_their_places() {
        let text = "a = 1\n\n[t]\n  b = [\n    2, 3]\nc.d = true\n[[e]]\n";
        let Raw::Table(entries) = Node::from_toml("f", text).unwrap().raw else { panic!("not a table") };
        assert_eq!(at(&entries[0]), (1, 1, 1, 5));
        let Raw::Table(inner) = &entries[1].node.raw else { panic!("not a table") };
        assert_eq!(at(&inner[0]), (4, 3, 4, 7));
        let Raw::List(items) = &inner[0].node.raw else { panic!("not a list") };
        assert_eq!(items[0].place.position, Some(Position { line: 5, column: 5 }));
        let Raw::Table(dotted) = &inner[1].node.raw else { panic!("not a table") };
        assert_eq!(at(&dotted[0]), (6, 3, 6, 7));
    }

    #[test]
    fn syntax_errors_have_a_line() {
        let mistake = Node::from_toml("f.toml", "a = 1\nb = \n").unwrap_err();
        assert_eq!((mistake.file.as_str(), mistake.position.unwrap().line), ("f.toml", 2), "{mistake}");
    }
}
