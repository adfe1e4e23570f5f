//! What a bucket knows of an object besides its bytes: hash, media type, when it was put, by whom, until when.
//!
//! Facts live beside the objects, in the same store, as `.mogr/meta/<2 digits>/<38 digits>.json`, where the digits are the
//! SHA-1 of the key: folders keep no attributes, and a bucket that several nodes share must tell all of them the same.
//! (Names made of keys would be too long for some, and `a` could not stand beside `a/b`.) Facts carry the stamp of the bytes
//! that they are about. Where another hand has put other bytes under the key, the stamp differs and the facts are
//! ignored: hash and type are then worked out from the bytes. An object without facts is as good as any.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::parts::seconds;

/// The facts of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The key, for people who look at the file; the bucket sets it.
    pub key: String,
    /// Which bytes they are about; the bucket sets it.
    pub stamp: String,
    /// The vendor's hash.
    pub hash: String,
    /// The media type.
    pub media_type: String,
    /// When it was put, in units of 100 ns since 1970.
    pub put_time: u64,
    /// The end user that the uploader named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_user: Option<String>,
    /// The caller's own facts, by name with `x-qn-meta-`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When it expires, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The vendor's storage class, which is kept and told.
    pub class: u8,
}

impl Facts {
    /// Whether the object's time has come.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= seconds(now))
    }

    /// What stands for a key in names of notes.
    pub(super) fn digits(key: &str) -> String {
        Sha1::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The name of the note with the facts of `key`.
    pub(super) fn note(key: &str) -> String {
        let digits = Self::digits(key);
        format!("meta/{}/{}.json", &digits[..2], &digits[2..])
    }
}

/// A time in the vendor's unit, 100 ns.
pub fn put_time(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() * 10_000_000 + u64::from(since.subsec_nanos() / 100)
}

/// When an object that is kept for `days` days from `now` expires: at the next midnight in UTC+8 (spec 6.1). In seconds since
/// 1970.
pub fn expiry(now: SystemTime, days: u64) -> u64 {
    const DAY: u64 = 24 * 3600;
    const OFFSET: u64 = 8 * 3600;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let local = now.saturating_add(days.saturating_mul(DAY)).saturating_add(OFFSET);
    local.div_ceil(DAY).saturating_mul(DAY).saturating_sub(OFFSET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_expire_at_midnight_in_china() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        // 2024-01-01 00:00 +08:00 is 1704038400.
        for (now, days, expected) in [
            (1_704_038_400, 1, 1_704_124_800),
            (1_704_038_401, 1, 1_704_211_200),
            (1_704_124_799, 7, 1_704_729_600),
            (u64::MAX >> 8, u64::MAX, 0),
        ] {
            let expiry = expiry(at(now), days);
            assert!(expected == 0 || expiry == expected, "{now} {days}: {expiry}");
        }
    }

    #[test]
    fn facts_are_read_back_and_may_grow() {
        let facts = Facts { key: "猫".to_owned(), hash: "F".to_owned(), class: 1, ..Facts::default() };
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
        assert_eq!(serde_json::from_str::<Facts>(r#"{"hash":"x","later":1}"#).unwrap().hash, "x");
    }
}
