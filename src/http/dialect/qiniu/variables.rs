//! Magic variables: `$(name)` and `$(name.part)` in templates (spec 6.2). Pure: where values come from is the caller's.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::jobs::template::{Piece, pieces};

/// What stays as it is in a form: what browsers leave.
const FORM_SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// A template, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<'t>(Vec<Piece<'t>>);

impl<'t> Template<'t> {
    /// Takes a template apart. `$(` without an end is text.
    pub fn parse(text: &'t str) -> Self {
        Self(pieces(text))
    }

    /// The names of its variables, without their parts.
    pub fn names(&self) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.split('.').next().unwrap_or(name)),
            Piece::Text(_) => None,
        })
    }

    /// As JSON: texts in quotes and escaped, numbers bare, what is missing `null`. Between quotes that the template
    /// itself has, only the escaped text is put.
    pub fn json(&self, value_of: impl Fn(&str) -> Option<Value>) -> String {
        let mut quotes = Quotes::default();
        self.render(|out, piece| match piece {
            Piece::Text(text) => {
                quotes.pass(text);
                out.push_str(text);
            }
            Piece::Variable(name) if quotes.is_open => out.push_str(&escaped(&plain(value_of(name)))),
            Piece::Variable(name) => out.push_str(&value_of(name).unwrap_or(Value::Null).to_string()),
        })
    }

    /// As a form: values are percent-encoded, what is missing is empty.
    pub fn form(&self, value_of: impl Fn(&str) -> Option<Value>) -> String {
        self.render(|out, piece| match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable(name) => out.extend(utf8_percent_encode(&plain(value_of(name)), FORM_SET)),
        })
    }

    /// As plain text, for keys.
    pub fn text(&self, value_of: impl Fn(&str) -> Option<Value>) -> String {
        self.render(|out, piece| match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable(name) => out.push_str(&plain(value_of(name))),
        })
    }

    fn render(&self, mut put: impl FnMut(&mut String, &Piece<'t>)) -> String {
        let mut out = String::new();
        self.0.iter().for_each(|piece| put(&mut out, piece));
        out
    }
}

/// Whether the text so far has opened a string of JSON.
#[derive(Default)]
struct Quotes {
    is_open: bool,
}

impl Quotes {
    fn pass(&mut self, text: &str) {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' if self.is_open => drop(chars.next()),
                '"' => self.is_open = !self.is_open,
                _ => {}
            }
        }
    }
}

/// A value without quotes; nothing is an empty text.
fn plain(value: Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The part of `value` that the names behind the first `.` of `name` lead to; lists are not indexed.
pub fn part(value: Value, name: &str) -> Option<Value> {
    let mut parts = name.split('.');
    parts.next();
    parts.try_fold(value, |value, part| match value {
        Value::Object(mut object) => object.remove(part),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value_of(name: &str) -> Option<Value> {
        match name.split('.').next().unwrap() {
            "fname" => Some(json!("gogopher.jpg")),
            "fsize" => Some(json!(214_513)),
            "imageInfo" => part(json!({ "width": 640, "a": { "b": "c" } }), name),
            "x:loc" => Some(json!("Shang \"hai\" & 猫")),
            _ => None,
        }
    }

    #[test]
    fn templates_of_json() {
        for (template, rendered) in [
            (r#"{"name":$(fname),"size":$(fsize)}"#, r#"{"name":"gogopher.jpg","size":214513}"#),
            (r#"{"w":$(imageInfo.width),"no":$(imageInfo.no)}"#, r#"{"w":640,"no":null}"#),
            (r#"{"i":$(imageInfo)}"#, r#"{"i":{"a":{"b":"c"},"width":640}}"#),
            (r#"{"b":$(imageInfo.a.b),"c":$(imageInfo.a.b.c)}"#, r#"{"b":"c","c":null}"#),
            (r#"{"n":"$(fname)","s":"$(fsize)","m":"$(no)"}"#, r#"{"n":"gogopher.jpg","s":"214513","m":""}"#),
            (r#"{"l":"\"$(x:loc)"}"#, r#"{"l":"\"Shang \"hai\" & 猫"}"#),
            (r#"{"l":$(x:loc)}"#, r#"{"l":"Shang \"hai\" & 猫"}"#),
            ("$(fsize", "$(fsize"),
            ("$()", "null"),
            ("$$(fsize))", "$214513)"),
            ("", ""),
        ] {
            assert_eq!(Template::parse(template).json(value_of), rendered, "{template}");
        }
    }

    #[test]
    fn templates_of_forms_and_keys() {
        let form = "n=$(fname)&s=$(fsize)&l=$(x:loc)&m=$(no)&w=$(imageInfo.width)";
        let rendered = "n=gogopher.jpg&s=214513&l=Shang%20%22hai%22%20%26%20%E7%8C%AB&m=&w=640";
        assert_eq!(Template::parse(form).form(value_of), rendered);
        assert_eq!(Template::parse("a/$(fname)/$(x:loc)$(no)").text(value_of), "a/gogopher.jpg/Shang \"hai\" & 猫");
    }

    #[test]
    fn names_are_told() {
        let names: Vec<_> = Template::parse("$(imageInfo.width)$(x:a)$(etag)").names().collect();
        assert_eq!(names, ["imageInfo", "x:a", "etag"]);
    }
}
