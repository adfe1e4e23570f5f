//! Private download URLs (spec 2.1): `…?e=<deadline>&token=<AK>:<signature>`.
//!
//! What is signed is the URL as text, up to `&token=`: the style, the fops and every other parameter are inside it.
//! So nothing may follow the token, and nothing here is decoded or encoded again before it is signed.

use percent_encoding::percent_decode_str;

use super::{Error, Grant, KeyRing};

const TOKEN: &str = "&token=";

/// The private form of `url`, valid up to and including second `expires` of the epoch.
///
/// `url` has its scheme and is percent-encoded as it will be sent; a fragment is cut off, since it is never sent.
/// `None` for an unknown access key.
pub fn sign(url: &str, access_key: &str, keys: &KeyRing, expires: u64) -> Option<String> {
    let url = url.split('#').next().unwrap_or(url);
    let joint = if url.contains('?') { '&' } else { '?' };
    let dated = format!("{url}{joint}e={expires}");
    let token = keys.sign(access_key, &dated)?;
    Some(format!("{dated}{TOKEN}{token}"))
}

/// Checks the token of a request for an object of `bucket`, at second `now` of the epoch.
///
/// `host` is the `Host` header and `uri` the path and query, both exactly as received. The scheme is not known behind
/// a proxy that ends TLS, so a signature over either scheme is good.
///
/// # Errors
/// [`Error::TokenMissing`], [`Error::BadToken`]; and once the signature is good, [`Error::Expired`] and
/// [`Error::NotAllowed`].
pub fn verify(host: &str, uri: &str, bucket: &str, now: u64, keys: &KeyRing) -> Result<Grant, Error> {
    let (signed, token) = split_token(uri)?;
    let token = percent_decode_str(token).decode_utf8().map_err(|_| Error::BadToken)?;
    let texts = ["http", "https"].iter().map(|scheme| format!("{scheme}://{host}{signed}"));
    let access_key = keys.signer(&token, texts).ok_or(Error::BadToken)?;
    let expires = deadline(signed).ok_or(Error::BadToken)?;
    if expires < now {
        return Err(Error::Expired);
    }
    keys.require(access_key, bucket)?;
    Ok(Grant { access_key: access_key.to_owned(), expires: Some(expires) })
}

/// The text before the last `&token=`, and the token. Only a token at the very end covers the whole request.
fn split_token(uri: &str) -> Result<(&str, &str), Error> {
    match uri.rsplit_once(TOKEN) {
        Some((_, token)) if token.contains('&') => Err(Error::BadToken),
        Some((signed, token)) => Ok((signed, token)),
        // A token that is the only parameter has no deadline beside it.
        None if uri.contains("?token=") => Err(Error::BadToken),
        None => Err(Error::TokenMissing),
    }
}

/// The last `e=` of the signed query: the one that the signer put there.
fn deadline(signed: &str) -> Option<u64> {
    let (_, query) = signed.split_once('?')?;
    query.rsplit('&').find_map(|component| component.strip_prefix("e="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: u64 = 1_451_491_200;

    /// Spec 2.1, the table: what is signed, and its token.
    const VECTORS: [(&str, &str, &str); 4] = [
        ("developer.qiniu.com", "/resource/flower.jpg", "v24Hqj-H6oM96pmWC-QgDm5JLbk="),
        ("img.example.com", "/gogopher.jpg?imageView2/2/w/200", "BmmM3LIFWwhUsJdR82qpGyGgZHY="),
        ("img.example.com", "/gogopher.jpg-small", "S-phmCUsQiWGJbVpDhU5GExm9NU="),
        ("img.example.com", "/%E4%B8%AD%E6%96%87/a%20b.jpg", "OTqcFONufShcdR3QtmaOG8Rj5Xs="),
    ];

    fn check(host: &str, uri: &str, now: u64) -> Result<Grant, Error> {
        verify(host, uri, "photos", now, &KeyRing::sample())
    }

    #[test]
    fn vectors() {
        for (host, uri, signature) in VECTORS {
            let joint = if uri.contains('?') { '&' } else { '?' };
            let signed = format!("{uri}{joint}e={DEADLINE}&token=MY_ACCESS_KEY:{signature}");
            let url = sign(&format!("http://{host}{uri}"), "MY_ACCESS_KEY", &KeyRing::sample(), DEADLINE);
            assert_eq!(url, Some(format!("http://{host}{signed}")));
            let grant = Grant { access_key: "MY_ACCESS_KEY".to_owned(), expires: Some(DEADLINE) };
            assert_eq!(check(host, &signed, DEADLINE), Ok(grant), "{uri}");
            assert_eq!(check(host, &signed, DEADLINE + 1), Err(Error::Expired), "{uri}");
            assert_eq!(check("evil.example.com", &signed, DEADLINE), Err(Error::BadToken), "{uri}");
        }
    }

    /// The token that the 2016 document prints does not belong to its keys.
    #[test]
    fn the_documents_wrong_token_is_refused() {
        let uri = format!("/resource/flower.jpg?e={DEADLINE}&token=MY_ACCESS_KEY:yN9WtB0lQheegAwva64yBuH3ZgU=");
        assert_eq!(check("developer.qiniu.com", &uri, DEADLINE), Err(Error::BadToken));
    }

    #[test]
    fn either_scheme_is_good() {
        for scheme in ["http", "https"] {
            let url = sign(&format!("{scheme}://h/a.jpg"), "MY_ACCESS_KEY", &KeyRing::sample(), 10).unwrap();
            assert!(check("h", url.split_once("://h").unwrap().1, 10).is_ok(), "{scheme}");
        }
    }

    #[test]
    fn refusals() {
        let signed = "/gogopher.jpg-small?e=1451491200";
        let token = "MY_ACCESS_KEY:S-phmCUsQiWGJbVpDhU5GExm9NU=";
        let table = [
            ("/gogopher.jpg-small".to_owned(), Error::TokenMissing),
            (signed.to_owned(), Error::TokenMissing),
            (format!("/gogopher.jpg-small?token={token}"), Error::BadToken),
            (format!("{signed}&token="), Error::BadToken),
            (format!("{signed}&token=MY_ACCESS_KEY"), Error::BadToken),
            (format!("{signed}&token=NOBODY:S-phmCUsQiWGJbVpDhU5GExm9NU="), Error::BadToken),
            (format!("{signed}&token={token}&imageView2/2/w/9"), Error::BadToken),
            (format!("{signed}&imageView2/2/w/9&token={token}"), Error::BadToken),
            (format!("/other.jpg?e=1451491200&token={token}"), Error::BadToken),
            (format!("{signed}9&token={token}"), Error::BadToken),
            (format!("{signed}&token=%FF"), Error::BadToken),
        ];
        for (uri, error) in table {
            assert_eq!(check("img.example.com", &uri, DEADLINE), Err(error), "{uri}");
        }
        let encoded = format!("{signed}&token={}", token.replace(':', "%3A").replace('=', "%3D"));
        assert!(check("img.example.com", &encoded, DEADLINE).is_ok());
    }

    /// A signature without `e=`, or with one that is no number, has no deadline and opens nothing.
    #[test]
    fn a_deadline_is_needed() {
        for uri in ["/a.jpg?v=1", "/a.jpg?e=soon", "/a.jpg?e="] {
            let token = KeyRing::sample().sign("MY_ACCESS_KEY", &format!("http://h{uri}")).unwrap();
            assert_eq!(check("h", &format!("{uri}&token={token}"), 0), Err(Error::BadToken), "{uri}");
        }
    }

    #[test]
    fn a_key_opens_only_its_buckets() {
        let url = sign("http://h/a.jpg", "OTHER_KEY", &KeyRing::sample(), 10).unwrap();
        let uri = url.strip_prefix("http://h").unwrap();
        assert_eq!(verify("h", uri, "photos", 0, &KeyRing::sample()), Err(Error::NotAllowed));
        assert!(verify("h", uri, "other", 0, &KeyRing::sample()).is_ok());
    }

    #[test]
    fn fragments_are_not_signed() {
        let keys = KeyRing::sample();
        assert_eq!(sign("http://h/a#b", "MY_ACCESS_KEY", &keys, 1), sign("http://h/a", "MY_ACCESS_KEY", &keys, 1));
        assert_eq!(sign("http://h/a", "NOBODY", &keys, 1), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_signed_verifies(path in "[!-~&&[^#]]{0,40}", now: u64, left in 0..1000_u64) {
            let expires = now.saturating_add(left);
            let url = sign(&format!("https://h/{path}"), "MY_ACCESS_KEY", &KeyRing::sample(), expires).unwrap();
            assert!(check("h", url.strip_prefix("https://h").unwrap(), now).is_ok(), "{url}");
        }

        #[test]
        fn any_uri_is_checked(uri in "(\\PC|[?&]|&token=|e=1|saveas/|/sign/|%7C){0,12}") {
            assert!(check("h", &uri, 0).is_err());
            assert!(crate::auth::saveas::verify("h", &uri, "photos", &KeyRing::sample()).is_err());
        }
    }
}
