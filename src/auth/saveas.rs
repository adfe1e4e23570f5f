//! The signature of a `saveas` in a delivery URL (spec 4.12): `…|saveas/<entry>/sign/<AK>:<signature>`.
//!
//! Signed is the host and the request URI without its scheme, up to `/sign/`, as it is on the wire.

use percent_encoding::percent_decode_str;

use super::{Error, Grant, KeyRing};

const SIGN: &str = "/sign/";

/// The same URL with its `saveas` signed; `None` for an unknown access key.
///
/// `url` has its scheme. A URL without `saveas`, or with one that is signed already, comes back as it is.
pub fn sign(url: &str, access_key: &str, keys: &KeyRing) -> Option<String> {
    let Some(end) = unsigned_end(url) else { return Some(url.to_owned()) };
    let (before, after) = url.split_at(end);
    let data = before.split_once("://").map_or(before, |(_, rest)| rest);
    let signature = keys.sign(access_key, data)?;
    Some(format!("{before}{SIGN}{signature}{after}"))
}

/// Checks that the `saveas` of a request is signed by a key that may write to `bucket`, its destination.
///
/// `host` is the `Host` header and `uri` the path and query, both exactly as received. A client may have sent `%7C`
/// where it signed `|`, or the other way round: both are tried after the text as it is.
///
/// # Errors
/// [`Error::SaveAsUnsigned`], [`Error::BadSaveAs`] and [`Error::NotAllowed`].
pub fn verify(host: &str, uri: &str, bucket: &str, keys: &KeyRing) -> Result<Grant, Error> {
    let (start, end) = stage(uri).ok_or(Error::SaveAsUnsigned)?;
    let at = uri[start..end].find(SIGN).ok_or(Error::SaveAsUnsigned)? + start;
    let (token, rest) = split_tail(&uri[at + SIGN.len()..end]);
    if !may_follow(rest) {
        return Err(Error::BadSaveAs);
    }
    let token = percent_decode_str(token).decode_utf8().map_err(|_| Error::BadSaveAs)?;
    let data = format!("{host}{}", &uri[..at]);
    let access_key = keys.signer(&token, spellings(data)).ok_or(Error::BadSaveAs)?;
    keys.require(access_key, bucket)?;
    Ok(Grant { access_key: access_key.to_owned(), expires: None })
}

/// `text`, then with every bar as `|`, then with every bar as `%7C`.
fn spellings(text: String) -> impl Iterator<Item = String> {
    let bare = text.replace("%7C", "|").replace("%7c", "|");
    let encoded = bare.replace('|', "%7C");
    [text, bare, encoded].into_iter()
}

/// Where the `saveas` stage of a URL's query begins and ends.
fn stage(url: &str) -> Option<(usize, usize)> {
    let query = url.find('?')? + 1;
    let start = url[query..].rmatch_indices("saveas/").map(|(at, _)| query + at).find(|at| {
        let before = &url[..*at];
        before.ends_with(['?', '&', '|']) || before.ends_with("%7C") || before.ends_with("%7c")
    })?;
    let end = url[start..].find(['&', '#']).map_or(url.len(), |length| start + length);
    Some((start, end))
}

/// Where to put the signature of a `saveas` that has none.
fn unsigned_end(url: &str) -> Option<usize> {
    let (start, end) = stage(url)?;
    (!url[start..end].contains(SIGN)).then_some(end)
}

/// The token, and what follows it in the stage.
fn split_tail(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

/// Whether `rest` may stand after a signature, which does not cover it: the vendor's pages put `deleteAfterDays` there.
/// Anything else, such as `savePattern`, could redirect what was signed.
fn may_follow(rest: &str) -> bool {
    rest.is_empty()
        || rest.strip_prefix("/deleteAfterDays/").is_some_and(|days| days.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "img.example.com";
    const BARE: &str = "/gogopher.jpg?imageView2/2/w/200|saveas/cGhvdG9zOnRodW1icy9nb2dvcGhlci0yMDAuanBn";
    const BARE_SIGN: &str = "MY_ACCESS_KEY:xZNwBztgxlPK3TZmbTXGkN5eInQ=";
    const ENCODED_SIGN: &str = "MY_ACCESS_KEY:pJNi9JhN_hTQJBpCvjMzN2Ckw-Y=";

    fn check(uri: &str) -> Result<Grant, Error> {
        verify(HOST, uri, "photos", &KeyRing::sample())
    }

    /// Spec 4.12: both signatures are good however the bar arrives.
    #[test]
    fn vectors() {
        let encoded = BARE.replace('|', "%7C");
        for uri in [BARE, &encoded, &BARE.replace('|', "%7c")] {
            for signature in [BARE_SIGN, ENCODED_SIGN] {
                let grant = check(&format!("{uri}/sign/{signature}")).unwrap();
                assert_eq!((grant.access_key.as_str(), grant.expires), ("MY_ACCESS_KEY", None));
            }
        }
        for (uri, signature) in [(BARE, BARE_SIGN), (&encoded, ENCODED_SIGN)] {
            let url = format!("http://{HOST}{uri}");
            assert_eq!(sign(&url, "MY_ACCESS_KEY", &KeyRing::sample()), Some(format!("{url}/sign/{signature}")));
        }
    }

    /// Spec 4.12: the full URL of a private bucket. The download token covers the signature.
    #[test]
    fn private_url() {
        let keys = KeyRing::sample();
        let url = sign(&format!("http://{HOST}{BARE}"), "MY_ACCESS_KEY", &keys).unwrap();
        let url = super::super::download::sign(&url, "MY_ACCESS_KEY", &keys, 1_451_491_200).unwrap();
        let expected = format!(
            "http://{HOST}{BARE}/sign/{BARE_SIGN}&e=1451491200&token=MY_ACCESS_KEY:K6PqbHQ4_CVWx-BwtnFBw7t9lL8="
        );
        assert_eq!(url, expected);
        assert!(check(url.strip_prefix("http://img.example.com").unwrap()).is_ok());
    }

    #[test]
    fn refusals() {
        let table = [
            (BARE.to_owned(), Error::SaveAsUnsigned),
            ("/a.jpg?imageView2/2/w/200".to_owned(), Error::SaveAsUnsigned),
            ("/a.jpg".to_owned(), Error::SaveAsUnsigned),
            (format!("{BARE}/sign/"), Error::BadSaveAs),
            (format!("{BARE}/sign/MY_ACCESS_KEY"), Error::BadSaveAs),
            (format!("{BARE}/sign/NOBODY:xZNwBztgxlPK3TZmbTXGkN5eInQ="), Error::BadSaveAs),
            (format!("{BARE}/sign/{BARE_SIGN}/savePattern/JChrZXkp"), Error::BadSaveAs),
            (format!("{BARE}/sign/{BARE_SIGN}|imageInfo"), Error::BadSaveAs),
            (format!("{BARE}/sign/{BARE_SIGN}/deleteAfterDays/x"), Error::BadSaveAs),
            (format!("{}/sign/{BARE_SIGN}", BARE.replace("/200", "/201")), Error::BadSaveAs),
        ];
        for (uri, error) in table {
            assert_eq!(check(&uri), Err(error), "{uri}");
        }
    }

    /// Choice: `deleteAfterDays` is signed when it stands before `/sign/`, and accepted unsigned after it.
    #[test]
    fn delete_after_days_may_follow() {
        assert!(check(&format!("{BARE}/sign/{BARE_SIGN}/deleteAfterDays/7&attname=a")).is_ok());
        let keys = KeyRing::sample();
        let url = sign(&format!("http://{HOST}{BARE}/deleteAfterDays/7&v=1"), "MY_ACCESS_KEY", &keys).unwrap();
        assert!(url.contains("/deleteAfterDays/7/sign/MY_ACCESS_KEY:") && url.ends_with("&v=1"), "{url}");
        assert!(check(url.strip_prefix("http://img.example.com").unwrap()).is_ok());
        assert_eq!(check(&url["http://img.example.com".len()..].replace("/7/", "/8/")), Err(Error::BadSaveAs));
    }

    #[test]
    fn a_key_writes_only_to_its_buckets() {
        let url = sign(&format!("http://{HOST}{BARE}"), "OTHER_KEY", &KeyRing::sample()).unwrap();
        let uri = url.strip_prefix("http://img.example.com").unwrap();
        assert_eq!(check(uri), Err(Error::NotAllowed));
        assert!(verify(HOST, uri, "other", &KeyRing::sample()).is_ok());
    }

    #[test]
    fn urls_without_a_saveas_to_sign_are_left_alone() {
        for url in ["http://h/a.jpg", "http://h/saveas/x", "http://h/a?v=saveas/", "http://h/a?saveas/eA==/sign/A:b"] {
            assert_eq!(sign(url, "MY_ACCESS_KEY", &KeyRing::sample()).as_deref(), Some(url));
        }
    }
}
