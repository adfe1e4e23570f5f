//! Entries and other texts of paths: URL-safe Base64 (spec 1.1, 1.2).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};

use super::failure::Failure;

/// An object, by bucket and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl Entry {
    /// Reads `bucket:key` in Base64; the first colon divides.
    ///
    /// # Errors
    /// 400 that names the text.
    pub fn decode(encoded: &str) -> Result<Self, Failure> {
        let text = decode_text("entry", encoded)?;
        let (bucket, key) = text.split_once(':').filter(|(bucket, _)| !bucket.is_empty()).ok_or_else(|| {
            Failure::invalid(format!("invalid argument: entry {encoded:?}; expected URL-safe Base64 of bucket:key"))
        })?;
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

/// Text out of Base64, with or without padding, of either alphabet.
///
/// # Errors
/// 400 that names the argument and the text.
pub fn decode_text(argument: &str, encoded: &str) -> Result<String, Failure> {
    let bytes = URL_SAFE_PAD_INDIFFERENT.decode(encoded).or_else(|_| STANDARD_PAD_INDIFFERENT.decode(encoded));
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| {
        Failure::invalid(format!("invalid argument: {argument} {encoded:?}; expected URL-safe Base64 of UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        for (encoded, bucket, key) in [
            ("cGhvdG9zOmdvZ29waGVyLmpwZw==", "photos", "gogopher.jpg"),
            ("cGhvdG9zOmdvZ29waGVyLmpwZw", "photos", "gogopher.jpg"),
            ("cGhvdG9zOmE_Yj5jfmQuanBn", "photos", "a?b>c~d.jpg"),
            ("cGhvdG9zOuS4reaWhy5qcGc=", "photos", "中文.jpg"),
            ("YTpiOmM=", "a", "b:c"),
            ("YTo=", "a", ""),
        ] {
            let entry = Entry { bucket: bucket.to_owned(), key: key.to_owned() };
            assert_eq!(Entry::decode(encoded), Ok(entry), "{encoded}");
        }
        for encoded in ["", "$", "cGhvdG9z", "OmE=", "YTr_"] {
            assert_eq!(Entry::decode(encoded).unwrap_err().status, 400, "{encoded}");
        }
    }
}
