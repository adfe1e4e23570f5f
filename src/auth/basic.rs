//! HTTP Basic: an access key and its secret, as they are (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;

use super::{Error, Grant, KeyRing, keyed};

/// The access key of an `Authorization` header whose secret is its own. Takes the same time wherever two secrets differ.
///
/// # Errors
/// [`Error::NoCredential`] for no such header, [`Error::BadToken`] for a key that is not known or another's secret.
pub fn caller(keys: &KeyRing, authorization: Option<&str>) -> Result<Grant, Error> {
    let (scheme, token) = authorization.and_then(|value| value.split_once(' ')).ok_or(Error::NoCredential)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Error::NoCredential);
    }
    let pair = STANDARD.decode(token.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
    let pair = pair.ok_or(Error::BadToken)?;
    let (access_key, secret) = pair.split_once(':').ok_or(Error::BadToken)?;
    let key = keys.get(access_key).ok_or(Error::BadToken)?;
    // Hashes are compared, whose lengths say nothing.
    let given = keyed(secret, access_key.as_bytes()).finalize().into_bytes();
    match keyed(key.secret.expose(), access_key.as_bytes()).verify_slice(&given) {
        Ok(()) => Ok(Grant { access_key: access_key.to_owned(), expires: None }),
        Err(_) => Err(Error::BadToken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared() {
        let ring = KeyRing::sample();
        let header = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let called = |value: &str| caller(&ring, Some(value)).map(|grant| grant.access_key);
        assert_eq!(called(&header("MY_ACCESS_KEY:MY_SECRET_KEY")).as_deref(), Ok("MY_ACCESS_KEY"));
        for wrong in ["MY_ACCESS_KEY:OTHER_SECRET", "MY_ACCESS_KEY:", "nobody:x", "MY_ACCESS_KEY", ""] {
            assert_eq!(called(&header(wrong)), Err(Error::BadToken), "{wrong}");
        }
        assert_eq!(called("Bearer x"), Err(Error::NoCredential));
        assert_eq!(called("Basic %%%"), Err(Error::BadToken));
        assert_eq!(caller(&ring, None), Err(Error::NoCredential));
    }
}
