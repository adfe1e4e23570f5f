//! Tokens of users who signed in once with access key and secret: signed by that secret, stateless, expiring.
//!
//! A token is `<access key>.<seconds of the epoch>.<signature>`, the first in URL-safe Base64 without padding; the signature is
//! that of the HMAC-SHA256, under the key's secret, of `mogr-user-1`, access key and seconds, joined by line feeds. A key that
//! leaves the configuration, or gets another secret, takes its tokens with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;

use super::{Error, Grant, HmacSha256, KeyRing, hmac_sha256};

/// The token of `access_key`, good up to and including second `expires`; `None` for an unknown key.
pub fn issue(access_key: &str, expires: u64, keys: &KeyRing) -> Option<String> {
    let secret = keys.get(access_key)?.secret.expose();
    let signature = URL_SAFE_NO_PAD.encode(signed(secret, access_key, &expires.to_string()).finalize().into_bytes());
    Some(format!("{}.{expires}.{signature}", URL_SAFE_NO_PAD.encode(access_key)))
}

/// The token of whoever knows the secret of `access_key`; `None` for who does not. Takes the same time however much of it is right.
pub fn sign_in(access_key: &str, secret: &str, expires: u64, keys: &KeyRing) -> Option<String> {
    let known = hmac_sha256(keys.get(access_key)?.secret.expose(), &["mogr-user-1"]);
    let given = hmac_sha256(secret, &["mogr-user-1"]).finalize().into_bytes();
    known.verify(&given).ok()?;
    issue(access_key, expires, keys)
}

/// Whose token it is, at second `now` of the epoch.
///
/// # Errors
/// [`Error::BadToken`], and [`Error::Expired`] once the signature is good.
pub fn verify(token: &str, now: u64, keys: &KeyRing) -> Result<Grant, Error> {
    let bad = || Error::BadToken;
    let [access_key, expires, signature] = token.split('.').collect::<Vec<_>>().try_into().map_err(|_| bad())?;
    let access_key =
        URL_SAFE_NO_PAD.decode(access_key).ok().and_then(|it| String::from_utf8(it).ok()).ok_or_else(bad)?;
    let secret = keys.get(&access_key).ok_or_else(bad)?.secret.expose();
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| bad())?;
    signed(secret, &access_key, expires).verify_slice(&signature).map_err(|_| bad())?;
    let expires = expires.parse().map_err(|_| bad())?;
    if expires < now {
        return Err(Error::Expired);
    }
    Ok(Grant { access_key, expires: Some(expires) })
}

fn signed(secret: &str, access_key: &str, expires: &str) -> HmacSha256 {
    hmac_sha256(secret, &["mogr-user-1", access_key, expires])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_their_user_until_they_expire() {
        let keys = KeyRing::sample();
        let token = issue("MY_ACCESS_KEY", 100, &keys).unwrap();
        let grant = Grant { access_key: "MY_ACCESS_KEY".to_owned(), expires: Some(100) };
        assert_eq!(verify(&token, 100, &keys), Ok(grant));
        assert_eq!(verify(&token, 101, &keys), Err(Error::Expired));
        assert_eq!(issue("nobody", 100, &keys), None);
        assert_eq!(sign_in("MY_ACCESS_KEY", "MY_SECRET_KEY", 100, &keys), Some(token.clone()));
        for (access_key, secret) in [("MY_ACCESS_KEY", "MY_SECRET_KE"), ("MY_ACCESS_KEY", ""), ("nobody", "")] {
            assert_eq!(sign_in(access_key, secret, 100, &keys), None, "{access_key} {secret}");
        }
        let other = issue("OTHER_KEY", 100, &keys).unwrap();
        let (_, signature) = other.rsplit_once('.').unwrap();
        let (named, _) = token.rsplit_once('.').unwrap();
        for wrong in
            ["", "..", "a.b.c", &token.replace(".100.", ".101."), &format!("{named}.{signature}"), &format!("{token}.")]
        {
            assert_eq!(verify(wrong, 0, &keys), Err(Error::BadToken), "{wrong}");
        }
    }
}
