//! Signed URLs of our own, for buckets with `signed = true`: `…mogr-expires=<seconds>&mogr-key=<AK>&mogr-signature=<signature>`.
//!
//! The three stand last in the query, in this order. The signature is URL-safe Base64 without padding of the HMAC-SHA256, under
//! the secret of `<AK>`, of
//!
//! ```text
//! mogr-url-1
//! <bucket>
//! <path and query as they are sent, up to and without &mogr-signature=>
//! ```
//!
//! joined by line feeds, without one at the end. Nothing is decoded or encoded before it is signed, so `%2F` and `/`, or two
//! orders of parameters, are two URLs. The bucket is in it because it may come from the `Host` header: a signature for one
//! bucket says nothing about a key of the same name in another. Scheme, port and host name are not in it, so proxies may
//! change them.
//!
//! What a signature does not cover cannot widen what it opens. The method is `GET`, `HEAD` or `OPTIONS` only. `Range` and
//! conditions choose a part of the same answer, or none; `Accept` may choose the format where the signed URL leaves it to
//! negotiation. No header chooses object, style or operators. A key is replaced by a new one beside it: each URL names its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

use super::{Error, Grant, KeyRing};

const EXPIRES: &str = "mogr-expires=";
const KEY: &str = "&mogr-key=";
const SIGNATURE: &str = "&mogr-signature=";

/// What an access key is written without.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The signed form of a path and query of `bucket`, good up to and including second `expires` of the epoch.
///
/// `path_and_query` is percent-encoded as it will be sent. `None` for an unknown access key.
pub fn sign(bucket: &str, path_and_query: &str, access_key: &str, keys: &KeyRing, expires: u64) -> Option<String> {
    let secret = keys.get(access_key)?.secret.expose();
    let joint = if path_and_query.contains('?') { '&' } else { '?' };
    let key = utf8_percent_encode(access_key, ENCODED);
    let signed = format!("{path_and_query}{joint}{EXPIRES}{expires}{KEY}{key}");
    let signature = URL_SAFE_NO_PAD.encode(keyed(secret, bucket, &signed).finalize().into_bytes());
    Some(format!("{signed}{SIGNATURE}{signature}"))
}

/// A URL whose signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'u> {
    /// Who signed, and until when.
    pub grant: Grant,
    /// The query before what the signature added.
    pub query: &'u str,
}

/// Whether a path and query has the form of a signed one; whether it is good is another matter.
pub fn is_signed(path_and_query: &str) -> bool {
    path_and_query.contains(SIGNATURE)
}

/// Checks a request for an object of `bucket` at second `now` of the epoch. `path_and_query` is as received.
///
/// # Errors
/// [`Error::UrlUnsigned`], [`Error::BadUrlSignature`]; and once the signature is good, [`Error::UrlExpired`] and
/// [`Error::NotAllowed`].
pub fn verify<'u>(bucket: &str, path_and_query: &'u str, now: u64, keys: &KeyRing) -> Result<Signed<'u>, Error> {
    let (signed, signature) = path_and_query.rsplit_once(SIGNATURE).ok_or(Error::UrlUnsigned)?;
    let bad = || Error::BadUrlSignature;
    let (dated, key) = signed.rsplit_once(KEY).ok_or_else(bad)?;
    let access_key = percent_decode_str(key).decode_utf8().map_err(|_| bad())?;
    let secret = keys.get(&access_key).ok_or_else(bad)?.secret.expose();
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| bad())?;
    keyed(secret, bucket, signed).verify_slice(&signature).map_err(|_| bad())?;
    let (rest, expires) = dated.rsplit_once(EXPIRES).ok_or_else(bad)?;
    let expires = seconds(expires).ok_or_else(bad)?;
    let query = rest.split_once('?').ok_or_else(bad)?.1;
    if expires < now {
        return Err(Error::UrlExpired);
    }
    keys.require(&access_key, bucket)?;
    let grant = Grant { access_key: access_key.into_owned(), expires: Some(expires) };
    Ok(Signed { grant, query: query.strip_suffix('&').unwrap_or(query) })
}

fn seconds(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn keyed(secret: &str, bucket: &str, signed: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    for part in ["mogr-url-1\n", bucket, "\n", signed] {
        mac.update(part.as_bytes());
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Key;
    use crate::settings::Secret;

    const AK: &str = "MY_ACCESS_KEY";

    fn signed(uri: &str, expires: u64) -> String {
        sign("photos", uri, AK, &KeyRing::sample(), expires).unwrap()
    }

    fn check(uri: &str, now: u64) -> Result<Signed<'_>, Error> {
        verify("photos", uri, now, &KeyRing::sample())
    }

    /// Made with `printf 'mogr-url-1\nphotos\n/cat.jpg?mogr-expires=1700000000&mogr-key=MY_ACCESS_KEY' |
    /// openssl dgst -sha256 -hmac MY_SECRET_KEY -binary | basenc --base64url | tr -d =`.
    #[test]
    fn a_vector_of_openssl() {
        let url = "/cat.jpg?mogr-expires=1700000000&mogr-key=MY_ACCESS_KEY&mogr-signature=eB8k7C_T07lPsLjtsAQsAOdY8XpulcxVauPrZHKVqc4";
        assert_eq!(signed("/cat.jpg", 1_700_000_000), url);
    }

    #[test]
    fn good_ones() {
        for (uri, query) in [
            ("/cat.jpg", ""),
            ("/cat.jpg?imageView2/2/w/32", "imageView2/2/w/32"),
            (
                "/%E4%B8%AD%2f/a%20b.jpg-thumb?imageMogr2/thumbnail/!50p%7CimageInfo&attname=",
                "imageMogr2/thumbnail/!50p%7CimageInfo&attname=",
            ),
            (
                "/cat.jpg?v=1&mogr-expires=1&mogr-key=x&mogr-signature=y",
                "v=1&mogr-expires=1&mogr-key=x&mogr-signature=y",
            ),
        ] {
            let url = signed(uri, 10);
            let grant = Grant { access_key: AK.to_owned(), expires: Some(10) };
            assert_eq!(check(&url, 10), Ok(Signed { grant, query }), "{url}");
            assert_eq!(check(&url, 11), Err(Error::UrlExpired), "{url}");
            assert_eq!(verify("other", &url, 0, &KeyRing::sample()), Err(Error::BadUrlSignature), "{url}");
        }
    }

    #[test]
    fn refusals() {
        let url = signed("/a.jpg", 10);
        let (body, _) = url.rsplit_once(SIGNATURE).unwrap();
        for (uri, error) in [
            ("/a.jpg".to_owned(), Error::UrlUnsigned),
            (body.to_owned(), Error::UrlUnsigned),
            (format!("{body}{SIGNATURE}"), Error::BadUrlSignature),
            (format!("{url}&v=1"), Error::BadUrlSignature),
            (format!("{url}|imageInfo"), Error::BadUrlSignature),
            (format!("{url}="), Error::BadUrlSignature),
            (url.replace(AK, "OTHER_KEY"), Error::BadUrlSignature),
            (url.replace(AK, "NOBODY"), Error::BadUrlSignature),
            (url.replace(AK, "%FF"), Error::BadUrlSignature),
        ] {
            assert_eq!(check(&uri, 0), Err(error), "{uri}");
        }
    }

    /// A good signature of something that has no deadline, or one that is no number.
    #[test]
    fn a_deadline_is_needed() {
        for text in [
            "/a.jpg?v=1",
            "/a.jpg?mogr-expires=",
            "/a.jpg?mogr-expires=+5",
            "/a.jpg?mogr-expires=5&v=1",
            "/mogr-expires=5",
        ] {
            let text = format!("{text}{KEY}{AK}");
            let mac = keyed("MY_SECRET_KEY", "photos", &text).finalize().into_bytes();
            let uri = format!("{text}{SIGNATURE}{}", URL_SAFE_NO_PAD.encode(mac));
            assert_eq!(check(&uri, 0), Err(Error::BadUrlSignature), "{uri}");
        }
    }

    #[test]
    fn keys_may_have_any_characters_and_open_their_buckets() {
        let name = "ключ %&=";
        let key = Key { secret: Secret::new("s"), buckets: vec!["photos".to_owned()] };
        let ring = KeyRing::new([(name.to_owned(), key)]);
        let url = sign("photos", "/a", name, &ring, 10).unwrap();
        assert!(url.is_ascii());
        assert_eq!(verify("photos", &url, 0, &ring).unwrap().grant.access_key, name);
        let url = sign("other", "/a", name, &ring, 10).unwrap();
        assert_eq!(verify("other", &url, 0, &ring), Err(Error::NotAllowed));
        assert_eq!(sign("photos", "/a", "nobody", &ring, 1), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_signed_verifies(path in "/[!-~&&[^#?]]{0,30}(\\?[!-~&&[^#]]{0,30})?", now: u64, left in 0..1000_u64) {
            let url = signed(&path, now.saturating_add(left));
            assert!(check(&url, now).is_ok(), "{url}");
        }

        /// No byte can be changed, added or left out.
        #[test]
        fn tampering_shows(path in "/[a-z%/]{0,12}(\\?[a-z0-9/&=|%]{0,12})?", byte in 0x21..0x7f_u8) {
            let url = signed(&path, 100);
            for at in 0..url.len() {
                let (before, after) = (&url.as_bytes()[..at], &url.as_bytes()[at + 1..]);
                let changed = [before, &[byte], after].concat();
                let longer = [before, &[byte], &url.as_bytes()[at..]].concat();
                let shorter = [before, after].concat();
                for other in [changed, longer, shorter] {
                    let other = String::from_utf8(other).unwrap();
                    assert!(other == url || check(&other, 0).is_err(), "{other} passes for {url}");
                }
            }
            let longer = format!("{url}{}", char::from(byte));
            assert!(check(&longer, 0).is_err(), "{longer}");
        }

        #[test]
        fn any_uri_is_checked(uri in "(\\PC|[?&]|&mogr-key=|mogr-expires=1|&mogr-signature=|MY_ACCESS_KEY){0,12}") {
            assert!(check(&uri, 0).is_err());
        }
    }
}
