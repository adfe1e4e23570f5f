//! Changes to the text of `styles.toml` that leave everything else as its author wrote it: comments, order, quotes.
//!
//! Text in, text out; whether the result is a good sheet is for [`StyleSheet::parse`](super::StyleSheet::parse) to say.

use toml_edit::{Array, Document, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Defines a style, or replaces its pipeline, where it is written or below the others.
    SetStyle {
        /// `None` for every bucket.
        bucket: Option<&'a str>,
        /// The style's name.
        name: &'a str,
        /// Its pipeline.
        pipeline: &'a str,
    },
    /// Removes a style. Comments above it stay, since they may be about what is below it too.
    RemoveStyle {
        /// `None` for the style of every bucket.
        bucket: Option<&'a str>,
        /// The style's name.
        name: &'a str,
    },
    /// Sets the separators.
    Separators {
        /// `None` for every bucket that has none of its own.
        bucket: Option<&'a str>,
        /// One character each.
        separators: &'a str,
    },
    /// Protects the originals of a bucket, or stops to.
    Protected {
        /// The bucket.
        bucket: &'a str,
        /// Whether they are protected.
        on: bool,
    },
    /// Has a bucket serve an object whose key is the whole path before it looks for a style, or not.
    PreferStyleAsKey {
        /// The bucket.
        bucket: &'a str,
        /// Whether it does.
        on: bool,
    },
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// Something that should be a table is none.
    #[error("{0} is not a table")]
    NotATable(String),
    /// There is no such style to remove.
    #[error("there is no style {name:?}{}", of(.bucket.as_deref()))]
    NoSuchStyle {
        /// Where it was looked for; `None` among the styles of every bucket.
        bucket: Option<String>,
        /// Its name.
        name: String,
    },
}

fn of(bucket: Option<&str>) -> String {
    bucket.map_or_else(String::new, |bucket| format!(" of bucket {bucket:?} itself"))
}

/// The text of a sheet after a change.
///
/// # Errors
/// [`Error::NoSuchStyle`] for a removal; the others if `text` is not a sheet.
pub fn apply(text: &str, change: &Change<'_>) -> Result<String, Error> {
    match *change {
        Change::SetStyle { bucket, name, pipeline } => {
            set(text, &[&table_of(bucket)[..], &["styles"]].concat(), name, pipeline.into())
        }
        Change::RemoveStyle { bucket, name } => remove(text, bucket, name),
        Change::Separators { bucket, separators } => {
            let list: Array = separators.chars().map(String::from).collect();
            set(text, &table_of(bucket), "separators", list.into())
        }
        Change::Protected { bucket, on } => set(text, &["buckets", bucket], "protected", on.into()),
        Change::PreferStyleAsKey { bucket, on } => set(text, &["buckets", bucket], "prefer_style_as_key", on.into()),
    }
}

fn table_of(bucket: Option<&str>) -> Vec<&str> {
    bucket.map_or_else(Vec::new, |bucket| vec!["buckets", bucket])
}

fn syntax(error: &toml_edit::TomlError) -> Error {
    Error::Syntax(error.message().trim().replace('\n', ", "))
}

/// Sets `key` in the table at `path`, which is made if it is missing.
fn set(text: &str, path: &[&str], key: &str, value: Value) -> Result<String, Error> {
    let mut document: DocumentMut = text.parse().map_err(|error| syntax(&error))?;
    if path.is_empty() && document.iter().all(|(_, item)| !item.is_value()) {
        return Ok(insert_at_top(text, key, &value));
    }
    if needs_header(document.as_table(), path) {
        return Ok(append_table(text, path, key, &value));
    }
    let table = table_mut(document.as_table_mut(), path)?;
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        None => add(table, key, value),
    }
    Ok(document.to_string())
}

/// Whether a table at `path` would need a header that is not there yet.
fn needs_header(table: &dyn TableLike, path: &[&str]) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    match table.get(name) {
        None => true,
        Some(Item::Table(inner)) => needs_header(inner, rest),
        Some(_) => false,
    }
}

/// Adds a table with one key at the end, below any comment that is there.
fn append_table(text: &str, path: &[&str], key: &str, value: &Value) -> String {
    let quoted = |name: &str| Key::new(name).display_repr().into_owned();
    let header: Vec<_> = path.iter().map(|name| quoted(name)).collect();
    let line_end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let gap = if text.is_empty() { "" } else { "\n" };
    let value = value.to_string();
    format!("{text}{line_end}{gap}[{}]\n{} = {}\n", header.join("."), quoted(key), value.trim())
}

/// The table at `path` below `table`; what is missing of it is made.
fn table_mut<'t>(table: &'t mut dyn TableLike, path: &[&str]) -> Result<&'t mut dyn TableLike, Error> {
    table_below(table, path, false)
}

fn table_below<'t>(
    table: &'t mut dyn TableLike,
    path: &[&str],
    is_inline: bool,
) -> Result<&'t mut dyn TableLike, Error> {
    let Some((name, rest)) = path.split_first() else { return Ok(table) };
    let item = table.entry(name).or_insert_with(|| new_table(is_inline));
    if let (true, Item::Table(table)) = (rest.is_empty(), &mut *item) {
        // A header that was only implied by longer ones is needed for keys of its own.
        table.set_implicit(false);
    }
    let is_inline = item.is_value();
    let inner = item.as_table_like_mut().ok_or_else(|| Error::NotATable((*name).to_owned()))?;
    table_below(inner, rest, is_inline)
}

/// A table without a header of its own so far. Inline tables hold only inline ones.
fn new_table(is_inline: bool) -> Item {
    if is_inline {
        return Item::Value(Value::InlineTable(InlineTable::new()));
    }
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// Adds `key` below the other keys of `table`, spaced as the last of them is.
fn add(table: &mut dyn TableLike, key: &str, mut value: Value) {
    let last = table.iter().filter(|(_, item)| item.is_value()).last().map(|(name, _)| name.to_owned());
    let Some(last) = last else {
        table.insert(key, Item::Value(value));
        return;
    };
    let above = table.key(&last).and_then(|key| key.leaf_decor().prefix()?.as_str()).unwrap_or_default();
    let indent = above.rsplit('\n').next().unwrap_or_default().to_owned();
    if let Some(last) = table.get_mut(&last).and_then(Item::as_value_mut) {
        hand_on_space(last, &mut value);
    }
    table.insert(key, Item::Value(value));
    if let Some(mut key) = table.key_mut(key) {
        key.leaf_decor_mut().set_prefix(indent);
    }
}

/// Moves the space before the closing brace of an inline table from the value that was last to the one that is now.
fn hand_on_space(last: &mut Value, new: &mut Value) {
    let suffix = last.decor().suffix().and_then(|it| it.as_str()).unwrap_or_default().to_owned();
    if !suffix.is_empty() && suffix.trim().is_empty() {
        last.decor_mut().set_suffix("");
        new.decor_mut().set_prefix(" ");
        new.decor_mut().set_suffix(suffix);
    }
}

/// Puts the first key of the document above its tables, but below a heading comment: one that a blank line follows.
fn insert_at_top(text: &str, key: &str, value: &Value) -> String {
    let comment: usize = text.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
    let blank: usize =
        text[comment..].split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum();
    let at = if blank == 0 { 0 } else { comment + blank };
    let (above, below) = text.split_at(at);
    let gap = if below.is_empty() { "" } else { "\n" };
    format!("{above}{key} = {}\n{gap}{below}", value.to_string().trim())
}

/// Removes a style: its lines where it has its own, else its place in the inline table.
fn remove(text: &str, bucket: Option<&str>, name: &str) -> Result<String, Error> {
    let document = Document::parse(text).map_err(|error| syntax(&error))?;
    let missing = || Error::NoSuchStyle { bucket: bucket.map(str::to_owned), name: name.to_owned() };
    let path = [&table_of(bucket)[..], &["styles"]].concat();
    let mut table: &dyn TableLike = document.as_table();
    let mut is_inline = false;
    for step in &path {
        let item = table.get(step).ok_or_else(missing)?;
        is_inline |= item.is_value();
        table = item.as_table_like().ok_or_else(|| Error::NotATable((*step).to_owned()))?;
    }
    let (key, item) = table.get_key_value(name).ok_or_else(missing)?;
    match (key.span(), item.span()) {
        (Some(key), Some(value)) if !is_inline => Ok(without_lines(text, key.start, value.end)),
        _ => {
            let mut document = document.into_mut();
            table_mut(document.as_table_mut(), &path)?.remove(name);
            Ok(document.to_string())
        }
    }
}

/// `text` without the lines that bytes `start` to `end` are on.
fn without_lines(text: &str, start: usize, end: usize) -> String {
    let from = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let to = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
    format!("{}{}", &text[..from], &text[to..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"# Styles of the shop. Ask Mira before changing.

separators = ["-"] # as on the old server

[styles]
# Cards on the front page.
thumb = 'imageView2/1/w/200/h/200'   # square
  wide  = "imageView2/2/w/900"
# The end.

[buckets.photos] # the big one
protected = false   # for now
[buckets.photos.styles]
iphone = "imageView/2/h/200"
# Last line.
"#;

    /// A change, what it replaces in the text above, and with what.
    #[test]
    fn comments_and_order_stay() {
        let table = [
            (
                Change::SetStyle { bucket: None, name: "thumb", pipeline: "imageView2/1/w/90" },
                "'imageView2/1/w/200/h/200'",
                "\"imageView2/1/w/90\"",
            ),
            (
                Change::SetStyle { bucket: None, name: "new", pipeline: "imageInfo" },
                "/900\"\n",
                "/900\"\n  new = \"imageInfo\"\n",
            ),
            (
                Change::SetStyle { bucket: None, name: "v2.s", pipeline: "imageInfo" },
                "/900\"\n",
                "/900\"\n  \"v2.s\" = \"imageInfo\"\n",
            ),
            (
                Change::SetStyle { bucket: Some("photos"), name: "new", pipeline: "imageInfo" },
                "h/200\"\n# Last",
                "h/200\"\nnew = \"imageInfo\"\n# Last",
            ),
            (
                Change::SetStyle { bucket: Some("other"), name: "new", pipeline: "imageInfo" },
                "# Last line.\n",
                "# Last line.\n\n[buckets.other.styles]\nnew = \"imageInfo\"\n",
            ),
            (
                Change::RemoveStyle { bucket: None, name: "thumb" },
                "thumb = 'imageView2/1/w/200/h/200'   # square\n",
                "",
            ),
            (Change::RemoveStyle { bucket: None, name: "wide" }, "  wide  = \"imageView2/2/w/900\"\n", ""),
            (Change::RemoveStyle { bucket: Some("photos"), name: "iphone" }, "iphone = \"imageView/2/h/200\"\n", ""),
            (Change::Separators { bucket: None, separators: "-!/" }, "[\"-\"]", "[\"-\", \"!\", \"/\"]"),
            (
                Change::Separators { bucket: Some("photos"), separators: "\"'" },
                "# for now\n",
                "# for now\nseparators = ['\"', \"'\"]\n",
            ),
            (Change::Protected { bucket: "photos", on: true }, "= false", "= true"),
            (
                Change::PreferStyleAsKey { bucket: "photos", on: true },
                "# for now\n",
                "# for now\nprefer_style_as_key = true\n",
            ),
            (
                Change::Protected { bucket: "other one", on: true },
                "# Last line.\n",
                "# Last line.\n\n[buckets.\"other one\"]\nprotected = true\n",
            ),
        ];
        for (change, from, to) in table {
            let expected = BEFORE.replacen(from, to, 1);
            assert_ne!(expected, BEFORE, "{change:?}");
            assert_eq!(apply(BEFORE, &change).unwrap(), expected, "{change:?}");
        }
    }

    #[test]
    fn small_files() {
        let style = Change::SetStyle { bucket: None, name: "a", pipeline: "imageInfo" };
        let style_of_b = Change::SetStyle { bucket: Some("b"), name: "a", pipeline: "imageInfo" };
        let separators = Change::Separators { bucket: None, separators: "!" };
        let protect = Change::Protected { bucket: "b", on: true };
        let gone = Change::RemoveStyle { bucket: None, name: "a" };
        let table = [
            ("", style, "[styles]\na = \"imageInfo\"\n"),
            ("", separators, "separators = [\"!\"]\n"),
            ("", protect, "[buckets.b]\nprotected = true\n"),
            ("# Head.\n\n[styles]\n", separators, "# Head.\n\nseparators = [\"!\"]\n\n[styles]\n"),
            ("# Of styles.\n[styles]\n", separators, "separators = [\"!\"]\n\n# Of styles.\n[styles]\n"),
            ("# Only this.", style, "# Only this.\n\n[styles]\na = \"imageInfo\"\n"),
            ("[buckets.b.styles]\n", protect, "[buckets.b]\nprotected = true\n[buckets.b.styles]\n"),
            ("styles.a = \"x\" # x\n", style, "styles.a = \"imageInfo\" # x\n"),
            ("styles.b = \"x\"\n", style, "styles.b = \"x\"\nstyles.a = \"imageInfo\"\n"),
            ("styles = { b = \"x\" }\n", style, "styles = { b = \"x\", a = \"imageInfo\" }\n"),
            ("buckets = { b = {} }\n", style_of_b, "buckets = { b = { styles = { a = \"imageInfo\" } } }\n"),
            ("styles = { a = \"x\", b = \"y\" }\n", gone, "styles = { b = \"y\" }\n"),
            ("[styles]\na = \"\"\"\nx\ny\"\"\"\n# z\n", gone, "[styles]\n# z\n"),
            ("[styles]\na = \"x\"", gone, "[styles]\n"),
            ("styles.a = \"x\"\n# z\n", gone, "# z\n"),
        ];
        for (before, change, after) in table {
            assert_eq!(apply(before, &change).unwrap(), after, "{before:?} {change:?}");
        }
    }

    #[test]
    fn refusals() {
        let gone = |bucket, name| Change::RemoveStyle { bucket, name };
        for (text, change, message) in [
            (BEFORE, gone(None, "none"), "there is no style \"none\""),
            (BEFORE, gone(Some("photos"), "thumb"), "there is no style \"thumb\" of bucket \"photos\" itself"),
            ("", gone(Some("none"), "a"), "there is no style \"a\" of bucket \"none\" itself"),
            ("styles = 1", gone(None, "a"), "styles is not a table"),
            ("styles = 1", Change::SetStyle { bucket: None, name: "a", pipeline: "x" }, "styles is not a table"),
        ] {
            assert_eq!(apply(text, &change).unwrap_err().to_string(), message);
        }
        assert!(matches!(apply("[", &gone(None, "a")), Err(Error::Syntax(_))));
    }
}
