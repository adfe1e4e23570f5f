//! `GET /metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;

use crate::jobs::queue::{Backlog, Queue};
use crate::metrics::{Levels, MEDIA_TYPE, Metrics};
use crate::transform::Transformer;

/// A look at a database that takes longer is left out.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is looked at when somebody asks.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// Renders.
    pub transformer: Transformer,
    /// Jobs, where there are any.
    pub queue: Option<Queue>,
}

/// The route.
pub fn router(watched: Watched) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(watched)
}

async fn metrics(State(watched): State<Watched>) -> Response {
    let levels = Levels { load: watched.transformer.load().await, backlog: backlog(watched.queue.as_ref()).await };
    ([(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")], watched.metrics.text(&levels))
        .into_response()
}

async fn backlog(queue: Option<&Queue>) -> Option<Backlog> {
    match tokio::time::timeout(PATIENCE, queue?.backlog()).await {
        Ok(Ok(backlog)) => Some(backlog),
        Ok(Err(error)) => {
            tracing::warn!(%error, "jobs cannot be counted");
            None
        }
        Err(_) => {
            tracing::warn!("jobs cannot be counted: the database does not answer");
            None
        }
    }
}
