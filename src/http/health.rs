//! `/healthz`: the process answers. `/readyz`: it can do its work, and should be sent some.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::jobs::queue::Queue;
use crate::plan::style::StyleFile;

/// A database that takes longer for a look at it is of no use.
const DATABASE_PATIENCE: Duration = Duration::from_secs(2);

/// What the server's fitness for work depends on.
#[derive(Debug)]
pub struct Health {
    draining: AtomicBool,
    styles: Option<Arc<StyleFile>>,
    queue: Option<Queue>,
}

impl Health {
    /// A server that has started.
    pub fn new(styles: Option<Arc<StyleFile>>, queue: Option<Queue>) -> Self {
        Self { draining: AtomicBool::new(false), styles, queue }
    }

    /// From now on the server is not ready: it goes away.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why the server should get no requests; empty where it should.
    async fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("the server is stopping".to_owned());
        }
        reasons.extend(self.database_problem().await);
        reasons
    }

    async fn database_problem(&self) -> Option<String> {
        let look = self.queue.as_ref()?.next_notification_due();
        match tokio::time::timeout(DATABASE_PATIENCE, look).await {
            Ok(Ok(_)) => None,
            // Its text may name hosts and users; it is for the log.
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: the database of jobs cannot be used");
                Some("the database of jobs cannot be used".to_owned())
            }
            Err(_) => Some(format!("the database of jobs does not answer within {} s", DATABASE_PATIENCE.as_secs())),
        }
    }

    /// What is wrong and keeps nobody from being served: a broken edit of the styles leaves the last good ones in force.
    fn warnings(&self) -> Vec<String> {
        let problem = self.styles.as_ref().and_then(|styles| styles.status().problem);
        problem.iter().flatten().map(|problem| format!("styles: {problem}")).collect()
    }
}

/// The routes for probes.
pub fn router(health: Arc<Health>) -> Router {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).with_state(health)
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    let reasons = health.reasons().await;
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": reasons.is_empty(), "reasons": reasons, "warnings": health.warnings() });
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::jobs::queue::Settings;

    #[tokio::test]
    async fn reasons_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("styles.toml");
        let styles = Arc::new(StyleFile::open(file.clone(), Box::new(|_| Ok(()))).unwrap());
        let url = format!("sqlite:{}", folder.path().join("jobs.db").display());
        let queue = Queue::open(&url, Settings::default()).await.unwrap();
        let health = Health::new(Some(Arc::clone(&styles)), Some(queue.clone()));
        assert_eq!(health.reasons().await, Vec::<String>::new());
        std::fs::write(file, "broken = ").unwrap();
        styles.poll();
        assert_eq!((health.reasons().await.len(), health.warnings().len()), (0, 1));
        queue.close().await;
        assert_eq!(health.reasons().await, ["the database of jobs cannot be used"]);
        health.drain();
        assert_eq!(health.reasons().await[0], "the server is stopping");
    }
}
