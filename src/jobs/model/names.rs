//! Names of jobs, and times as they are stored and written.

use std::fmt;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};

/// Names a job: 24 hexadecimal digits, the first eight of which are its second since 1970. The rest is random, so that who
/// does not know a job's name cannot guess it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(String);

impl JobId {
    /// A new name.
    pub fn new(now: SystemTime) -> Self {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&((millis(now) / 1000) as u32).to_be_bytes());
        getrandom::fill(&mut bytes[4..]).expect("the system has random numbers");
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The name that `text` is; `None` where it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 24 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Milliseconds since 1970, as times are stored.
pub(crate) fn millis(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The time of [`millis`].
pub(crate) fn time(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.max(0) as u64)
}

/// A time in the zone of all the vendor's times, UTC+8.
pub fn vendor_time(time: SystemTime) -> DateTime<FixedOffset> {
    const EAST_SECONDS: i32 = 8 * 3600;
    DateTime::<Utc>::from(time).with_timezone(&FixedOffset::east_opt(EAST_SECONDS).expect("less than a day"))
}

/// The variables of keys that tell the time, and how they are written (spec 6.2).
const CLOCK: [(&str, &str); 6] =
    [("year", "%Y"), ("mon", "%m"), ("day", "%d"), ("hour", "%H"), ("min", "%M"), ("sec", "%S")];

/// Every variable of keys that tells the time, at `now`, in the vendor's zone.
pub fn clock(now: SystemTime) -> impl Iterator<Item = (&'static str, String)> {
    let now = vendor_time(now);
    CLOCK.into_iter().map(move |(name, format)| (name, now.format(format).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_jobs_are_checked() {
        let id = JobId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(0x5f1c_2e8b));
        assert!(id.as_str().starts_with("5f1c2e8b"), "{id}");
        assert_eq!(JobId::parse(id.as_str()).as_ref(), Some(&id));
        assert_ne!(JobId::new(SystemTime::UNIX_EPOCH), JobId::new(SystemTime::UNIX_EPOCH));
        for text in ["", "5f1c2e8b", "5F1C2E8B38B9F324E8A1B2C3", "z0.5f1c2e8b38b9f324e8a1b2c3"] {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
    }
}
