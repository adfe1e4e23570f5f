//! A mistake in a settings file or variable, as its author reads it.

use std::cell::RefCell;
use std::fmt;

/// A place in a text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character of the line.
    pub column: usize,
}

/// Finds the line and column of a byte of a text.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    /// The byte that each line begins at, in order; the first is 0.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Indexes `text`.
    pub fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The place of byte `offset`. An offset past the end, or inside a character, is the end.
    pub fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(self.text);
        // The first line begins at 0, so that at least one begins at or before any byte.
        let line = self.starts.partition_point(|start| *start <= before.len());
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or_default();
        Position { line, column: before[start..].chars().count() + 1 }
    }
}

/// One thing that is wrong with the settings.
///
/// Displayed as `mogr.toml:12:1: limits.source_byte: unknown key; did you mean source_bytes?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, or the environment variable, that has it.
    pub file: String,
    /// Where in the file; `None` for a variable and for a file that cannot be read.
    pub position: Option<Position>,
    /// The setting, dotted; empty when the mistake is not about one.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Mistake {}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file or the environment variable.
    pub file: String,
    /// Where in the file.
    pub position: Option<Position>,
}

impl Place {
    /// A whole file, a variable or an argument.
    pub fn whole(file: impl Into<String>) -> Self {
        Self { file: file.into(), position: None }
    }

    /// A mistake at this place.
    pub fn mistake(&self, key: &str, problem: impl Into<String>) -> Mistake {
        Mistake {
            file: self.file.clone(),
            position: self.position,
            key: key.to_owned(),
            problem: problem.into(),
            hint: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, .. }) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl Mistake {
    /// The same mistake with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same mistake, advising the name of `known` that `written` is nearest to, if one is near.
    #[must_use]
    pub fn with_nearest<'a>(mut self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.hint = nearest(written, known).map(|name| format!("did you mean {name}?"));
        self
    }
}

/// Collects mistakes while settings are read, so that all are reported at once.
#[derive(Debug, Default)]
pub struct Report(RefCell<Vec<Mistake>>);

impl Report {
    /// Adds one.
    pub fn add(&self, mistake: Mistake) {
        self.0.borrow_mut().push(mistake);
    }

    /// Everything that was added: what has no line first, then by file, then by place, then in the order of adding.
    pub fn into_sorted(self) -> Vec<Mistake> {
        let mut mistakes = self.0.into_inner();
        let order = |it: &Mistake| (it.position.is_some(), it.file.clone(), it.position);
        mistakes.sort_by_cached_key(order);
        mistakes
    }
}

/// The name of `known` that `written` was probably meant to be: at least 0.8 alike by Jaro-Winkler.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.8;
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&written, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let text = "a = 1\n中 = 2\n";
        for (offset, line, column) in [(0, 1, 1), (4, 1, 5), (6, 2, 1), (9, 2, 2), (999, 3, 1), (7, 3, 1)] {
            assert_eq!(Lines::of(text).position(offset), Position { line, column }, "offset {offset}");
        }
    }

    #[test]
    fn nearest_name_is_near_or_none() {
        let known = ["source_bytes", "source_pixels", "time"];
        assert_eq!(nearest("source_byte", known), Some("source_bytes"));
        assert_eq!(nearest("Sourcebytes", known), Some("source_bytes"));
        assert_eq!(nearest("zebra", known), None);
    }
}
