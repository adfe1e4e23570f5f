//! URLs that one object may be put to: `/<bucket>/<key>?expires=<seconds>&signature=<signature>`.
//!
//! The signature is URL-safe Base64 without padding of the HMAC-SHA256, under the owner's secret, of `mogr-put-1`, the path as it
//! is sent and the seconds of the epoch until which it is good, joined by line feeds. Nothing else of a request is covered:
//! scheme and host may change on the way, headers and body are the sender's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;

use super::{Error, HmacSha256, hmac_sha256};

/// The signed form of a path, good up to and including second `expires` of the epoch.
pub fn sign(path: &str, expires: u64, secret: &str) -> String {
    let signature = signed(path, &expires.to_string(), secret).finalize().into_bytes();
    format!("{path}?expires={expires}&signature={}", URL_SAFE_NO_PAD.encode(signature))
}

/// Whether a query has the form of a signed one; whether it is good is another matter.
pub fn is_signed(query: &str) -> bool {
    parts(query).is_some()
}

/// Checks a request at second `now` of the epoch; path and query are as received.
///
/// # Errors
/// [`Error::BadUrlSignature`], and [`Error::UrlExpired`] once the signature is good.
pub fn verify(path: &str, query: &str, now: u64, secret: &str) -> Result<(), Error> {
    let bad = || Error::BadUrlSignature;
    let (expires, signature) = parts(query).ok_or_else(bad)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| bad())?;
    signed(path, expires, secret).verify_slice(&signature).map_err(|_| bad())?;
    let expires: u64 = expires.parse().map_err(|_| bad())?;
    if expires < now { Err(Error::UrlExpired) } else { Ok(()) }
}

fn parts(query: &str) -> Option<(&str, &str)> {
    query.strip_prefix("expires=")?.split_once("&signature=")
}

fn signed(path: &str, expires: &str, secret: &str) -> HmacSha256 {
    hmac_sha256(secret, &["mogr-put-1", path, expires])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_good_for_their_path_and_time() {
        let url = sign("/photos/a/b.jpg", 100, "SK");
        let (path, query) = url.split_once('?').unwrap();
        assert!(is_signed(query) && !is_signed("a=b") && !is_signed("expires=1"));
        assert_eq!(verify(path, query, 100, "SK"), Ok(()));
        assert_eq!(verify(path, query, 101, "SK"), Err(Error::UrlExpired));
        for (path, query, secret) in [
            ("/photos/a/c.jpg", query, "SK"),
            (path, query, "sk"),
            (path, &query.replace("100", "101"), "SK"),
            (path, &format!("{query}x"), "SK"),
            (path, "expires=100&signature=", "SK"),
            (path, "", "SK"),
        ] {
            assert_eq!(verify(path, query, 0, secret), Err(Error::BadUrlSignature), "{path} {query}");
        }
    }

    /// Made with `printf 'mogr-put-1\n/photos/a/b.jpg\n100' | openssl dgst -sha256 -hmac SK -binary | basenc --base64url`.
    #[test]
    fn a_vector_of_openssl() {
        assert_eq!(
            sign("/photos/a/b.jpg", 100, "SK"),
            "/photos/a/b.jpg?expires=100&signature=Et7bs5I1lwZElciU2kcW7T2oagfdB81a0twI86vsdqk"
        );
    }
}
