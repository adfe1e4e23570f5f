//! Aliyun OSS as far as a client with temporary credentials needs it: credentials of our own, and the signature of a PutObject.
//!
//! Credentials are stateless. The security token holds what they open (owner, bucket, prefix, end), signed by the owner's secret
//! with HMAC-SHA256; the temporary key's id and secret are derived from it. They are good for writing below the prefix and for
//! nothing else.
//!
//! A request has `Authorization: OSS <id>:<signature>` and `x-oss-security-token`. The signature is Base64, with padding, of the
//! HMAC-SHA1 under the temporary secret of
//!
//! ```text
//! <method>
//! <Content-MD5>
//! <Content-Type>
//! <Date>
//! <each x-oss- header as name:value, by name, a line each>/<bucket>/<key>
//! ```
//!
//! where the key is decoded. Browsers cannot set `Date` and send `x-oss-date`, which then stands in both places.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::Mac;
use serde::{Deserialize, Serialize};

use super::{Error, KeyRing, hmac_sha256, keyed};

/// How far a request's date may be from the server's clock, as at the vendor.
const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

/// Most bytes of a token that is looked at.
const MAX_TOKEN_BYTES: usize = 4096;

/// What temporary credentials open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The access key that they stand for.
    pub owner: String,
    /// The bucket that may be written to.
    pub bucket: String,
    /// How keys must begin.
    pub prefix: String,
    /// Good up to and including this second of the epoch.
    pub expires: u64,
}

/// Temporary credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The temporary key's id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// What has to be sent with every request.
    pub token: String,
}

/// Credentials for `scope`; `None` for an unknown owner.
pub fn issue(scope: &Scope, keys: &KeyRing) -> Option<Credentials> {
    let secret = keys.get(&scope.owner)?.secret.expose();
    let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(scope).ok()?);
    let signature = hmac_sha256(secret, &["mogr-sts-1", &text]).finalize().into_bytes();
    Some(derived(secret, format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// The id and the secret that go with a token.
fn derived(owner_secret: &str, token: String) -> Credentials {
    let part = |label| URL_SAFE_NO_PAD.encode(hmac_sha256(owner_secret, &[label, &token]).finalize().into_bytes());
    let (id, secret) = (part("mogr-sts-1 id"), part("mogr-sts-1 secret"));
    Credentials { id: format!("STS.{}", &id[..24]), secret, token }
}

/// A request for an object, as received.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// Names in lower case, and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The bucket.
    pub bucket: &'a str,
    /// The key, decoded.
    pub key: &'a str,
}

impl<'a> Request<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }

    /// What is signed where the request is dated so.
    fn text(&self, date: &str) -> String {
        let mut own: Vec<_> = self.headers.iter().filter(|(name, _)| name.starts_with("x-oss-")).collect();
        own.sort_unstable();
        let own: String = own.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let plain = |name| self.header(name).unwrap_or_default();
        let (md5, media_type) = (plain("content-md5"), plain("content-type"));
        format!("{}\n{md5}\n{media_type}\n{date}\n{own}/{}/{}", self.method, self.bucket, self.key)
    }

    /// Its dates: whichever of them the client signed.
    fn dates(&self) -> impl Iterator<Item = &'a str> {
        self.header("date").into_iter().chain(self.header("x-oss-date"))
    }
}

/// Whether a request carries such a credential; whether it is good is another matter.
pub fn is_signed(authorization: Option<&str>) -> bool {
    authorization.is_some_and(|it| it.starts_with("OSS "))
}

/// What the credentials of a request open: `bucket` and a prefix of `key`, at `now`.
///
/// # Errors
/// [`Error::NoCredential`], [`Error::BadToken`] for a token or a signature that is not ours; and once these are good,
/// [`Error::Expired`], [`Error::Skewed`], [`Error::NotAllowed`] where they do not open this object.
pub fn verify(request: &Request<'_>, now: SystemTime, keys: &KeyRing) -> Result<Scope, Error> {
    let bad = || Error::BadToken;
    let authorization = request.header("authorization").ok_or(Error::NoCredential)?;
    let (id, signature) =
        authorization.strip_prefix("OSS ").and_then(|it| it.trim().split_once(':')).ok_or_else(bad)?;
    let token = request.header("x-oss-security-token").ok_or_else(bad)?;
    let (scope, secret) = read(token, keys).ok_or_else(bad)?;
    let credentials = derived(secret, token.to_owned());
    let signature = STANDARD.decode(signature).map_err(|_| bad())?;
    let is_of = |date| keyed(&credentials.secret, request.text(date).as_bytes()).verify_slice(&signature).is_ok();
    let date = request.dates().find(|date| is_of(date)).ok_or_else(bad)?;
    if credentials.id != id {
        return Err(bad());
    }
    if scope.expires < now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() {
        return Err(Error::Expired);
    }
    let dated = httpdate::parse_http_date(date).map_err(|_| Error::Skewed)?;
    let skew = now.duration_since(dated).or_else(|_| dated.duration_since(now)).unwrap_or_default();
    if skew > MAX_SKEW {
        return Err(Error::Skewed);
    }
    let opens = request.method == "PUT" && scope.bucket == request.bucket && request.key.starts_with(&scope.prefix);
    if !opens || !keys.allows(&scope.owner, &scope.bucket) {
        return Err(Error::NotAllowed);
    }
    Ok(scope)
}

/// What a token of ours holds, and its owner's secret.
fn read<'k>(token: &str, keys: &'k KeyRing) -> Option<(Scope, &'k str)> {
    let (text, signature) = token.split_once('.').filter(|_| token.len() <= MAX_TOKEN_BYTES)?;
    let scope: Scope = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let secret = keys.get(&scope.owner)?.secret.expose();
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    hmac_sha256(secret, &["mogr-sts-1", text]).verify_slice(&signature).ok()?;
    Some((scope, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn now() -> SystemTime {
        httpdate::parse_http_date(DATE).unwrap()
    }

    fn scope() -> Scope {
        let expires = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3600;
        Scope { owner: "OTHER_KEY".to_owned(), bucket: "other".to_owned(), prefix: "p1/".to_owned(), expires }
    }

    struct Sent {
        method: &'static str,
        bucket: &'static str,
        key: &'static str,
        date_header: &'static str,
        tampered: bool,
    }

    const GOOD: Sent = Sent { method: "PUT", bucket: "other", key: "p1/a b.jpg", date_header: "date", tampered: false };

    fn check(sent: &Sent, now: SystemTime) -> Result<Scope, Error> {
        let keys = KeyRing::sample();
        let credentials = issue(&scope(), &keys).unwrap();
        let mut headers = vec![
            ("x-oss-security-token", credentials.token.as_str()),
            ("content-type", "image/jpeg"),
            (sent.date_header, DATE),
        ];
        let Sent { method, bucket, key, .. } = *sent;
        let text = Request { method, headers: &headers, bucket, key }.text(DATE);
        let signature = STANDARD.encode(keyed(&credentials.secret, text.as_bytes()).finalize().into_bytes());
        let authorization = format!("OSS {}:{signature}", credentials.id);
        headers.push(("authorization", &authorization));
        if sent.tampered {
            headers.push(("x-oss-meta-a", "b"));
        }
        verify(&Request { method, headers: &headers, bucket, key }, now, &keys)
    }

    #[test]
    fn credentials_write_below_their_prefix_only() {
        assert_eq!(check(&GOOD, now()), Ok(scope()));
        assert_eq!(check(&Sent { date_header: "x-oss-date", ..GOOD }, now()), Ok(scope()));
        for (sent, error) in [
            (Sent { key: "p2/a.jpg", ..GOOD }, Error::NotAllowed),
            (Sent { bucket: "photos", ..GOOD }, Error::NotAllowed),
            (Sent { method: "GET", ..GOOD }, Error::NotAllowed),
            (Sent { method: "DELETE", ..GOOD }, Error::NotAllowed),
            (Sent { tampered: true, ..GOOD }, Error::BadToken),
        ] {
            assert_eq!(check(&sent, now()), Err(error), "{} {}", sent.method, sent.key);
        }
        assert_eq!(check(&GOOD, now() + Duration::from_secs(3601)), Err(Error::Expired));
        assert_eq!(check(&GOOD, now() + Duration::from_secs(1000)), Err(Error::Skewed));
        assert_eq!(check(&GOOD, now() - Duration::from_secs(1000)), Err(Error::Skewed));
    }

    #[test]
    fn only_tokens_of_ours_are_read() {
        let keys = KeyRing::sample();
        let token = issue(&scope(), &keys).unwrap().token;
        assert_eq!(read(&token, &keys).map(|(scope, _)| scope), Some(scope()));
        let wider = serde_json::to_vec(&Scope { prefix: String::new(), ..scope() }).unwrap();
        let (_, signature) = token.split_once('.').unwrap();
        let forged = format!("{}.{signature}", URL_SAFE_NO_PAD.encode(wider));
        for wrong in ["", ".", "a.b", &forged, &token[1..], &"a".repeat(10_000)] {
            assert!(read(wrong, &keys).is_none(), "{wrong}");
        }
    }
}
