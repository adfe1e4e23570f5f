//! How owners want to be told: by URL, or by a message queue of the server's broker (Tencent spec 2.2, 4.2 and 5).

use super::failure::Failure;
use super::queues::wrong;
use super::xml::Element;
use crate::jobs::records::bucket_queues::MessageQueue;
use crate::jobs::sink::Address;

const REGIONS: [&str; 5] = ["sh", "bj", "gz", "cd", "hk"];

/// The address of whom to tell, where the kind that `path` names is a message queue, which `at` holds the name of; `None` where it is a URL.
/// `has_broker` is whether this server has any.
pub(super) fn message_queue(
    path: &str,
    kind: Option<&str>,
    (at, fields): (&str, Option<&Element>),
    has_broker: bool,
) -> Result<Option<MessageQueue>, Failure> {
    match kind {
        None | Some("Url") => return Ok(None),
        Some("TDMQ") => {}
        other => return Err(wrong(path, other, "Url or TDMQ")),
    }
    if !has_broker {
        let message = format!("{path} is TDMQ, and this server has no message queue; expected Url");
        return Err(Failure::not_done(message));
    }
    let field = |name: &str| fields.and_then(|fields| fields.text_at(name)).filter(|text| !text.is_empty());
    let region = field("MqRegion").filter(|region| REGIONS.contains(region));
    let region = region.ok_or_else(|| wrong(&format!("{at}/MqRegion"), field("MqRegion"), "sh, bj, gz, cd or hk"))?;
    let name = field("MqName").filter(|name| Address::is_name(name));
    let name = name
        .ok_or_else(|| wrong(&format!("{at}/MqName"), field("MqName"), "at most 200 letters, digits, -, _, . and :"))?;
    let mode = field("MqMode").unwrap_or("Queue");
    if !matches!(mode, "Queue" | "Topic") {
        return Err(wrong(&format!("{at}/MqMode"), Some(mode), "Topic or Queue"));
    }
    Ok(Some(MessageQueue { region: region.to_owned(), mode: mode.to_owned(), name: name.to_owned() }))
}

/// Its address at the broker, which knows no regions.
pub(super) fn address(queue: &MessageQueue) -> Address {
    match queue.mode.as_str() {
        "Topic" => Address::Topic(queue.name.clone()),
        _ => Address::Queue(queue.name.clone()),
    }
}
