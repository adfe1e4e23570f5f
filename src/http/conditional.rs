//! Conditional requests and byte ranges (RFC 9110 sections 13 and 14), as pure functions of headers.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

/// What a GET or HEAD can be validated against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// Strong entity tag, with its quotes.
    pub etag: String,
    /// Last modification.
    pub modified: Option<SystemTime>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since` in the RFC's order.
pub fn evaluate(headers: &HeaderMap, validators: &Validators) -> Condition {
    if let Some(listed) = text(headers, header::IF_MATCH) {
        if !lists(listed, &validators.etag, false) {
            return Condition::Failed;
        }
    } else if let Some(since) = date(headers, header::IF_UNMODIFIED_SINCE)
        && validators.modified.is_some_and(|modified| whole_seconds(modified) > since)
    {
        return Condition::Failed;
    }
    if let Some(listed) = text(headers, header::IF_NONE_MATCH) {
        return if lists(listed, &validators.etag, true) { Condition::NotModified } else { Condition::Proceed };
    }
    match (date(headers, header::IF_MODIFIED_SINCE), validators.modified) {
        (Some(since), Some(modified)) if whole_seconds(modified) <= since => Condition::NotModified,
        _ => Condition::Proceed,
    }
}

/// Which bytes of a body are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them (200).
    Whole,
    /// These, which are at least one (206).
    Part(Range<u64>),
    /// Some that the body does not have (416).
    Unsatisfiable,
}

/// Which bytes of a body of `length` the headers ask for. Several ranges, and one that is malformed or of another
/// version, are answered with the whole, as the RFC allows.
pub fn selection(headers: &HeaderMap, length: u64, validators: &Validators) -> Selection {
    let spec = text(headers, header::RANGE).and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = spec.and_then(|spec| spec.trim().split_once('-')) else { return Selection::Whole };
    if last.contains(',') || !if_range_holds(headers, validators) {
        return Selection::Whole;
    }
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Err(_), Ok(0)) => Selection::Unsatisfiable,
        (Err(_), Ok(suffix)) if first.is_empty() && length > 0 => {
            Selection::Part(length.saturating_sub(suffix)..length)
        }
        (Ok(first), _) if first >= length => Selection::Unsatisfiable,
        (Ok(first), Ok(last)) if last >= first => Selection::Part(first..last.saturating_add(1).min(length)),
        (Ok(first), Err(_)) if last.is_empty() => Selection::Part(first..length),
        _ => Selection::Whole,
    }
}

fn if_range_holds(headers: &HeaderMap, validators: &Validators) -> bool {
    let Some(condition) = text(headers, header::IF_RANGE) else { return true };
    match httpdate::parse_http_date(condition) {
        Ok(date) => validators.modified.is_some_and(|modified| whole_seconds(modified) == date),
        Err(_) => condition == validators.etag,
    }
}

/// Whether a list of entity tags (or `*`) names `etag`; weak tags count only where `weak` comparison is right.
fn lists(list: &str, etag: &str, weak: bool) -> bool {
    list.split(',').map(str::trim).any(|tag| {
        let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
        tag == "*" || tag == etag
    })
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

/// HTTP dates have whole seconds.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn validators() -> Validators {
        let modified = httpdate::parse_http_date(MODIFIED).unwrap() + Duration::from_millis(300);
        Validators { etag: "\"abc\"".into(), modified: Some(modified) }
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn conditions() {
        use Condition::{Failed, NotModified, Proceed};
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        let (before, after) = ("Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        for (pairs, expected) in [
            (vec![], Proceed),
            (vec![(IF_NONE_MATCH, "\"abc\"")], NotModified),
            (vec![(IF_NONE_MATCH, "\"x\", W/\"abc\"")], NotModified),
            (vec![(IF_NONE_MATCH, "*")], NotModified),
            (vec![(IF_NONE_MATCH, "\"x\"")], Proceed),
            (vec![(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, after)], Proceed),
            (vec![(IF_MODIFIED_SINCE, MODIFIED)], NotModified),
            (vec![(IF_MODIFIED_SINCE, after)], NotModified),
            (vec![(IF_MODIFIED_SINCE, before)], Proceed),
            (vec![(IF_MODIFIED_SINCE, "yesterday")], Proceed),
            (vec![(IF_MATCH, "\"abc\"")], Proceed),
            (vec![(IF_MATCH, "W/\"abc\"")], Failed),
            (vec![(IF_MATCH, "\"x\"")], Failed),
            (vec![(IF_UNMODIFIED_SINCE, before)], Failed),
            (vec![(IF_UNMODIFIED_SINCE, MODIFIED)], Proceed),
        ] {
            assert_eq!(evaluate(&headers(&pairs), &validators()), expected, "{pairs:?}");
        }
    }

    #[test]
    fn ranges() {
        for (spec, expected) in [
            ("bytes=0-0", Selection::Part(0..1)),
            ("bytes=2-5", Selection::Part(2..6)),
            ("bytes=5-", Selection::Part(5..10)),
            ("bytes=5-99", Selection::Part(5..10)),
            ("bytes=-3", Selection::Part(7..10)),
            ("bytes=-99", Selection::Part(0..10)),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=5-4", Selection::Whole),
            ("bytes=0-1,3-4", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("rows=0-1", Selection::Whole),
            ("bytes=18446744073709551615-18446744073709551615", Selection::Unsatisfiable),
            ("bytes=0-18446744073709551615", Selection::Part(0..10)),
        ] {
            assert_eq!(selection(&headers(&[(header::RANGE, spec)]), 10, &validators()), expected, "{spec}");
        }
        assert_eq!(selection(&headers(&[(header::RANGE, "bytes=-3")]), 0, &validators()), Selection::Whole);
    }

    #[test]
    fn a_range_of_another_version_is_not_served() {
        for (condition, holds) in [("\"abc\"", true), ("\"x\"", false), ("W/\"abc\"", false), (MODIFIED, true)] {
            let headers = headers(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, condition)]);
            let is_part = selection(&headers, 10, &validators()) == Selection::Part(0..2);
            assert_eq!(is_part, holds, "{condition}");
        }
    }
}
