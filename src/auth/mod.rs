//! Who may do what: one signature scheme per file, bytes and a clock in, a [`Grant`] out.
//!
//! Every signature of the vendor's is URL-safe Base64, with padding, of the HMAC-SHA1 of a text under a secret key, and is
//! written `AK:signature` (spec 2); [`signed_url`], [`put_url`] and [`user_token`] are ours, [`oss`] is another vendor's. Nothing here reads a clock, a socket or a file.

pub mod basic;
pub mod blitline;
pub mod cos;
pub mod download;
pub mod key_ring;
pub mod management;
pub mod notification;
pub mod oss;
pub mod put_url;
pub mod saveas;
pub mod signed_url;
pub mod upload;
pub mod user_token;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_PAD_INDIFFERENT};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use crate::error::ErrorKind;
pub use key_ring::{Key, KeyRing};

/// Why a request was not granted. `Display` is a text of the vendor's, safe for any caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A private download without `token=`.
    #[error("download token not specified")]
    TokenMissing,
    /// A download token that is malformed, by an unknown key, or over another text.
    #[error("bad token")]
    BadToken,
    /// A download token whose `e=` has passed.
    #[error("expired token")]
    Expired,
    /// A good signature by a key that may not use this bucket.
    #[error("not allowed")]
    NotAllowed,
    /// A URL of a bucket whose URLs must be signed that is not.
    #[error(
        "the URL is not signed; expected mogr-expires, mogr-key and mogr-signature at its end, as mogr sign makes them"
    )]
    UrlUnsigned,
    /// A signed URL that is malformed, by an unknown key, or not the one that was signed.
    #[error("bad signature of the URL")]
    BadUrlSignature,
    /// A signed URL whose time has passed.
    #[error("the signed URL has expired")]
    UrlExpired,
    /// A `saveas` on delivery without `sign/…`.
    #[error("saveas: sign is missing; expected sign/<access key>:<signature> after the entry")]
    SaveAsUnsigned,
    /// A `saveas` on delivery whose signature is malformed, by an unknown key, or over another text.
    #[error("saveas: bad sign; expected the signature of host and request URI before /sign/, as sent")]
    BadSaveAs,
    /// A request or an upload without any credential.
    #[error("token not specified")]
    NoCredential,
    /// A signed request that is dated too far from the server's clock.
    #[error("request time too skewed")]
    Skewed,
    /// An upload token whose policy, though signed, cannot be read.
    #[error("invalid put policy: {field} {problem}")]
    BadPolicy {
        /// The field, or `policy` for the whole.
        field: &'static str,
        /// What is wrong, and what was expected.
        problem: String,
    },
}

impl Error {
    /// What kind of failure it is. A `saveas` that is not signed as it must be is a bad request (spec 4.12).
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TokenMissing | Self::BadToken | Self::Expired | Self::NoCredential => ErrorKind::Unauthorized,
            Self::UrlUnsigned | Self::BadUrlSignature | Self::UrlExpired => ErrorKind::Unauthorized,
            Self::NotAllowed | Self::Skewed => ErrorKind::Forbidden,
            Self::SaveAsUnsigned | Self::BadSaveAs | Self::BadPolicy { .. } => ErrorKind::Invalid,
        }
    }
}

/// What a good signature grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The access key that signed.
    pub access_key: String,
    /// Until when, in seconds since the epoch; `None` without end.
    pub expires: Option<u64>,
}

/// The URL-safe Base64, with padding, of the HMAC-SHA1 of `data` under `secret`.
pub fn hmac_sha1_b64(secret: &str, data: &[u8]) -> String {
    URL_SAFE.encode(keyed(secret, data).finalize().into_bytes())
}

/// Whether `signature` is [`hmac_sha1_b64`] of `data`, with or without its padding. Takes the same time wherever the
/// two differ.
pub fn verify_hmac_sha1_b64(secret: &str, data: &[u8], signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_PAD_INDIFFERENT.decode(signature) else { return false };
    keyed(secret, data).verify_slice(&signature).is_ok()
}

fn keyed(secret: &str, data: &[u8]) -> Hmac<Sha1> {
    let mut mac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(data);
    mac
}

type HmacSha256 = Hmac<Sha256>;

/// The HMAC-SHA256 of `lines`, joined by line feeds, under `secret`.
fn hmac_sha256(secret: &str, lines: &[&str]) -> HmacSha256 {
    let mut mac = HmacSha256::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(lines.join("\n").as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, test case 2.
    #[test]
    fn hmac_sha1() {
        let data = b"what do ya want for nothing?";
        assert_eq!(hmac_sha1_b64("Jefe", data), "7_zfauXrL6LSdBbV8YTfnCWafHk=");
        assert!(verify_hmac_sha1_b64("Jefe", data, "7_zfauXrL6LSdBbV8YTfnCWafHk="));
        assert!(verify_hmac_sha1_b64("Jefe", data, "7_zfauXrL6LSdBbV8YTfnCWafHk"));
        for wrong in
            ["", "7_zfauXrL6LSdBbV8YTfnCWafHg=", "7_zfauXrL6LSdBbV8YTfnCWaf", "7/zfauXrL6LSdBbV8YTfnCWafHk=", "!"]
        {
            assert!(!verify_hmac_sha1_b64("Jefe", data, wrong), "{wrong}");
        }
        assert!(!verify_hmac_sha1_b64("jefe", data, "7_zfauXrL6LSdBbV8YTfnCWafHk="));
    }

    #[test]
    fn kinds() {
        for (error, kind, text) in [
            (Error::TokenMissing, ErrorKind::Unauthorized, "download token not specified"),
            (Error::BadToken, ErrorKind::Unauthorized, "bad token"),
            (Error::Expired, ErrorKind::Unauthorized, "expired token"),
            (Error::NotAllowed, ErrorKind::Forbidden, "not allowed"),
        ] {
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
        }
        assert_eq!(Error::BadSaveAs.kind(), ErrorKind::Invalid);
    }
}
