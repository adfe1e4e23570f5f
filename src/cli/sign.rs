//! `mogr sign URL`: the signed form of a delivery URL: of a signed bucket our own, else the vendor's (spec 2.1, 4.12).

use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::auth::{KeyRing, download, saveas, signed_url};
use crate::config::Config;

/// How long a URL is good for unless its author says otherwise.
pub const DEFAULT_EXPIRES: Duration = Duration::from_secs(3600);

/// Why a URL cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the URL of an image on a server.
    #[error("{url:?} is not an http or https URL: {problem}")]
    NotAUrl {
        /// As written.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The URL has a token already.
    #[error("the URL has a token already; sign the URL without e= and token=")]
    Signed,
    /// The URL has a signature of ours already.
    #[error("the URL is signed already; sign the URL without mogr-expires=, mogr-key= and mogr-signature=")]
    SignedByUs,
    /// No access key was named, and there is not just one.
    #[error("name the access key to sign with, by --key: {}", listed(.known))]
    WhichKey {
        /// The access keys of the configuration.
        known: Vec<String>,
    },
    /// The access key is not in the configuration.
    #[error("there is no access key {name:?}: {}", listed(.known))]
    UnknownKey {
        /// As written.
        name: String,
        /// The access keys of the configuration.
        known: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "the configuration has none; add [keys.NAME] with a secret".to_owned(),
        names => format!("the configuration has {}", names.join(", ")),
    }
}

/// `url` in the signed form that its bucket asks for, good for `expires` from second `now` of the epoch on.
///
/// # Errors
/// Any [`Error`].
pub fn sign(
    url: &str,
    config: &Config,
    access_key: Option<&str>,
    now: u64,
    expires: Duration,
) -> Result<String, Error> {
    let sent = as_sent(url)?;
    let keys = config.key_ring();
    match bucket_of(&sent, config) {
        Some(bucket) if config.buckets.get(bucket).is_some_and(|it| it.signed) => {
            sign_ours(&sent, bucket, &keys, access_key, now.saturating_add(expires.as_secs()))
        }
        _ => sign_private(&sent, &keys, access_key, now, expires),
    }
}

/// The bucket that a delivery URL is for: by its host, else by its first segment; as the server finds it.
fn bucket_of<'a>(url: &str, config: &'a Config) -> Option<&'a str> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let first = percent_decode_str(url.path_segments()?.next()?).decode_utf8().ok()?;
    let claims = |wanted: &str| config.buckets.iter().find(|(_, it)| it.domains.iter().any(|domain| domain == wanted));
    let named = || config.buckets.get_key_value(first.as_ref());
    claims(host).or_else(|| claims("*")).or_else(named).map(|(name, _)| name.as_str())
}

fn sign_ours(url: &str, bucket: &str, keys: &KeyRing, access_key: Option<&str>, expires: u64) -> Result<String, Error> {
    if signed_url::is_signed(url) {
        return Err(Error::SignedByUs);
    }
    let access_key = choose(keys, access_key)?;
    let unknown = || Error::UnknownKey { name: access_key.to_owned(), known: names(keys) };
    let url = saveas::sign(url, access_key, keys).ok_or_else(unknown)?;
    // A URL as it is sent has a path, and nothing before it has a slash but the two of its scheme.
    let path = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    let signed = signed_url::sign(bucket, &url[path..], access_key, keys, expires).ok_or_else(unknown)?;
    Ok(format!("{}{signed}", &url[..path]))
}

/// `url` as a private download that is good for `expires` from second `now` of the epoch on; a `saveas` in it that is
/// not signed yet is signed first.
///
/// What is signed is the URL as browsers send it: with characters encoded that may not stand in one, and the host in
/// lower case. `|` stays. Without `access_key`, the only one of `keys` signs.
///
/// # Errors
/// Any [`Error`].
fn sign_private(
    url: &str,
    keys: &KeyRing,
    access_key: Option<&str>,
    now: u64,
    expires: Duration,
) -> Result<String, Error> {
    if url.contains("&token=") || url.contains("?token=") {
        return Err(Error::Signed);
    }
    let access_key = choose(keys, access_key)?;
    let unknown = || Error::UnknownKey { name: access_key.to_owned(), known: names(keys) };
    let saved = saveas::sign(url, access_key, keys).ok_or_else(unknown)?;
    let deadline = now.saturating_add(expires.as_secs());
    download::sign(&saved, access_key, keys, deadline).ok_or_else(unknown)
}

fn as_sent(url: &str) -> Result<String, Error> {
    let refuse = |problem: String| Error::NotAUrl { url: url.to_owned(), problem };
    let mut parsed = Url::parse(url).map_err(|error| refuse(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(refuse(format!("its scheme is {}", parsed.scheme())));
    }
    parsed.set_fragment(None);
    Ok(parsed.into())
}

fn names(keys: &KeyRing) -> Vec<String> {
    keys.access_keys().map(str::to_owned).collect()
}

/// The access key that signs: the one that is named, else the only one.
///
/// # Errors
/// [`Error::WhichKey`].
pub(super) fn choose<'a>(keys: &'a KeyRing, named: Option<&'a str>) -> Result<&'a str, Error> {
    let mut known = keys.access_keys();
    match (named, known.next(), known.next()) {
        (Some(name), ..) => Ok(name),
        (None, Some(only), None) => Ok(only),
        _ => Err(Error::WhichKey { known: names(keys) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Key;
    use crate::settings::Secret;

    const NOW: u64 = 1_451_491_200 - 3600;

    fn signed(url: &str, key: Option<&str>) -> Result<String, Error> {
        sign_private(&as_sent(url)?, &KeyRing::sample(), key, NOW, DEFAULT_EXPIRES)
    }

    #[test]
    fn signs() {
        for (url, expected) in [
            (
                "http://developer.qiniu.com/resource/flower.jpg",
                "http://developer.qiniu.com/resource/flower.jpg?e=1451491200&token=MY_ACCESS_KEY:v24Hqj-H6oM96pmWC-QgDm5JLbk=",
            ),
            (
                "http://IMG.example.com/中文/a b.jpg#top",
                "http://img.example.com/%E4%B8%AD%E6%96%87/a%20b.jpg?e=1451491200&token=MY_ACCESS_KEY:OTqcFONufShcdR3QtmaOG8Rj5Xs=",
            ),
            (
                "http://img.example.com/gogopher.jpg?imageView2/2/w/200|saveas/cGhvdG9zOnRodW1icy9nb2dvcGhlci0yMDAuanBn",
                "http://img.example.com/gogopher.jpg?imageView2/2/w/200|saveas/cGhvdG9zOnRodW1icy9nb2dvcGhlci0yMDAuanBn/sign/MY_ACCESS_KEY:xZNwBztgxlPK3TZmbTXGkN5eInQ=&e=1451491200&token=MY_ACCESS_KEY:K6PqbHQ4_CVWx-BwtnFBw7t9lL8=",
            ),
        ] {
            assert_eq!(signed(url, Some("MY_ACCESS_KEY")).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn signed_buckets_have_signatures_of_ours() {
        let text = "keys.AK.secret = \"SK\"\n[buckets.photos]\nurl = \"memory:///\"\nsigned = true\n\
                    domains = [\"img.example.com\"]\n[buckets.plain]\nurl = \"memory:///\"\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mogr.toml");
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), []).unwrap();
        let signed = |url: &str| sign(url, &config, None, 10, Duration::from_secs(5));
        for (url, path, query) in [
            (
                "https://IMG.example.com:8443/中.jpg?imageView2/2/w/9|imageInfo#x",
                "/%E4%B8%AD.jpg",
                "imageView2/2/w/9|imageInfo",
            ),
            ("http://other.example.com/photos/a%2fb.jpg", "/photos/a%2fb.jpg", ""),
        ] {
            let url = signed(url).unwrap();
            let at = url.match_indices('/').nth(2).unwrap().0;
            assert!(url[at..].starts_with(path), "{url}");
            assert_eq!(signed_url::verify("photos", &url[at..], 15, &config.key_ring()).unwrap().query, query);
            assert_eq!(signed(&url), Err(Error::SignedByUs));
        }
        assert!(signed("http://other.example.com/plain/a.jpg").unwrap().contains("&token=AK:"));
    }

    #[test]
    fn the_only_key_signs() {
        let key = Key { secret: Secret::new("MY_SECRET_KEY"), buckets: Vec::new() };
        let ring = KeyRing::new([("MY_ACCESS_KEY".to_owned(), key)]);
        let url = sign_private("http://h/a", &ring, None, NOW, DEFAULT_EXPIRES).unwrap();
        assert_eq!(Ok(url), signed("http://h/a", Some("MY_ACCESS_KEY")));
    }

    #[test]
    fn refusals() {
        for (result, message) in [
            (signed("a.jpg", None), "\"a.jpg\" is not an http or https URL: relative URL without a base"),
            (signed("ftp://h/a", None), "\"ftp://h/a\" is not an http or https URL: its scheme is ftp"),
            (
                signed("http://h/a?e=1&token=A:b", None),
                "the URL has a token already; sign the URL without e= and token=",
            ),
            (
                signed("http://h/a", None),
                "name the access key to sign with, by --key: the configuration has MY_ACCESS_KEY, OTHER_KEY",
            ),
            (
                signed("http://h/a", Some("AK")),
                "there is no access key \"AK\": the configuration has MY_ACCESS_KEY, OTHER_KEY",
            ),
            (
                sign_private("http://h/a", &KeyRing::default(), None, 0, DEFAULT_EXPIRES),
                "name the access key to sign with, by --key: the configuration has none; add [keys.NAME] with a secret",
            ),
        ] {
            assert_eq!(result.unwrap_err().to_string(), message);
        }
    }
}
