//! A file's media type: what the client says, what names say, what the first bytes are (spec 6.1, `detectMime` and `mimeLimit`).

use crate::auth::upload::DetectMime;
use crate::engine::decode;
use crate::engine::run::Content;

/// How many of a file's first bytes are looked at.
pub const HEAD_BYTES: usize = 4096;

const OCTETS: &str = "application/octet-stream";

/// Files that are told by their first bytes, at an offset.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (8, b"WAVE", "audio/wav"),
    (0, b"\0\0\x01\0", "image/x-icon"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"MZ", "application/x-msdownload"),
];

/// What is known of a file's type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// What the client says.
    pub client: Option<&'a str>,
    /// The file's name on the client's side.
    pub file_name: Option<&'a str>,
    /// The object's key.
    pub key: &'a str,
    /// The first bytes.
    pub head: &'a [u8],
}

impl Hints<'_> {
    /// The type that the object will have.
    pub fn media_type(&self, detect: DetectMime) -> String {
        let client = self.client.filter(|it| is_media_type(it));
        match detect {
            DetectMime::Keep => client.unwrap_or(OCTETS).to_owned(),
            DetectMime::Detect => self.detected(),
            DetectMime::Client => match client.filter(|it| !it.starts_with(OCTETS)) {
                Some(client) => client.to_owned(),
                None => self.by_name().unwrap_or_else(|| self.detected()),
            },
        }
    }

    /// The type by content first, then by names, that limits are held against. What is named like a picture and is none does
    /// not pass for one.
    pub fn detected(&self) -> String {
        if let Some(format) = decode::sniff(self.head) {
            return Content::Image(format).media_type().to_owned();
        }
        let by_name = self.by_name().filter(|it| !it.starts_with("image/") || it == "image/svg+xml");
        let is_text = is_text(self.head);
        let magic = MAGIC.iter().find(|(at, magic, _)| self.head.get(*at..).is_some_and(|it| it.starts_with(magic)));
        match (magic, by_name) {
            // Office documents are archives, and sound may come in the containers of pictures that move.
            (Some((_, _, media_type)), Some(named)) if may_be(&named, media_type) => named,
            (Some((_, _, media_type)), _) => (*media_type).to_owned(),
            (None, Some(named)) if !is_text || is_textual(&named) => named,
            (None, _) if is_text && !self.head.is_empty() => "text/plain".to_owned(),
            (None, _) => OCTETS.to_owned(),
        }
    }

    fn by_name(&self) -> Option<String> {
        let name = self.file_name.into_iter().chain([self.key]);
        name.filter_map(|name| mime_guess::from_path(name).first()).map(|it| it.to_string()).next()
    }
}

/// Whether a file named as of type `named` may begin like one of type `found`.
fn may_be(named: &str, found: &str) -> bool {
    let kind = |media_type: &str| media_type.split('/').next().map(str::to_owned);
    match found {
        "application/zip" | "application/gzip" => kind(named).as_deref() == Some("application"),
        "video/mp4" | "video/webm" | "audio/ogg" => matches!(kind(named).as_deref(), Some("audio" | "video")),
        _ => false,
    }
}

fn is_textual(media_type: &str) -> bool {
    let words = ["json", "xml", "javascript", "x-sh", "sql", "yaml", "toml"];
    media_type.starts_with("text/") || words.iter().any(|word| media_type.contains(word))
}

/// Whether bytes are text: UTF-8, perhaps cut off, without control characters.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b'))
}

/// Whether a text can stand in a `Content-Type` header.
pub fn is_media_type(text: &str) -> bool {
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    text.len() <= 200 && text.contains('/') && text.bytes().all(is_plain)
}

/// Whether `mimeLimit` lets a media type pass: patterns joined by `;`, with `*` for a part; a leading `!` turns the list into
/// what is refused.
pub fn passes(limit: &str, media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (is_negated, patterns) = limit.strip_prefix('!').map_or((false, limit), |rest| (true, rest));
    let mut patterns = patterns.split(';').map(|it| it.trim().to_ascii_lowercase()).filter(|it| !it.is_empty());
    patterns.any(|pattern| matches(&pattern, &essence)) != is_negated
}

fn matches(pattern: &str, essence: &str) -> bool {
    let parts = |text: &str| text.split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned()));
    match (parts(pattern), parts(essence)) {
        (Some((kind, sub)), Some((own_kind, own_sub))) => {
            (kind == "*" || kind == own_kind) && (sub == "*" || sub == own_sub)
        }
        _ => pattern == "*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

    #[test]
    fn types_come_from_client_names_and_content() {
        use DetectMime::{Client, Detect, Keep};
        for (detect, client, file_name, key, head, expected) in [
            (Client, Some("text/x-own"), Some("a.jpg"), "b.png", PNG, "text/x-own"),
            (Client, Some(OCTETS), Some("a.jpg"), "b.png", PNG, "image/jpeg"),
            (Client, None, None, "b.gif", PNG, "image/gif"),
            (Client, None, None, "b", PNG, "image/png"),
            (Client, Some("nonsense"), None, "b", b"hello", "text/plain"),
            (Client, None, None, "b", b"\0\x01", OCTETS),
            (Detect, Some("text/x-own"), Some("a.jpg"), "b.jpg", PNG, "image/png"),
            (Detect, None, Some("a.mp3"), "b", b"\0\x01", "audio/mpeg"),
            (
                Detect,
                None,
                Some("a.docx"),
                "b",
                b"PK\x03\x04",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
            (Keep, Some("text/x-own"), Some("a.jpg"), "b.png", PNG, "text/x-own"),
            (Keep, None, Some("a.jpg"), "b.png", PNG, OCTETS),
        ] {
            let hints = Hints { client, file_name, key, head };
            assert_eq!(hints.media_type(detect), expected, "{detect:?} {hints:?}");
        }
    }

    #[test]
    fn limits_are_held_against_content() {
        for (key, head, expected) in [
            ("a.png", &b"#!/bin/sh\n"[..], "text/plain"),
            ("a.png", b"\x7fELF\x02", "application/x-executable"),
            ("a.png", b"\0\x01\x02", OCTETS),
            ("a.svg", b"<svg/>", "image/svg+xml"),
            ("a.json", b"{}", "application/json"),
            ("a.mp4", b"text", "text/plain"),
            ("a.txt", PNG, "image/png"),
            ("a.mp4", b"\0\0\0\x20ftypisom", "video/mp4"),
            ("a.m4a", b"\0\0\0\x20ftypM4A ", "audio/m4a"),
            ("a", "猫".as_bytes().split_at(2).0, "text/plain"),
            ("a", b"", OCTETS),
        ] {
            assert_eq!(Hints { key, head, ..Hints::default() }.detected(), expected, "{key} {head:?}");
        }
    }

    #[test]
    fn limits() {
        for (limit, media_type, is_allowed) in [
            ("image/*", "image/png", true),
            ("image/*", "video/mp4", false),
            ("image/*;video/mp4", "video/mp4", true),
            ("image/jpeg;image/png", "image/gif", false),
            ("!application/json;text/plain", "text/plain; charset=utf-8", false),
            ("!application/json;text/plain", "image/png", true),
            ("IMAGE/*", "Image/PNG", true),
            ("*", "a/b", true),
            ("", "a/b", false),
        ] {
            assert_eq!(passes(limit, media_type), is_allowed, "{limit} {media_type}");
        }
    }
}
