//! What a job is in the words of prefop and of notifications (spec 7.2).

use serde_json::{Map, Value, json};

use crate::jobs::model::{Failure, Job, JobId, Outcome, Source, State, Stored, vendor_time};

/// Stands before the job's own name, as the vendor's region does.
const REGION: &str = "z0.";
/// The queue of jobs that name none.
pub(super) const DEFAULT_QUEUE: &str = "default";

/// The vendor's name of a job.
pub(super) fn persistent_id(id: &JobId) -> String {
    format!("{REGION}{id}")
}

/// The job that a vendor's name is of.
pub(super) fn job_id(persistent_id: &str) -> Option<JobId> {
    JobId::parse(persistent_id.strip_prefix(REGION)?)
}

/// The vendor's numbers for where something stands, and their texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Done = 0,
    Waiting = 1,
    Running = 2,
    Failed = 3,
    NotifyFailed = 4,
}

impl Code {
    const fn description(self) -> &'static str {
        match self {
            Self::Done => "The fop was completed successfully",
            Self::Waiting => "The fop is waiting for execution",
            Self::Running => "The fop is executing now",
            Self::Failed => "The fop is failed",
            Self::NotifyFailed => "The fop was completed, but its result could not be notified",
        }
    }
}

/// The document that prefop answers with and that notifications carry.
pub fn document(job: &Job) -> Value {
    let (bucket, key) = match &job.spec.source {
        Source::Object { bucket, key } => (bucket.as_str(), key.as_str()),
        Source::Url(url) => ("", url.as_str()),
        Source::Inline(_) => ("", ""),
    };
    let code = code_of(job);
    let items: Vec<Value> = job
        .spec
        .outputs
        .iter()
        .zip(&job.outcomes)
        .map(|(output, outcome)| item(&output.command, job.state, outcome.as_ref()))
        .collect();
    json!({
        "id": persistent_id(&job.id),
        "pipeline": format!("0.{}", job.queue),
        "code": code as i32,
        "desc": code.description(),
        "reqid": job.spec.request_id,
        "inputBucket": bucket,
        "inputKey": key,
        "type": i32::from(job.priority < 0),
        "creationDate": vendor_time(job.created).to_rfc3339_opts(chrono::SecondsFormat::Nanos, false),
        "items": items,
    })
}

fn code_of(job: &Job) -> Code {
    match job.state {
        State::Waiting => Code::Waiting,
        State::Running => Code::Running,
        State::Failed | State::Cancelled => Code::Failed,
        State::Succeeded if job.is_notify_dead => Code::NotifyFailed,
        State::Succeeded => Code::Done,
    }
}

fn item(command: &str, state: State, outcome: Option<&Outcome>) -> Value {
    let code = match (outcome, state) {
        (Some(Outcome::Stored(_) | Outcome::Data(_)), _) => Code::Done,
        (Some(Outcome::Failed(_)), _) => Code::Failed,
        (None, State::Waiting) => Code::Waiting,
        (None, State::Running) => Code::Running,
        (None, _) => Code::Failed,
    };
    let mut item = Map::new();
    item.insert("cmd".to_owned(), command.into());
    item.insert("code".to_owned(), (code as i32).into());
    item.insert("desc".to_owned(), code.description().into());
    match outcome {
        Some(Outcome::Stored(stored)) => add_stored(&mut item, stored),
        // Text that is not JSON stays text.
        Some(Outcome::Data(text)) => {
            let result = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
            item.insert("result".to_owned(), result);
            item.insert("returnOld".to_owned(), 0.into());
        }
        Some(Outcome::Failed(failure)) => add_failure(&mut item, failure),
        None if state == State::Cancelled => {
            item.insert("error".to_owned(), "cancelled by its owner".into());
        }
        None => {}
    }
    Value::Object(item)
}

fn add_stored(item: &mut Map<String, Value>, stored: &Stored) {
    item.insert("hash".to_owned(), stored.hash.as_str().into());
    item.insert("key".to_owned(), stored.key.as_str().into());
    item.insert("returnOld".to_owned(), i32::from(stored.existed).into());
}

fn add_failure(item: &mut Map<String, Value>, failure: &Failure) {
    item.insert("error".to_owned(), format!("execute fop cmd failed: {}", failure.message).into());
    if let Some(stage) = failure.stage {
        item.insert("errorIndex".to_owned(), stage.into());
    }
    item.insert("returnOld".to_owned(), 0.into());
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::jobs::model::{Api, Destination, JobSpec, OutputSpec};

    fn job(state: State, outcome: Option<Outcome>) -> Job {
        let output = OutputSpec {
            command: "imageView2/2/w/200".to_owned(),
            pipeline: "imageView2/2/w/200".to_owned(),
            destination: Destination::Derived,
            name: None,
        };
        let source = Source::Object { bucket: "photos".to_owned(), key: "gogopher.jpg".to_owned() };
        Job {
            id: JobId::parse("5f1c2e8b38b9f324e8a1b2c3").unwrap(),
            api: Api::Qiniu,
            owner: "AK".to_owned(),
            queue: DEFAULT_QUEUE.to_owned(),
            batch: None,
            priority: 0,
            state,
            spec: JobSpec {
                source,
                outputs: vec![output],
                notify: None,
                force: false,
                user_data: None,
                wording: None,
                request_id: "xR8AAB".to_owned(),
            },
            outcomes: vec![outcome],
            attempt: 1,
            progress: 0,
            cancel_requested: false,
            created: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_724_756_564_664_312_968),
            started: None,
            finished: None,
            is_notify_dead: false,
        }
    }

    /// The sample of spec 7.2.
    #[test]
    fn a_finished_job() {
        let stored = Stored {
            key: "thumbs/gogopher-200.jpg".to_owned(),
            hash: "Fh8xVqod2MQ1mocfI4S4KpRL6D98".to_owned(),
            ..Stored::default()
        };
        let found = document(&job(State::Succeeded, Some(Outcome::Stored(stored))));
        let done = "The fop was completed successfully";
        assert_eq!(
            found,
            json!({
                "id": "z0.5f1c2e8b38b9f324e8a1b2c3", "pipeline": "0.default", "code": 0, "desc": done, "reqid": "xR8AAB",
                "inputBucket": "photos", "inputKey": "gogopher.jpg", "type": 0,
                "creationDate": "2024-08-27T19:02:44.664312968+08:00",
                "items": [{
                    "cmd": "imageView2/2/w/200", "code": 0, "desc": done, "hash": "Fh8xVqod2MQ1mocfI4S4KpRL6D98",
                    "key": "thumbs/gogopher-200.jpg", "returnOld": 0,
                }],
            })
        );
        assert_eq!(job_id("z0.5f1c2e8b38b9f324e8a1b2c3"), JobId::parse("5f1c2e8b38b9f324e8a1b2c3"));
        assert_eq!(job_id("5f1c2e8b38b9f324e8a1b2c3"), None);
    }

    #[test]
    fn every_state_has_its_codes() {
        let failed =
            || Some(Outcome::Failed(Failure { message: "no".to_owned(), stage: Some(1), ..Failure::default() }));
        let data = || Some(Outcome::Data("{\"width\":1}".to_owned()));
        for (state, outcome, code, item_code) in [
            (State::Waiting, None, 1, 1),
            (State::Running, None, 2, 2),
            (State::Running, data(), 2, 0),
            (State::Failed, failed(), 3, 3),
            (State::Failed, None, 3, 3),
            (State::Cancelled, None, 3, 3),
            (State::Succeeded, data(), 0, 0),
        ] {
            let found = document(&job(state, outcome));
            assert_eq!((&found["code"], &found["items"][0]["code"]), (&json!(code), &json!(item_code)), "{found}");
        }
        let item = &document(&job(State::Failed, failed()))["items"][0];
        assert_eq!((&item["error"], &item["errorIndex"]), (&json!("execute fop cmd failed: no"), &json!(1)));
        let dead = Job { is_notify_dead: true, ..job(State::Succeeded, data()) };
        assert_eq!(document(&dead)["code"], 4);
        assert_eq!(document(&dead)["items"][0]["result"], json!({ "width": 1 }));
    }
}
