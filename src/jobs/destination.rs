//! Where a result goes, once what it depends on is known.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use sha1::{Digest, Sha1};

use super::model::{Destination, OutputSpec, TemplateOf, clock};
use super::template::expand;
use crate::store::facts::expiry;

/// What keys are made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The source's bucket.
    pub bucket: &'a str,
    /// The source's key.
    pub key: &'a str,
    /// The vendor's hash of the source.
    pub source_hash: &'a str,
    /// The source's length.
    pub source_bytes: u64,
    /// The source's media type.
    pub source_type: &'a str,
    /// The time that keys may have in them.
    pub now: SystemTime,
}

/// Bucket and key of a result that can be named before it is made; `None` where its own bytes name it.
pub fn known<'a>(output: &'a OutputSpec, facts: &Facts<'a>) -> Option<(&'a str, String)> {
    match output.destination.place() {
        Destination::Derived => Some((facts.bucket, derived_key(&output.command, facts.source_hash))),
        Destination::Object { bucket, key } => Some((bucket, key.clone())),
        Destination::Template { bucket, template, of: TemplateOf::Source } => {
            Some((bucket, expand(template, |name| source_variable(name, facts))))
        }
        Destination::Template { of: TemplateOf::Result, .. } | Destination::ForDays { .. } => None,
    }
}

/// Bucket and key of the result whose hash is `hash`.
pub fn of_result<'a>(output: &'a OutputSpec, facts: &Facts<'a>, hash: &str) -> (&'a str, String) {
    match output.destination.place() {
        Destination::Template { bucket, template, of: TemplateOf::Result } => {
            (bucket, expand(template, |name| result_variable(name, hash, facts.now)))
        }
        _ => known(output, facts).expect("only templates of the result need its bytes"),
    }
}

/// When a result that is stored `now` expires, in seconds since 1970; `None` for never.
pub fn expires(output: &OutputSpec, now: SystemTime) -> Option<u64> {
    match &output.destination {
        Destination::ForDays { days, .. } => Some(expiry(now, u64::from(*days))),
        _ => None,
    }
}

/// The key of a result without a destination (spec 7.4): the command's hash and the source's.
pub fn derived_key(command: &str, source_hash: &str) -> String {
    format!("{}/{source_hash}", URL_SAFE.encode(Sha1::digest(command)))
}

/// The variables that `saveKey` has (spec 4.12); times are UTC+8, as all of the vendor's are.
fn result_variable(name: &str, hash: &str, now: SystemTime) -> Option<String> {
    if name == "etag" {
        return Some(hash.to_owned());
    }
    clock(now).find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The variables that `savePattern` has (spec 4.12).
fn source_variable(name: &str, facts: &Facts<'_>) -> Option<String> {
    let file = facts.key.rsplit('/').next().unwrap_or_default();
    let (prefix, extension) = file.rfind('.').map_or((file, ""), |dot| file.split_at(dot));
    Some(match name {
        "bucket" => facts.bucket.to_owned(),
        "key" => facts.key.to_owned(),
        "etag" => facts.source_hash.to_owned(),
        "fname" | "keybase" => file.to_owned(),
        "fprefix" => prefix.to_owned(),
        "ext" => extension.to_owned(),
        "fsize" => facts.source_bytes.to_string(),
        "mimeType" => facts.source_type.to_owned(),
        "endUser" => String::new(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FACTS: Facts<'static> = Facts {
        bucket: "photos",
        key: "spring/cat.small.jpg",
        source_hash: "FjgJQXuH7OresQL4zgRqYG5bZ64x",
        source_bytes: 214_513,
        source_type: "image/jpeg",
        now: SystemTime::UNIX_EPOCH,
    };

    /// The official examples that the formula reproduces, and two of our own (spec 7.4).
    #[test]
    fn commands_name_results() {
        for (command, folder) in [
            ("avthumb/iphone_low", "tZ-w8jHlQ0__PYJdiisskrK5h3k="),
            ("avthumb/mp3/ar/44100/ab/32k", "sFhZ4dSjB1zvL3De1UBX2qZ_VR0="),
            ("avthumb/mp3/aq/6/ar/16000", "1G8-OWwP3jPLvi7O3qOf7yCl4YI="),
            ("imageView2/2/w/200", "HenQYWBjgJ9x7I7WEMtKM200kjU="),
            ("imageMogr2/thumbnail/!50p", "avQoFpKyPJ6XZ-5i4nOfEuZNZ1U="),
            ("imageView2/1/w/200/h/200/q/85|watermark/2/text/5LiD54mb5LqR", "6BHufCEUcjVxNgZ53O4TlRyvplA="),
        ] {
            assert_eq!(derived_key(command, FACTS.source_hash), format!("{folder}/{}", FACTS.source_hash), "{command}");
        }
    }

    #[test]
    fn templates_are_expanded() {
        // 2024-02-29T20:03:04Z is the first of March at four in the morning, eight hours further east.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_236_984);
        let key = |template: &str, of| {
            let destination = Destination::Template { bucket: "out".to_owned(), template: template.to_owned(), of };
            let output = OutputSpec { command: String::new(), pipeline: String::new(), destination, name: None };
            let (bucket, key) = of_result(&output, &Facts { now, ..FACTS }, "FqmZPjZHBoFquj4lcXhQwmyc0Nid");
            assert_eq!(bucket, "out");
            key
        };
        for (template, of, expected) in [
            ("$(year)/$(mon)/$(day)/$(hour)$(min)$(sec)", TemplateOf::Result, "2024/03/01/040304"),
            ("$(etag)$(ext)", TemplateOf::Result, "FqmZPjZHBoFquj4lcXhQwmyc0Nid"),
            ("$(fprefix)-$(fsize)$(ext)", TemplateOf::Source, "cat.small-214513.jpg"),
            ("$(bucket)/$(key)/$(unknown)", TemplateOf::Source, "photos/spring/cat.small.jpg/"),
            ("plain $( text", TemplateOf::Source, "plain $( text"),
        ] {
            assert_eq!(key(template, of), expected, "{template}");
        }
    }
}
