//! `saveas/<EncodedEntryURI>[/deleteAfterDays/<n>][/saveKey/…|/savePattern/…][/sign/<AK>:<sig>]` (spec 4.12).

use std::fmt;

use super::ParseError;
use super::scan::{Cursor, decode_base64, encode_base64};

/// The longest that a result can be kept for on a timer, in days.
const MAX_DAYS: u32 = 36_500;

/// A parsed `saveas`: where the result is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveAs {
    /// Destination bucket.
    pub bucket: String,
    /// Destination key; `None` in the bucket-only form, which needs a template.
    pub key: Option<String>,
    /// `deleteAfterDays/…`.
    pub delete_after_days: Option<u32>,
    /// `saveKey/…` or `savePattern/…`.
    pub template: Option<KeyTemplate>,
    /// `sign/…`; needed on delivery.
    pub signature: Option<Signature>,
}

/// A template that makes the destination's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTemplate {
    /// Of variables of the output.
    SaveKey(String),
    /// Of variables of the input.
    SavePattern(String),
}

/// The signature of a delivery-time `saveas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Who signed.
    pub access_key: String,
    /// URL-safe Base64 of the HMAC-SHA1.
    pub encoded: String,
}

impl SaveAs {
    /// Reads what follows `saveas/`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let (bucket, key) = cursor.read("entry", ENTRY, parse_entry)?;
        let mut saveas = Self { bucket, key, delete_after_days: None, template: None, signature: None };
        while let Some(name) = cursor.segment() {
            match name {
                "deleteAfterDays" => {
                    saveas.delete_after_days = Some(cursor.integer(name, 0..=MAX_DAYS)?).filter(|days| *days > 0);
                }
                "saveKey" => saveas.set_template(KeyTemplate::SaveKey(cursor.text(name, "a key template")?))?,
                "savePattern" => saveas.set_template(KeyTemplate::SavePattern(cursor.text(name, "a key template")?))?,
                "sign" => saveas.signature = Some(cursor.read(name, "<access key>:<signature>", parse_signature)?),
                _ => return Err(cursor.unknown(name, &["deleteAfterDays", "saveKey", "savePattern", "sign"])),
            }
        }
        if saveas.key.is_none() && saveas.template.is_none() {
            return Err(cursor.missing("key", "bucket:key in the entry, or saveKey or savePattern"));
        }
        Ok(saveas)
    }

    /// Sets the template, in place of an earlier one of the same kind.
    fn set_template(&mut self, template: KeyTemplate) -> Result<(), ParseError> {
        let kind = std::mem::discriminant(&template);
        match self.template.replace(template) {
            Some(earlier) if std::mem::discriminant(&earlier) != kind => {
                Err(ParseError::Order { fop: "saveas", problem: "saveKey and savePattern exclude each other" })
            }
            _ => Ok(()),
        }
    }
}

const ENTRY: &str = "URL-safe Base64 of bucket:key, or of a bucket";

/// Splits a decoded entry at its first `:` (spec 1.2). Keys may be empty and contain colons; buckets may not.
fn parse_entry(encoded: &str) -> Option<(String, Option<String>)> {
    let entry = decode_base64(encoded)?;
    let (bucket, key) = match entry.split_once(':') {
        Some((bucket, key)) => (bucket, Some(key.to_owned())),
        None => (entry.as_str(), None),
    };
    (!bucket.is_empty()).then(|| (bucket.to_owned(), key))
}

fn parse_signature(text: &str) -> Option<Signature> {
    let (access_key, encoded) = text.split_once(':')?;
    let signature = Signature { access_key: access_key.to_owned(), encoded: encoded.to_owned() };
    (!access_key.is_empty() && !encoded.is_empty()).then_some(signature)
}

impl fmt::Display for SaveAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "saveas/{}", encode_base64(format_args!("{}:{key}", self.bucket)))?,
            None => write!(f, "saveas/{}", encode_base64(&self.bucket))?,
        }
        if let Some(days) = self.delete_after_days {
            write!(f, "/deleteAfterDays/{days}")?;
        }
        match &self.template {
            Some(KeyTemplate::SaveKey(template)) => write!(f, "/saveKey/{}", encode_base64(template))?,
            Some(KeyTemplate::SavePattern(template)) => write!(f, "/savePattern/{}", encode_base64(template))?,
            None => {}
        }
        match &self.signature {
            Some(signature) => write!(f, "/sign/{}:{}", signature.access_key, signature.encoded),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_KEY: &str = "cGhvdG9zOnRodW1icy9nb2dvcGhlci0yMDAuanBn";

    fn parse(text: &str) -> Result<SaveAs, ParseError> {
        SaveAs::parse(&mut Cursor::new("saveas", Some(text)))
    }

    #[test]
    fn entries_split_at_the_first_colon() {
        for (entry, bucket, key) in [
            (TO_KEY, "photos", "thumbs/gogopher-200.jpg"),
            ("cGhvdG9zOmdvZ29waGVyLmpwZw", "photos", "gogopher.jpg"),
            ("cGhvdG9zOuS4reaWhy5qcGc=", "photos", "中文.jpg"),
            (&encode_base64("a:b:c"), "a", "b:c"),
            (&encode_base64("a:"), "a", ""),
        ] {
            let saveas = parse(entry).unwrap();
            assert_eq!((saveas.bucket.as_str(), saveas.key.as_deref()), (bucket, Some(key)), "{entry}");
            assert_eq!(parse(saveas.to_string().strip_prefix("saveas/").unwrap()), Ok(saveas));
        }
    }

    #[test]
    fn settings_come_in_any_order() {
        let sign = "MY_ACCESS_KEY:xZNwBztgxlPK3TZmbTXGkN5eInQ=";
        let template = encode_base64("$(etag).jpg");
        let canonical = format!("saveas/cGhvdG9z/deleteAfterDays/7/saveKey/{template}/sign/{sign}");
        for text in [
            format!("cGhvdG9z/sign/{sign}/saveKey/{template}/deleteAfterDays/7"),
            format!("cGhvdG9z/deleteAfterDays/7/saveKey/{template}/sign/{sign}"),
        ] {
            let saveas = parse(&text).unwrap();
            assert_eq!(saveas.template, Some(KeyTemplate::SaveKey("$(etag).jpg".to_owned())));
            assert_eq!(saveas.signature.as_ref().map(|sign| sign.access_key.as_str()), Some("MY_ACCESS_KEY"));
            assert_eq!(saveas.to_string(), canonical);
        }
        let saveas = parse(&format!("{TO_KEY}/savePattern/{template}/deleteAfterDays/0")).unwrap();
        assert_eq!(saveas.template, Some(KeyTemplate::SavePattern("$(etag).jpg".to_owned())));
        assert_eq!(saveas.delete_after_days, None, "0 keeps it");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("", "entry is missing"),
            ("!", "entry is \"!\"; expected URL-safe Base64 of bucket:key"),
            ("OmtleQ==", "entry is \"OmtleQ==\""),
            ("cGhvdG9z", "key is missing; expected bucket:key in the entry, or saveKey or savePattern"),
            ("cGhvdG9z/saveKey/!", "saveKey is \"!\"; expected URL-safe Base64 of a key template"),
            ("cGhvdG9z/saveKey/YQ/savePattern/YQ", "saveKey and savePattern exclude each other"),
            ("cGhvdG9zOmE/deleteAfterDays/-1", "deleteAfterDays is \"-1\"; expected an integer from 0 to 36500"),
            ("cGhvdG9zOmE/deleteAfterDays/36501", "expected an integer from 0 to 36500"),
            ("cGhvdG9zOmE/sign/AK", "sign is \"AK\"; expected <access key>:<signature>"),
            ("cGhvdG9zOmE/sign/:s", "sign is \":s\""),
            ("cGhvdG9zOmE/signature/AK:s", "unknown argument \"signature\""),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with("saveas: ") && message.contains(part), "{text}: {message}");
        }
    }
}
