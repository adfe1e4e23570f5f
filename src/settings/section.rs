//! A table of settings, from which typed values are taken by name; what nobody took is an unknown key.

use super::document::{Entry, Node, Raw};
use super::mistake::{Mistake, Place, Report};
use super::value::Setting;

/// A value with the place where it was written, for mistakes that show only beside other settings.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub place: Place,
    /// The setting's dotted name.
    pub key: String,
}

impl<T> Placed<T> {
    /// A mistake about this value.
    pub fn mistake(&self, problem: impl Into<String>) -> Mistake {
        self.place.mistake(&self.key, problem)
    }
}

/// A table that is being read. Drop it only by [`Section::finish`], which reports the keys that are left.
#[derive(Debug)]
pub struct Section<'a> {
    path: String,
    place: Place,
    entries: Vec<Entry>,
    known: Vec<&'static str>,
    report: &'a Report,
}

impl<'a> Section<'a> {
    /// The top of a document.
    pub fn root(node: Node, report: &'a Report) -> Self {
        Self::new(String::new(), node, report)
    }

    fn new(path: String, node: Node, report: &'a Report) -> Self {
        let entries = match node.raw {
            Raw::Table(entries) => entries,
            _ => {
                // Not quoted: it may be a secret, written one level too high.
                let mistake = node.place.mistake(&path, "is not a table");
                report.add(mistake.with_hint(table_hint(&path)));
                Vec::new()
            }
        };
        Self { path, place: node.place, entries, known: Vec::new(), report }
    }

    /// The dotted name of `key` in this table.
    pub fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The dotted name of this table.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where the table was written.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where mistakes go.
    pub fn report(&self) -> &'a Report {
        self.report
    }

    /// Whether the table has `key`, which is still to be taken.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == key)
    }

    fn take_entry(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let index = self.entries.iter().position(|entry| entry.name == key)?;
        Some(self.entries.remove(index))
    }

    fn read<T: Setting>(&self, key: &str, node: &Node) -> Option<Placed<T>> {
        let key = self.key(key);
        match T::read(node) {
            Ok(value) => Some(Placed { value, place: node.place.clone(), key }),
            Err(refusal) => {
                self.report.add(node.place.mistake(&key, refusal.problem).with_hint(refusal.hint));
                None
            }
        }
    }

    /// The value of `key` and its place; `None` if it is absent or was reported as a mistake.
    pub fn placed<T: Setting>(&mut self, key: &'static str) -> Option<Placed<T>> {
        let entry = self.take_entry(key)?;
        self.read(key, &entry.node)
    }

    /// The value of `key`; `None` if it is absent or was reported as a mistake.
    pub fn get<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.placed(key).map(|placed| placed.value)
    }

    /// The value of `key`, or `default`.
    pub fn or<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        self.get(key).unwrap_or(default)
    }

    /// The value of `key`, which must be there.
    pub fn required<T: Setting>(&mut self, key: &'static str, hint: &str) -> Option<Placed<T>> {
        if !self.has(key) {
            self.report.add(self.place.mistake(&self.key(key), "is missing").with_hint(hint));
        }
        self.placed(key)
    }

    /// The items of the list `key`; `None` if it is absent. Items that are refused are reported and left out.
    /// A variable's text is split at commas.
    pub fn list<T: Setting>(&mut self, key: &'static str) -> Option<Vec<Placed<T>>> {
        let Entry { node, .. } = self.take_entry(key)?;
        let items = match node.raw {
            Raw::List(items) => items,
            Raw::Variable(text) => split_variable(&text, &node.place),
            _ => {
                let mistake = node.place.mistake(&self.key(key), format!("{} is not a list", node.shown()));
                self.report.add(mistake.with_hint(list_hint(&node)));
                return None;
            }
        };
        Some(items.iter().filter_map(|item| self.read(key, item)).collect())
    }

    /// The table `key`; an empty one if it is absent.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        let node = match self.take_entry(key) {
            Some(entry) => entry.node,
            None => Node::empty(self.place.clone()),
        };
        Section::new(self.key(key), node, self.report)
    }

    /// The tables of the table `key`, each under a name that its author chose.
    pub fn sections(&mut self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let mut inner = self.section(key);
        let entries = std::mem::take(&mut inner.entries);
        let table = |entry: Entry| {
            let mut node = entry.node;
            node.place = entry.place;
            let section = Section::new(inner.key(&entry.name), node, inner.report);
            (entry.name, section)
        };
        entries.into_iter().map(table).collect()
    }

    /// All values that are left, as texts under names that their author chose, each with the place of its name.
    pub fn texts<T: Setting>(mut self) -> Vec<(String, Place, Placed<T>)> {
        let entries = std::mem::take(&mut self.entries);
        let text = |entry: Entry| Some((entry.name.clone(), entry.place, self.read(&entry.name, &entry.node)?));
        entries.into_iter().filter_map(text).collect()
    }

    /// Reports the keys that nobody took, each with the nearest name that would have been.
    pub fn finish(self) {
        for entry in &self.entries {
            let mistake = entry.place.mistake(&self.key(&entry.name), "unknown key");
            self.report.add(mistake.with_nearest(&entry.name, self.known.iter().copied()));
        }
    }
}

fn split_variable(text: &str, place: &Place) -> Vec<Node> {
    let item = |text: &str| Node { place: place.clone(), raw: Raw::Variable(text.to_owned()) };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(item).collect()
}

fn table_hint(path: &str) -> String {
    format!("write [{path}] and its keys below it")
}

/// A text in place of a list: the list of that text, or of its characters where none is a letter, as in `"-!"`.
fn list_hint(node: &Node) -> String {
    let quoted = |chars: &str| chars.chars().map(|char| format!("{:?}", char.to_string())).collect::<Vec<_>>();
    match &node.raw {
        Raw::Text(text) if text.contains(char::is_alphanumeric) => format!("write [{text:?}]"),
        Raw::Text(text) => format!("write [{}]", quoted(text).join(", ")),
        _ => "write […]".to_owned(),
    }
}
