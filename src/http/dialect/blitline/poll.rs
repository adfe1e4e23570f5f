//! Asking whether a job has ended (spec 2 and 7): at once, or with patience.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Blitline, Refusal, answer, reply};
use crate::jobs::model::{Api, Job, JobId};
use crate::jobs::queue::{Change, changed};

#[derive(Debug, Deserialize)]
pub(super) struct PollQuery {
    job_id: Option<String>,
}

/// `GET /listen/{id}`: the end of a job, once it has come.
pub(super) async fn listen(State(blitline): State<Arc<Blitline>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    // Before the first look, so that no change is missed between the two.
    let mut changes = blitline.queue.changes();
    let id = blitline.asked(&id)?;
    let ended = async {
        loop {
            if let Some(results) = told(&blitline.job(&id).await?) {
                return Ok::<Value, Refusal>(json!({ "results": results }));
            }
            let again = tokio::time::sleep(LOOK_AGAIN);
            tokio::select! {
                () = changed(&mut changes, |change| *change == Change::Job(id.clone())) => {}
                () = again => {}
            }
        }
    };
    match tokio::time::timeout(blitline.listen, ended).await {
        Ok(body) => Ok(answer(StatusCode::OK, &body?)),
        Err(_) => {
            Ok(answer(StatusCode::OK, &json!({ "results": { "is_complete": false, "job_id": reply::spelled(&id) } })))
        }
    }
}

/// How long news may take to come from another node.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// `GET /poll?job_id=…`.
pub(super) async fn poll(
    State(blitline): State<Arc<Blitline>>,
    query: Result<Query<PollQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let id = query.ok().and_then(|Query(query)| query.job_id);
    let id = id.ok_or_else(|| Refusal::invalid("job_id is missing; expected the id of a job"))?;
    blitline.polled(&id).await
}

/// `GET /poll/{id}`.
pub(super) async fn poll_path(
    State(blitline): State<Arc<Blitline>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    blitline.polled(&id).await
}

impl Blitline {
    async fn polled(&self, id: &str) -> Result<Response, Refusal> {
        let id = self.asked(id)?;
        let mut body = json!({ "is_complete": false, "job_id": reply::spelled(&id) });
        if let Some(results) = told(&self.job(&id).await?) {
            body["is_complete"] = true.into();
            body["results"] = results;
        }
        Ok(answer(StatusCode::OK, &body))
    }

    fn asked(&self, id: &str) -> Result<JobId, Refusal> {
        reply::job_id(id).ok_or_else(unknown)
    }

    /// The job of that name that came in by this API.
    async fn job(&self, id: &JobId) -> Result<Job, Refusal> {
        let job = self.queue.get(id).await?;
        job.filter(|job| job.api == Api::Blitline).ok_or_else(unknown)
    }
}

fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no job of this id")
}

/// How a job ended, where it has and may be polled for.
fn told(job: &Job) -> Option<Value> {
    let wording = reply::wording(job);
    (job.state.is_final() && wording.polls).then(|| reply::polled(job, &wording))
}
