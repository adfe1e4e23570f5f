//! The values of magic variables for one file (spec 6.2).

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::commit::Incoming;
use super::variables::{Template, part};
use crate::jobs::model::clock;

/// Variables that only a picture's or film's content tells; keys are not made of them.
const OF_CONTENT: [&str; 4] = ["exif", "imageInfo", "imageAve", "avinfo"];

/// The values of one file.
#[derive(Clone, Debug)]
pub struct Values {
    known: Map<String, Value>,
    custom: BTreeMap<String, String>,
    clock: Vec<(&'static str, String)>,
}

impl Values {
    /// Of a file that has arrived and has no key yet.
    pub fn new(incoming: &Incoming, media_type: &str, now: SystemTime) -> Self {
        let content = &incoming.content;
        let mut values = Self { known: Map::new(), custom: incoming.custom.clone(), clock: clock(now).collect() };
        values.set("bucket", incoming.grant.policy.bucket.as_str());
        values.set("etag", content.hash.as_str());
        values.set("fsize", content.bytes);
        values.set("mimeType", media_type);
        values.set("endUser", incoming.grant.policy.end_user.clone());
        values.set("fname", incoming.file_name.clone());
        let name = incoming.file_name.as_deref().or(incoming.key.as_deref()).unwrap_or_default();
        let (prefix, extension) = split_name(name);
        values.set("fprefix", prefix);
        values.set("ext", extension);
        values.set("uuid", uuid());
        if let Some(key) = &incoming.key {
            values.set_key(key);
        }
        values
    }

    /// Sets one; nothing unsets it.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        match value.into() {
            Value::Null => self.known.remove(name),
            value => self.known.insert(name.to_owned(), value),
        };
    }

    /// Sets the key, and what is made of it.
    pub fn set_key(&mut self, key: &str) {
        self.set("key", key);
        self.set("keybase", key.rsplit('/').next().unwrap_or(key));
    }

    /// The value of a variable, or of a part of it.
    pub fn get(&self, name: &str) -> Option<Value> {
        if name.starts_with("x:") {
            return self.custom.get(name).cloned().map(Value::from);
        }
        let base = name.split('.').next().unwrap_or(name);
        part(self.known.get(base)?.clone(), name)
    }

    /// The key that a template makes.
    pub fn key(&self, template: &str) -> String {
        Template::parse(template).text(|name| {
            let base = name.split('.').next().unwrap_or(name);
            let time = self.clock.iter().find(|(it, _)| *it == name).map(|(_, value)| Value::from(value.as_str()));
            time.or_else(|| self.get(name).filter(|_| !OF_CONTENT.contains(&base)))
        })
    }
}

/// A file's name without its extension, and the extension with its dot.
fn split_name(name: &str) -> (&str, &str) {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    }
}

fn uuid() -> String {
    let digits = crate::store::spool::random_name();
    let part = |range: std::ops::Range<usize>| &digits[range];
    format!("{}-{}-4{}-8{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_extensions() {
        for (name, parts) in [
            ("cat.jpg", ("cat", ".jpg")),
            ("a/b.c/cat.tar.gz", ("cat.tar", ".gz")),
            (r"C:\cat.jpg", ("cat", ".jpg")),
            (".hidden", (".hidden", "")),
            ("cat", ("cat", "")),
            ("", ("", "")),
        ] {
            assert_eq!(split_name(name), parts, "{name}");
        }
    }

    #[test]
    fn the_clock_is_that_of_china() {
        let at = |seconds| {
            let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            clock(now).map(|(_, value)| value).collect::<Vec<_>>().join(" ")
        };
        for (seconds, text) in [
            (0, "1970 01 01 08 00 00"),
            (1_704_038_399, "2023 12 31 23 59 59"),
            (1_709_179_200, "2024 02 29 12 00 00"),
            (951_753_599, "2000 02 28 23 59 59"),
        ] {
            assert_eq!(at(seconds), text);
        }
    }

    #[test]
    fn uuids_are_of_version_4() {
        let uuid = uuid();
        assert_eq!((uuid.len(), &uuid[14..15], &uuid[8..9]), (36, "4", "-"));
    }
}
