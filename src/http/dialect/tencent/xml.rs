//! XML in and out: a tree of elements without attributes. What is not well-formed is refused with its place and its tags,
//! and never repaired (Tencent spec 2.7).

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// Most elements of a document, and how deep they may stand in one another.
const MAX_ELEMENTS: usize = 32_768;
const MAX_DEPTH: usize = 32;

/// An element: with text, or with others in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// What stands in it besides elements.
    pub text: String,
    /// What stands in it.
    pub children: Vec<Element>,
}

/// An element with others in it.
pub fn tree(name: &str, children: Vec<Element>) -> Element {
    Element { name: name.to_owned(), text: String::new(), children }
}

/// An element with text.
pub fn leaf(name: &str, text: impl Into<String>) -> Element {
    Element { name: name.to_owned(), text: text.into(), children: Vec::new() }
}

/// An element that is not closed yet, and where it began.
struct Open {
    element: Element,
    at: usize,
}

impl Element {
    /// Reads a document with the root `root`.
    ///
    /// # Errors
    /// A text that says what is wrong, and where.
    pub fn read(body: &[u8], root: &str) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| {
            format!("malformed XML: byte {} is not UTF-8; expected a document in UTF-8", error.valid_up_to())
        })?;
        let document = Document { text }.read()?;
        match document.name == root {
            true => Ok(document),
            false => Err(format!("the document's root is <{}>; expected <{root}>", document.name)),
        }
    }

    /// The element at a path, which is names joined by `/`.
    pub fn find(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |at, name| at.children.iter().find(|child| child.name == name))
    }

    /// The text at a path; `None` where nothing but white space stands there.
    pub fn text_at(&self, path: &str) -> Option<&str> {
        self.find(path).map(|found| found.text.trim()).filter(|text| !text.is_empty())
    }

    /// The document's text.
    pub fn document(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n".to_owned();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        if self.text.is_empty() && self.children.is_empty() {
            text.push_str(&format!("<{}/>", self.name));
            return;
        }
        text.push_str(&format!("<{}>", self.name));
        self.text.chars().for_each(|c| match c {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            '"' => text.push_str("&quot;"),
            '\r' => text.push_str("&#13;"),
            // No document may hold these.
            c if c < ' ' && !matches!(c, '\n' | '\t') || matches!(c, '\u{fffe}' | '\u{ffff}') => text.push('\u{fffd}'),
            c => text.push(c),
        });
        self.children.iter().for_each(|child| child.write(text));
        text.push_str(&format!("</{}>", self.name));
    }

    /// What stands in it as JSON: those that `lists` names are arrays, those that `numbers` names are numbers.
    pub fn json(&self, lists: &[&str], numbers: &[&str]) -> Value {
        if self.children.is_empty() {
            let number = self.text.parse::<i64>().ok().filter(|_| numbers.contains(&self.name.as_str()));
            return number.map_or_else(|| Value::from(self.text.as_str()), Value::from);
        }
        let mut object = Map::new();
        for child in &self.children {
            let value = child.json(lists, numbers);
            if !lists.contains(&child.name.as_str()) {
                object.insert(child.name.clone(), value);
            } else if let Value::Array(list) = object.entry(child.name.clone()).or_insert(Value::Array(Vec::new())) {
                list.push(value);
            }
        }
        Value::Object(object)
    }
}

struct Document<'a> {
    text: &'a str,
}

impl Document<'_> {
    fn read(&self) -> Result<Element, String> {
        let mut reader = Reader::from_str(self.text);
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        reader.config_mut().expand_empty_elements = true;
        let (mut open, mut root, mut count) = (Vec::<Open>::new(), None, 0);
        loop {
            let at = reader.buffer_position() as usize;
            let event = reader.read_event().map_err(|error| self.wrong(reader.error_position() as usize, &error))?;
            match event {
                Event::Start(start) => {
                    count += 1;
                    if root.is_some() {
                        return Err(self.wrong(at, &"an element follows the root; expected the end"));
                    }
                    if count > MAX_ELEMENTS || open.len() >= MAX_DEPTH {
                        let most = format!("expected at most {MAX_ELEMENTS} elements, {MAX_DEPTH} in one another");
                        return Err(self.wrong(at, &most));
                    }
                    let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                    open.push(Open { element: leaf(&name, ""), at });
                }
                Event::End(end) => {
                    let found = String::from_utf8_lossy(end.name().as_ref()).into_owned();
                    let closed = self.close(&mut open, &found, at)?;
                    match open.last_mut() {
                        Some(parent) => parent.element.children.push(closed),
                        None => root = Some(closed),
                    }
                }
                Event::Text(piece) => {
                    let piece = piece.xml10_content().map_err(|error| self.wrong(at, &error))?;
                    self.add(&mut open, &piece, at)?;
                }
                Event::CData(piece) => {
                    let piece = piece.xml10_content().map_err(|error| self.wrong(at, &error))?;
                    self.add(&mut open, &piece, at)?;
                }
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map_err(|error| self.wrong(at, &error))?;
                    let value = match &*name {
                        "lt" => Some('<'),
                        "gt" => Some('>'),
                        "amp" => Some('&'),
                        "quot" => Some('"'),
                        "apos" => Some('\''),
                        _ => reference.resolve_char_ref().map_err(|error| self.wrong(at, &error))?,
                    };
                    let value = value.ok_or_else(|| self.wrong(at, &format!("the entity &{name}; is not known")))?;
                    self.add(&mut open, value.encode_utf8(&mut [0; 4]), at)?;
                }
                Event::DocType(_) => return Err(self.wrong(at, &"a document type is not accepted")),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => return self.end(open.last(), root),
            }
        }
    }

    fn end(&self, open: Option<&Open>, root: Option<Element>) -> Result<Element, String> {
        match (open, root) {
            (Some(open), _) => {
                let (line, _) = self.place(open.at);
                let expected =
                    format!("expected </{}>, found the end; it was opened on line {line}", open.element.name);
                Err(self.wrong(self.text.len(), &expected))
            }
            (None, Some(root)) => Ok(root),
            (None, None) => Err(self.wrong(self.text.len(), &"there is no element")),
        }
    }

    fn close(&self, open: &mut Vec<Open>, found: &str, at: usize) -> Result<Element, String> {
        match open.pop() {
            Some(last) if last.element.name == found => Ok(last.element),
            Some(Open { element, at: opened }) => {
                let (line, _) = self.place(opened);
                let expected = format!(
                    "expected </{}>, found </{found}>; <{}> was opened on line {line}",
                    element.name, element.name
                );
                Err(self.wrong(at, &expected))
            }
            None => Err(self.wrong(at, &format!("found </{found}>, which was not opened"))),
        }
    }

    fn add(&self, open: &mut [Open], piece: &str, at: usize) -> Result<(), String> {
        match open.last_mut() {
            Some(open) => open.element.text.push_str(piece),
            None if piece.trim_start_matches('\u{feff}').trim().is_empty() => {}
            None => return Err(self.wrong(at, &"text stands outside of the root")),
        }
        Ok(())
    }

    fn wrong(&self, at: usize, problem: &dyn std::fmt::Display) -> String {
        let (line, column) = self.place(at);
        format!("malformed XML at line {line}, column {column}: {problem}")
    }

    /// Line and column, counted from 1.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        (line + 1, column + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Element::read(text.as_bytes(), "Request").unwrap_err()
    }

    #[test]
    fn documents_read_back() {
        let text =
            "<?xml version=\"1.0\"?>\n<Request><A>1 &lt; 2 &amp; &#x4e2d;</A><B><C/><![CDATA[<x>]]></B></Request>\n";
        let read = Element::read(text.as_bytes(), "Request").unwrap();
        assert_eq!(read.text_at("A"), Some("1 < 2 & 中"));
        assert_eq!((read.text_at("B"), read.text_at("B/C"), read.text_at("D")), (Some("<x>"), None, None));
        let written = tree("Request", vec![leaf("A", "1 < 2 & 中\0"), leaf("B", "")]);
        assert_eq!(
            written.document(),
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Request><A>1 &lt; 2 &amp; 中\u{fffd}</A><B/></Request>"
        );
    }

    #[test]
    fn what_is_malformed_is_told_with_its_place() {
        for (text, message) in [
            (
                "<Request>\n<Format>JSON<Format>\n</Request>",
                "malformed XML at line 3, column 1: expected </Format>, found </Request>; <Format> was opened on line 2",
            ),
            (
                "<Request>\n<Input>\n</Request>",
                "malformed XML at line 3, column 1: expected </Input>, found </Request>; <Input> was opened on line 2",
            ),
            (
                "<Request>",
                "malformed XML at line 1, column 10: expected </Request>, found the end; it was opened on line 1",
            ),
            (
                "<Request/><Request/>",
                "malformed XML at line 1, column 11: an element follows the root; expected the end",
            ),
            ("<Request/>x", "malformed XML at line 1, column 11: text stands outside of the root"),
            ("", "malformed XML at line 1, column 1: there is no element"),
            ("<!DOCTYPE a><Request/>", "malformed XML at line 1, column 1: a document type is not accepted"),
            ("<Request>&b;</Request>", "malformed XML at line 1, column 10: the entity &b; is not known"),
            ("<Response/>", "the document's root is <Response>; expected <Request>"),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
        assert!(refused(&"<Request>".repeat(40)).contains("32 in one another"));
        assert!(refused(&format!("<Request>{}</Request>", "<a/>".repeat(40_000))).contains("32768 elements"));
        assert!(Element::read(b"<Request>\xff</Request>", "Request").unwrap_err().contains("byte 9 is not UTF-8"));
    }
}
