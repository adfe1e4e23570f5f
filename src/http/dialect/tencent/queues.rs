//! Queues, and which buckets have one (Tencent spec 3).

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};

use super::callbacks;
use super::failure::Failure;
use super::spelling::time_text;
use super::xml::{Element, leaf, tree};
use super::{Call, Tencent, reply};
use crate::jobs::records::bucket_queues::{self, BucketQueue, MessageQueue, QueueNotify};

const MAX_NAME_BYTES: usize = 128;

impl Tencent {
    pub(super) async fn queues(&self, call: &Call) -> Result<Response, Failure> {
        let (page, size) = call.page()?;
        let state = call.parameter("state").unwrap_or("All");
        let found = bucket_queues::of(&self.queue, call.place()).await?;
        let asked: Vec<&str> = call.parameter("queueIds").map(|ids| ids.split(',').collect()).unwrap_or_default();
        let is_asked = |queue: &BucketQueue| {
            (asked.is_empty() || asked.contains(&queue.id.as_str())) && (state == "All" || state == state_of(queue))
        };
        let missing = asked.iter().filter(|id| found.as_ref().is_none_or(|queue| queue.id != **id));
        let missing: Vec<Element> = missing.map(|id| leaf("NonExistPIDs", *id)).collect();
        let listed: Vec<Element> =
            found.iter().filter(|queue| is_asked(queue)).map(|queue| spelled("QueueList", queue)).collect();
        let mut children = pages(&call.request_id, listed.len(), (page, size));
        children.extend(listed.into_iter().skip((page - 1) * size).take(size));
        children.extend(missing);
        Ok(reply(&tree("Response", children)))
    }

    pub(super) async fn update_queue(&self, call: &Call, id: &str, request: &Element) -> Result<Response, Failure> {
        let found = bucket_queues::of(&self.queue, call.place()).await?.filter(|queue| queue.id == id);
        let mut queue = found.ok_or_else(|| no_queue(id))?;
        let name = request.text_at("Name").ok_or_else(|| Failure::invalid("Request/Name is missing"))?;
        if name.len() > MAX_NAME_BYTES {
            return Err(Failure::invalid(format!(
                "Request/Name has {} bytes; expected at most {MAX_NAME_BYTES}",
                name.len()
            )));
        }
        name.clone_into(&mut queue.name);
        queue.is_paused = match request.text_at("State") {
            Some("Active") => false,
            Some("Paused") => true,
            other => return Err(wrong("Request/State", other, "Active or Paused")),
        };
        queue.notify = notify_of(request, self.has_broker)?;
        queue.updated = call.now;
        bucket_queues::update(&self.queue, &queue, call.now).await?;
        let children = vec![leaf("RequestId", &*call.request_id), spelled("Queue", &queue)];
        Ok(reply(&tree("Response", children)))
    }

    pub(super) async fn enable(&self, call: &Call, is_json: bool) -> Result<Response, Failure> {
        let named = (call.label(), call.host.region.as_str());
        let queue = bucket_queues::enable(&self.queue, call.place(), named, call.now).await?;
        let children = vec![leaf("RequestId", &*call.request_id), bucket("PicBucket", &queue)];
        Ok(in_words(&tree("Response", children), is_json))
    }

    pub(super) async fn disable(&self, call: &Call, is_json: bool) -> Result<Response, Failure> {
        if !bucket_queues::disable(&self.queue, call.place(), call.now).await? {
            return Err(unbound());
        }
        let children = vec![leaf("RequestId", &*call.request_id), leaf("BucketName", call.label())];
        Ok(in_words(&tree("Response", children), is_json))
    }

    /// The enabled buckets of an owner.
    pub(super) async fn enabled_buckets(
        &self,
        owner: &str,
        query: &[(String, String)],
        request_id: &str,
    ) -> Result<Response, Failure> {
        let value =
            |name: &str| query.iter().find(|(found, value)| found == name && !value.is_empty()).map(|it| it.1.as_str());
        let is_in = |name: &str, text: &str| value(name).is_none_or(|list| list.split(',').any(|one| one == text));
        let number = |name: &str, default| value(name).map_or(Some(default), |text| text.parse().ok());
        let (page, size) = (number("pageNumber", 1), number("pageSize", 10));
        let (Some(page @ 1..=1_000_000), Some(size @ 1..=100)) = (page, size) else {
            return Err(Failure::invalid("expected pageNumber from 1, and pageSize from 1 to 100"));
        };
        let found = bucket_queues::list(&self.queue, owner).await?;
        let matching: Vec<&BucketQueue> = found
            .iter()
            .filter(|it| self.keys.allows(owner, &it.bucket))
            .filter(|it| is_in("regions", &it.region) && is_in("bucketNames", &it.label))
            .filter(|it| value("bucketName").is_none_or(|prefix| it.label.starts_with(prefix)))
            .collect();
        let mut children = pages(request_id, matching.len(), (page, size));
        children.extend(matching.into_iter().skip((page - 1) * size).take(size).map(|it| bucket("PicBucketList", it)));
        Ok(reply(&tree("Response", children)))
    }
}

/// What lists begin with.
pub(super) fn pages(request_id: &str, total: usize, (page, size): (usize, usize)) -> Vec<Element> {
    vec![
        leaf("RequestId", request_id),
        leaf("TotalCount", total.to_string()),
        leaf("PageNumber", page.to_string()),
        leaf("PageSize", size.to_string()),
    ]
}

/// 400 for a value that is none of those expected.
pub(super) fn wrong(path: &str, value: Option<&str>, expected: &str) -> Failure {
    match value {
        Some(value) => Failure::invalid(format!("{path} is {value:?}; expected {expected}")),
        None => Failure::invalid(format!("{path} is missing; expected {expected}")),
    }
}

pub(super) fn no_queue(id: &str) -> Failure {
    Failure::new(404, "QueueNotFound", format!("the bucket has no queue {id:?}"))
}

pub(super) fn unbound() -> Failure {
    Failure::new(403, "MediaBucketUnBinded", "the bucket is not enabled; expected POST /picbucket before")
}

fn notify_of(request: &Element, has_broker: bool) -> Result<QueueNotify, Failure> {
    let given = request.find("NotifyConfig").ok_or_else(|| Failure::invalid("Request/NotifyConfig is missing"))?;
    let path = |name: &str| format!("Request/NotifyConfig/{name}");
    let text = |name: &str| given.text_at(name).unwrap_or_default().to_owned();
    let is_on = match given.text_at("State") {
        None | Some("Off") => false,
        Some("On") => true,
        other => return Err(wrong(&path("State"), other, "On or Off")),
    };
    let format = given.text_at("ResultFormat");
    if !matches!(format, None | Some("XML" | "JSON")) {
        return Err(wrong(&path("ResultFormat"), format, "XML or JSON"));
    }
    let kind = given.text_at("Type");
    let fields = ("Request/NotifyConfig", Some(given));
    let message_queue = callbacks::message_queue(&path("Type"), kind, fields, has_broker)?;
    let events = given.text_at("Event");
    if is_on {
        let are_known = events.is_some_and(|it| it.split(',').all(|it| matches!(it, "TaskFinish" | "WorkflowFinish")));
        if !are_known {
            return Err(wrong(&path("Event"), events, "TaskFinish or WorkflowFinish, joined by a comma"));
        }
        if kind.is_none() {
            return Err(wrong(&path("Type"), None, "Url or TDMQ"));
        }
        if message_queue.is_none() {
            super::jobs::callback_url(&path("Url"), given.text_at("Url").unwrap_or_default())?;
        }
    }
    let (event, format, kind, url) = (text("Event"), text("ResultFormat"), text("Type"), text("Url"));
    Ok(QueueNotify { is_on, event, format, kind, url, message_queue })
}

fn state_of(queue: &BucketQueue) -> &'static str {
    if queue.is_paused { "Paused" } else { "Active" }
}

fn spelled(name: &str, queue: &BucketQueue) -> Element {
    let notify = &queue.notify;
    let mut config = vec![
        leaf("Url", &*notify.url),
        leaf("Event", &*notify.event),
        leaf("Type", &*notify.kind),
        leaf("State", if notify.is_on { "On" } else { "Off" }),
        leaf("ResultFormat", &*notify.format),
    ];
    if let Some(MessageQueue { region, mode, name }) = &notify.message_queue {
        config.extend([leaf("MqMode", &**mode), leaf("MqRegion", &**region), leaf("MqName", &**name)]);
    }
    let children = vec![
        leaf("QueueId", &*queue.id),
        leaf("Name", &*queue.name),
        leaf("State", state_of(queue)),
        tree("NotifyConfig", config),
        leaf("MaxSize", "10000"),
        leaf("MaxConcurrent", "10"),
        leaf("CreateTime", time_text(queue.created)),
        leaf("UpdateTime", time_text(queue.updated)),
        leaf("BucketId", &*queue.label),
        leaf("Category", "PicProcessing"),
    ];
    tree(name, children)
}

fn bucket(name: &str, queue: &BucketQueue) -> Element {
    let children = vec![
        leaf("BucketId", &*queue.label),
        leaf("Name", &*queue.label),
        leaf("Region", &*queue.region),
        leaf("CreateTime", time_text(queue.created)),
    ];
    tree(name, children)
}

fn in_words(document: &Element, is_json: bool) -> Response {
    if !is_json {
        return reply(document);
    }
    let mut response = document.json(&[], &[]).to_string().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
