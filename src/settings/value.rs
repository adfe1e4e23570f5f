//! What a setting's value looks like: one implementation of [`Setting`] per kind of value.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::cidr::Cidr;
use super::document::{Node, Raw};

/// Why a value was refused: what is wrong, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong. Never the text of a secret.
    pub problem: String,
    /// What to write.
    pub hint: String,
}

impl Refusal {
    /// A refusal of these two texts.
    pub fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }

    /// `"12x" is not a size; write …`.
    fn not_a(node: &Node, what: &str, hint: &str) -> Self {
        Self::new(format!("{} is not {what}", node.shown()), hint)
    }
}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// A [`Refusal`] that says what was expected.
    fn read(node: &Node) -> Result<Self, Refusal>;
}

/// The characters of a text or of a variable.
fn text_of(node: &Node) -> Option<&str> {
    match &node.raw {
        Raw::Text(text) | Raw::Variable(text) => Some(text),
        _ => None,
    }
}

impl Setting for String {
    fn read(node: &Node) -> Result<Self, Refusal> {
        text_of(node).map(str::to_owned).ok_or_else(|| Refusal::not_a(node, "text", "write it in quotes"))
    }
}

impl Setting for PathBuf {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match String::read(node)? {
            path if path.is_empty() => Err(Refusal::new("is empty", "write the path of a folder")),
            path => Ok(Self::from(path)),
        }
    }
}

impl Setting for bool {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match &node.raw {
            Raw::Bool(flag) => Ok(*flag),
            Raw::Variable(text) if ["true", "1"].contains(&text.as_str()) => Ok(true),
            Raw::Variable(text) if ["false", "0"].contains(&text.as_str()) => Ok(false),
            _ => Err(Refusal::not_a(node, "true or false", "write true or false, without quotes")),
        }
    }
}

impl Setting for SocketAddr {
    fn read(node: &Node) -> Result<Self, Refusal> {
        text_of(node).and_then(|text| text.parse().ok()).ok_or_else(|| {
            Refusal::not_a(node, "an address", r#"write "IP:PORT", like "127.0.0.1:8080" or "[::]:8080""#)
        })
    }
}

impl Setting for Cidr {
    fn read(node: &Node) -> Result<Self, Refusal> {
        let hint = r#"write "ADDRESS/BITS", like "10.0.0.0/8" or "::1/128""#;
        let text = text_of(node).ok_or_else(|| Refusal::not_a(node, "an address range", hint))?;
        let range: Self = text.parse().map_err(|()| Refusal::not_a(node, "an address range", hint))?;
        if range.has_host_bits() {
            let problem = format!("{text:?} has bits after its prefix");
            return Err(Refusal::new(problem, format!("did you mean {}?", range.network())));
        }
        Ok(range)
    }
}

impl Setting for u16 {
    fn read(node: &Node) -> Result<Self, Refusal> {
        scaled(node, &[])
            .and_then(|number| Self::try_from(number).ok())
            .filter(|port| *port > 0)
            .ok_or_else(|| Refusal::not_a(node, "a port", "write a number from 1 to 65535"))
    }
}

/// A number of bytes, at least 1: `"64MiB"`, `"512k"`, `1048576`.
///
/// `k`, `M`, `G` (also with `B`) are powers of 1000 and `KiB`, `MiB`, `GiB` (also without `B`) powers of 1024, in any
/// case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

const BYTE_UNITS: [(&str, u64); 13] = [
    ("b", 1),
    ("k", 1000),
    ("kb", 1000),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
];

impl Setting for Bytes {
    fn read(node: &Node) -> Result<Self, Refusal> {
        let hint = r#"write "64MiB", "512k" or a number of bytes"#;
        positive(node, scaled(node, &BYTE_UNITS), "a size", hint).map(Self)
    }
}

const COUNT_UNITS: [(&str, u64); 3] = [("k", 1000), ("m", 1_000_000), ("g", 1_000_000_000)];
const COUNT_HINT: &str = r#"write a whole number, or "150M" or "20k""#;

/// A count, at least 1: `"150M"`, `"20k"`, `200`. `k`, `M` and `G` are powers of 1000.
impl Setting for u64 {
    fn read(node: &Node) -> Result<Self, Refusal> {
        positive(node, scaled(node, &COUNT_UNITS), "a count", COUNT_HINT)
    }
}

impl Setting for u32 {
    fn read(node: &Node) -> Result<Self, Refusal> {
        let count = u64::read(node)?;
        Self::try_from(count).map_err(|_| too_large(node, u64::from(Self::MAX)))
    }
}

impl Setting for NonZeroUsize {
    fn read(node: &Node) -> Result<Self, Refusal> {
        let count = u32::read(node)?;
        usize::try_from(count).ok().and_then(Self::new).ok_or_else(|| too_large(node, usize::MAX as u64))
    }
}

fn too_large(node: &Node, most: u64) -> Refusal {
    Refusal::new(format!("{} is too large", node.shown()), format!("at most {most}"))
}

fn positive(node: &Node, number: Option<u64>, what: &str, hint: &str) -> Result<u64, Refusal> {
    match number {
        Some(0) => Err(Refusal::new("is 0", "at least 1")),
        Some(number) => Ok(number),
        None => Err(Refusal::not_a(node, what, hint)),
    }
}

/// A duration with its unit, at least 1 ms: `"500ms"`, `"30s"`, `"10m"`, `"24h"`, `"30d"`.
impl Setting for Duration {
    fn read(node: &Node) -> Result<Self, Refusal> {
        let hint = r#"write a number with its unit, like "30s", "10m", "24h" or "30d""#;
        match text_of(node).and_then(parse_duration) {
            Some(Self::ZERO) => Err(Refusal::new("is 0", r#"at least "1ms""#)),
            Some(duration) => Ok(duration),
            None => Err(Refusal::not_a(node, "a duration", hint)),
        }
    }
}

/// A duration that may be 0, written `"0s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Setting for Span {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match text_of(node).and_then(parse_duration) {
            Some(Duration::ZERO) => Ok(Self(Duration::ZERO)),
            _ => Duration::read(node).map(Self),
        }
    }
}

/// `"30s"`, `"10m"`, `"24h"`, `"30d"`, `"500ms"` as a duration; `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (digits, unit) = number_and_unit(text)?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    digits.checked_mul(*millis).map(Duration::from_millis)
}

/// A number, or a number followed by one of `units`.
fn scaled(node: &Node, units: &[(&str, u64)]) -> Option<u64> {
    if let Raw::Integer(number) = node.raw {
        return u64::try_from(number).ok();
    }
    let (number, unit) = number_and_unit(text_of(node)?)?;
    if unit.is_empty() {
        return Some(number);
    }
    let unit = unit.to_ascii_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// `"64MiB"` as 64 and `"MiB"`. `_` may separate digits, as it may in TOML.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.replace('_', "").parse().ok()?, unit.trim_start()))
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Setting for Secret {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match text_of(node) {
            Some("") => Err(Refusal::new("is empty", "write the secret in quotes")),
            Some(text) => Ok(Self::new(text)),
            None => Err(Refusal::new("is not text", "write it in quotes")),
        }
    }
}

/// The address of an object store: `file:///srv/photos`, `memory:///`, `s3://bucket/prefix`, `https://origin/path`.
///
/// Printed without its password and query, which may be credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Url);

/// The schemes that a [`StoreUrl`] may have.
pub const STORE_SCHEMES: [&str; 7] = ["file", "memory", "s3", "gs", "az", "http", "https"];

impl StoreUrl {
    /// A store in memory.
    pub fn memory() -> Self {
        Self(Url::parse("memory:///").expect("it is a URL"))
    }

    /// The whole URL, as `object_store::parse_url_opts` wants it.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The folder of a `file` URL.
    pub fn folder(&self) -> Option<PathBuf> {
        if self.0.scheme() == "file" { self.0.to_file_path().ok() } else { None }
    }

    /// Reads a URL with one of [`STORE_SCHEMES`].
    ///
    /// # Errors
    /// A [`Refusal`] that never quotes the URL, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let schemes = format!("write SCHEME://…, where SCHEME is one of {}", STORE_SCHEMES.join(", "));
        let url = Url::parse(text).map_err(|error| Refusal::new(format!("is not a URL: {error}"), schemes.clone()))?;
        if !STORE_SCHEMES.contains(&url.scheme()) {
            return Err(Refusal::new(format!("has the unknown scheme {:?}", url.scheme()), schemes));
        }
        match (url.scheme(), url.host_str()) {
            ("file", Some(host)) => Err(Refusal::new(
                "a file URL has no host",
                format!("write three slashes and the whole path, like file:///{host}{}", url.path()),
            )),
            ("memory", Some(_)) => Err(Refusal::new("a memory URL has no host", "write memory:///")),
            ("s3" | "gs" | "az", None) => {
                Err(Refusal::new("names no bucket", format!("write {}://BUCKET/PREFIX", url.scheme())))
            }
            _ => Ok(Self(url)),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        if shown.password().is_some() {
            // Only URLs that cannot have a password refuse one, and this one has.
            let _ = shown.set_password(Some("***"));
        }
        if shown.query().is_some() {
            shown.set_query(Some("***"));
        }
        write!(f, "{shown}")
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Setting for StoreUrl {
    fn read(node: &Node) -> Result<Self, Refusal> {
        Self::parse(text_of(node).ok_or_else(|| Refusal::new("is not text", "write it in quotes"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::mistake::Place;

    fn text(text: &str) -> Node {
        Node { place: Place::whole("test"), raw: Raw::Text(text.to_owned()) }
    }

    #[test]
    fn sizes() {
        for (written, bytes) in [
            ("64MiB", 67_108_864),
            ("512k", 512_000),
            ("512kB", 512_000),
            ("512 KiB", 524_288),
            ("1g", 1_000_000_000),
            ("2Gi", 2_147_483_648),
            ("1_000", 1000),
            ("7b", 7),
        ] {
            assert_eq!(Bytes::read(&text(written)), Ok(Bytes(bytes)), "{written}");
        }
        for written in ["", "MiB", "64XB", "-1", "1.5MiB", "99999999999999999999", "18446744073709551615k", "0"] {
            assert!(Bytes::read(&text(written)).is_err(), "{written}");
        }
    }

    #[test]
    fn counts() {
        for (written, count) in [("150M", 150_000_000), ("20k", 20_000), ("200", 200)] {
            assert_eq!(u64::read(&text(written)), Ok(count), "{written}");
        }
        assert!(u64::read(&text("1MiB")).is_err());
        assert!(u32::read(&text("5G")).is_err());
    }

    #[test]
    fn durations() {
        for (written, seconds) in [("30s", 30), ("10m", 600), ("24h", 86_400), ("30d", 2_592_000), ("2000ms", 2)] {
            assert_eq!(Duration::read(&text(written)), Ok(Duration::from_secs(seconds)), "{written}");
        }
        for written in ["30", "s", "1.5s", "10M", "0s", "99999999999999999d", "1h30m"] {
            assert!(Duration::read(&text(written)).is_err(), "{written}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let url = StoreUrl::parse("https://user:hunter2@origin.example.com/a?sig=hunter2").unwrap();
        let shown = format!("{url} {url:?} {:?}", Secret::new("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(url.as_url().as_str().contains("hunter2"));
    }
}
