//! Projects, images and tasks in the API's words.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::http::graphql;
use crate::jobs::model::JobId;
use crate::jobs::queue;
use crate::jobs::records::projects::{Image, Page, Slice, Task};

/// A time as the API writes it.
pub(super) fn time(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// An image; `base` is what the addresses of its project's images begin with.
pub(super) fn image(base: Option<&str>, image: &Image) -> Value {
    let url = base.filter(|_| image.state.has_arrived()).map(|base| format!("{base}{}", path(&[&image.file])));
    json!({
        "id": image.id.as_str(),
        "name": image.name,
        "filename": image.file,
        "state": image.state.name(),
        "error": image.errors,
        "checksum": image.checksum.as_ref().or(image.sha1.as_ref()),
        "url": url,
        "grounded": false,
    })
}

/// A path of these segments.
pub(super) fn path(segments: &[&str]) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    segments.iter().map(|segment| format!("/{}", utf8_percent_encode(segment, ENCODED))).collect()
}

pub(super) fn task(task: &Task) -> Value {
    let [waiting, running, succeeded, failed] = task.jobs;
    json!({
        "id": task.id.as_str(),
        "taskType": task.kind,
        "state": task.state().name(),
        "startDate": time(task.created),
        "endDate": task.finished.filter(|_| waiting + running == 0).map(time),
        "queueing": waiting,
        "step": succeeded + failed,
        "totalSteps": waiting + running + succeeded + failed,
    })
}

/// A list of which a part is asked for. Entries are given with their cursors.
pub(super) fn connection<T>(page: &Page<T>, cursor: impl Fn(&T) -> String) -> Value {
    json!({
        "totalCount": page.total,
        "pageInfo": {
            "hasPreviousPage": page.has_previous,
            "hasNextPage": page.has_next,
            "startCursor": page.entries.first().map(&cursor),
            "endCursor": page.entries.last().map(&cursor),
        },
    })
}

/// What names an entry of a list.
pub(super) fn cursor(created: SystemTime, id: &JobId) -> String {
    let millis = created.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    URL_SAFE_NO_PAD.encode(format!("{millis}:{id}"))
}

fn read_cursor(text: &str) -> Option<(SystemTime, JobId)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (millis, id) = text.split_once(':')?;
    let since = std::time::Duration::from_millis(millis.parse::<u64>().ok().filter(|millis| *millis < 1 << 50)?);
    Some((SystemTime::UNIX_EPOCH + since, JobId::parse(id)?))
}

/// The part of a list that a field asks for.
pub(super) fn slice(asked: &graphql::Asked<'_>) -> Result<Slice, graphql::Error> {
    let count = |name| match asked.number(name) {
        None => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| graphql::Error::new(format!("{name} is {number}; expected 0 or more"))),
    };
    let bound = |name| match asked.text(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => read_cursor(text)
            .map(Some)
            .ok_or_else(|| graphql::Error::new(format!("{name} is {text:?}; expected a cursor"))),
    };
    Ok(Slice { first: count("first")?, last: count("last")?, after: bound("after")?, before: bound("before")? })
}

/// For callers; what a failure of the database was is in the log.
impl From<queue::Error> for graphql::Error {
    fn from(error: queue::Error) -> Self {
        if error.is_full() {
            return Self::new(error.to_string());
        }
        tracing::error!(%error, "a request about projects failed");
        Self::new("the server failed on this request")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back() {
        let (made, id) =
            (SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1234), JobId::new(SystemTime::now()));
        assert_eq!(read_cursor(&cursor(made, &id)), Some((made, id)));
        for wrong in ["", "x", "MTIzNA", &URL_SAFE_NO_PAD.encode("18446744073709551615:5f1c2e8b38b9f324e8a1b2c3")] {
            assert_eq!(read_cursor(wrong), None, "{wrong}");
        }
    }
}
