//! Blitline's signed jobs (its spec, 4): a page without the secret may submit jobs for a while, to keys of one pattern.

use std::time::SystemTime;

use chrono::DateTime;
use sha1::{Digest, Sha1};

use super::{Error, KeyRing};

/// What a signed job says of itself.
#[derive(Clone, Copy, Debug)]
pub struct SignedJob<'a> {
    /// Whose secret signs it: an access key.
    pub public_token: &'a str,
    /// Until when it is good, as RFC 822 writes times.
    pub expires: &'a str,
    /// A regular expression that the keys of all its results match.
    pub key_transform: &'a str,
    /// Hexadecimal SHA-1 of secret, `expires` and `key_transform`.
    pub signature: &'a str,
}

/// The access key that signed `job`.
///
/// # Errors
/// [`Error::BadToken`] for an unknown token, another signature or a time that is none, [`Error::Expired`] behind its time.
pub fn signer<'k>(keys: &'k KeyRing, job: SignedJob<'_>, now: SystemTime) -> Result<&'k str, Error> {
    let access_key = keys.access_keys().find(|key| *key == job.public_token).ok_or(Error::BadToken)?;
    let secret = keys.get(access_key).ok_or(Error::BadToken)?.secret.expose();
    let digest = Sha1::new().chain_update(secret).chain_update(job.expires).chain_update(job.key_transform).finalize();
    let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    if !is_same(&expected, &job.signature.to_ascii_lowercase()) {
        return Err(Error::BadToken);
    }
    let expires = DateTime::parse_from_rfc2822(job.expires).map_err(|_| Error::BadToken)?;
    if SystemTime::from(expires) <= now { Err(Error::Expired) } else { Ok(access_key) }
}

/// Whether two texts are the same, in a time that depends on their lengths alone.
fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Key;
    use crate::settings::Secret;

    /// The vector of the specification.
    const JOB: SignedJob<'static> = SignedJob {
        public_token: "page",
        expires: "Sun, 12 Oct 2014 00:00:00 +0000",
        key_transform: "^myfolder",
        signature: "9ed994e8426ac22ad1f12b8efa6cc2071810cfa5",
    };

    #[test]
    fn the_vector_is_good_until_its_time() {
        let key = Key { secret: Secret::new("87Hyu684720923"), buckets: vec!["*".to_owned()] };
        let keys = KeyRing::new([("page".to_owned(), key)]);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_413_072_000);
        let signer = |job, now| signer(&keys, job, now).map_err(|error| error.to_string());
        assert_eq!(signer(JOB, end - Duration::from_secs(1)), Ok("page"));
        assert_eq!(signer(JOB, end), Err(Error::Expired.to_string()));
        for job in [
            SignedJob { public_token: "other", ..JOB },
            SignedJob { expires: "Sun, 12 Oct 2024 00:00:00 +0000", ..JOB },
            SignedJob { key_transform: "^", ..JOB },
            SignedJob { signature: "", ..JOB },
            SignedJob { signature: "9ed994e8426ac22ad1f12b8efa6cc2071810cfa4", ..JOB },
        ] {
            assert_eq!(signer(job, SystemTime::UNIX_EPOCH), Err(Error::BadToken.to_string()), "{job:?}");
        }
    }
}
