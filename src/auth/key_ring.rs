//! The access keys that this server knows.

use std::collections::BTreeMap;

use super::{Error, hmac_sha1_b64, verify_hmac_sha1_b64};
use crate::settings::Secret;

/// A secret key and the buckets that its holder may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The secret key.
    pub secret: Secret,
    /// Names of buckets; `*` is every bucket.
    pub buckets: Vec<String>,
}

/// Access keys and what they open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing(BTreeMap<String, Key>);

impl KeyRing {
    /// A ring of these keys.
    pub fn new(keys: impl IntoIterator<Item = (String, Key)>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// The key of that access key.
    pub fn get(&self, access_key: &str) -> Option<&Key> {
        self.0.get(access_key)
    }

    /// Every access key, in order.
    pub fn access_keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether `access_key` is known and may use `bucket`.
    pub fn allows(&self, access_key: &str, bucket: &str) -> bool {
        self.get(access_key).is_some_and(|key| key.buckets.iter().any(|allowed| allowed == "*" || allowed == bucket))
    }

    /// Whether `access_key` is known and may use every bucket.
    pub fn allows_all(&self, access_key: &str) -> bool {
        self.get(access_key).is_some_and(|key| key.buckets.iter().any(|allowed| allowed == "*"))
    }

    /// `AK:signature` of `data`; `None` for an unknown access key.
    pub fn sign(&self, access_key: &str, data: &str) -> Option<String> {
        let key = self.get(access_key)?;
        Some(format!("{access_key}:{}", hmac_sha1_b64(key.secret.expose(), data.as_bytes())))
    }

    /// The access key of `token`, which is `AK:signature`, if it signs one of `texts`.
    pub(super) fn signer<'t>(
        &self,
        token: &'t str,
        mut texts: impl Iterator<Item = impl AsRef<[u8]>>,
    ) -> Option<&'t str> {
        let (access_key, signature) = token.split_once(':')?;
        let secret = self.get(access_key)?.secret.expose();
        texts.any(|text| verify_hmac_sha1_b64(secret, text.as_ref(), signature)).then_some(access_key)
    }

    /// Refuses `access_key` unless it may use `bucket`.
    pub(super) fn require(&self, access_key: &str, bucket: &str) -> Result<(), Error> {
        if self.allows(access_key, bucket) { Ok(()) } else { Err(Error::NotAllowed) }
    }

    /// The sample credentials of the specification, and a key that opens only bucket `other`.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        let key = |secret: &str, bucket: &str| Key { secret: Secret::new(secret), buckets: vec![bucket.to_owned()] };
        Self::new([
            ("MY_ACCESS_KEY".to_owned(), key("MY_SECRET_KEY", "*")),
            ("OTHER_KEY".to_owned(), key("OTHER_SECRET", "other")),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_open_their_buckets() {
        let ring = KeyRing::sample();
        for (key, bucket, allowed) in [
            ("MY_ACCESS_KEY", "photos", true),
            ("OTHER_KEY", "other", true),
            ("OTHER_KEY", "photos", false),
            ("OTHER_KEY", "*", false),
            ("nobody", "photos", false),
        ] {
            assert_eq!(ring.allows(key, bucket), allowed, "{key} {bucket}");
        }
        assert!(!format!("{ring:?}").contains("SECRET"), "{ring:?}");
    }
}
