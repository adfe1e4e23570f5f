//! Images that the server fetches itself: taken from the database one by one, so that another process takes up what one that died
//! has left, and brought in as all others are.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{self, HeaderValue};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Projects;
use super::fetches::{Fetch, Origin};
use super::image::Event;
use super::intake::{Bringer, Error, Intake};
use super::keeper::Keeper;
use crate::store::Remote;

/// Fetches at once.
const AT_ONCE: usize = 8;

/// How long a whole fetch may take.
const FETCH_TIME: Duration = Duration::from_secs(600);

/// How often one that may succeed later is tried, and how long it rests after its first failure; each further rest is four times as
/// long. Within the time after which silence ends an image.
const TRIES: u32 = 4;
const FIRST_REST: Duration = Duration::from_secs(2);

/// How long it looks at nothing where nothing is due; what was registered here wakes it.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Fetches images. Clones are one.
#[derive(Clone, Debug)]
pub struct Fetcher {
    projects: Projects,
    keeper: Keeper,
    intake: Arc<Intake>,
    remote: Remote,
    wake: Arc<Notify>,
}

/// How a fetch ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The image is here, or somebody else's business.
    Over,
    /// It is tried again after so long.
    Again(Duration, String),
    /// It never succeeds.
    Lost(String),
}

impl Fetcher {
    /// Fetches by `remote` what `projects` know of, and has `intake` keep it.
    pub fn new(projects: Projects, keeper: Keeper, intake: Arc<Intake>, remote: Remote) -> Self {
        Self { projects, keeper, intake, remote, wake: Arc::default() }
    }

    /// Has it look now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Fetches what is due until `stop`; what is under way then is given back.
    pub async fn run(self, stop: CancellationToken) {
        let mut fetching = JoinSet::new();
        while !stop.is_cancelled() {
            let wait = self.fill(&mut fetching, &stop).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "images that are to be fetched cannot be read; this is tried again");
                LONGEST_WAIT
            });
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = fetching.join_next() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        while fetching.join_next().await.is_some() {}
    }

    /// Begins what is due while there is room; says how long nothing will come due by itself.
    async fn fill(
        &self,
        fetching: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<Duration, crate::jobs::queue::Error> {
        while fetching.len() < AT_ONCE {
            let now = SystemTime::now();
            let Some(due) = self.projects.next_fetch_due().await? else { return Ok(LONGEST_WAIT) };
            if let Some(wait) = due.duration_since(now).ok().filter(|wait| !wait.is_zero()) {
                return Ok(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT));
            }
            // Another node may have been first.
            let Some(fetch) = self.projects.claim_fetch(now).await? else { return Ok(SHORTEST_WAIT) };
            let (this, stop) = (self.clone(), stop.clone());
            fetching.spawn(async move { this.work(fetch, &stop).await });
        }
        Ok(LONGEST_WAIT)
    }

    /// One fetch from its claim to its end.
    async fn work(&self, fetch: Fetch, stop: &CancellationToken) {
        let end = tokio::select! {
            end = self.fetched(&fetch) => end,
            () = self.hold(&fetch) => return,
            () = stop.cancelled() => End::Again(Duration::ZERO, "the server stops".to_owned()),
        };
        let now = SystemTime::now();
        let recorded = match &end {
            End::Over => return,
            End::Again(Duration::ZERO, _) => self.projects.release_fetch(&fetch, now).await,
            End::Again(rest, _) => self.projects.put_off_fetch(&fetch, now + *rest).await,
            End::Lost(problem) => {
                let event = Event::Lost(format!("the image could not be fetched: {problem}"));
                self.projects.end_fetch(&fetch, event, now).await.map(|_| ())
            }
        };
        tracing::info!(image = %fetch.image, ?end, "an image is not fetched");
        if let Err(error) = recorded {
            tracing::warn!(%error, image = %fetch.image, "how a fetch ended is not recorded; it is done again");
        }
        self.keeper.wake();
    }

    /// Renews a claim until it is lost.
    async fn hold(&self, fetch: &Fetch) {
        loop {
            tokio::time::sleep(self.projects.fetch_lease() / 3).await;
            match self.projects.renew_fetch(fetch, SystemTime::now()).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, image = %fetch.image, "a fetch could not be renewed"),
            }
        }
    }

    async fn fetched(&self, fetch: &Fetch) -> End {
        match tokio::time::timeout(FETCH_TIME, self.fetch(fetch)).await {
            Ok(Ok(()) | Err(Error::Removed)) => End::Over,
            Ok(Err(error)) if error.kind().is_transient() => again(fetch.failures, error.to_string()),
            Ok(Err(error)) => End::Lost(error.to_string()),
            Err(_) => again(fetch.failures, format!("the fetch took longer than {} s", FETCH_TIME.as_secs())),
        }
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<(), Error> {
        let Some(found) = self.projects.fetched_image(fetch).await? else { return Ok(()) };
        let (_, pieces) = self.remote.open_with(&fetch.origin.url, bearer(&fetch.origin)).await?;
        let received = self.intake.receive(pieces).await?;
        self.intake.keep(found, received, Bringer::Fetcher(fetch.clone()), SystemTime::now()).await
    }
}

/// After one more failure.
fn again(failures: u32, problem: String) -> End {
    match failures.saturating_add(1) {
        failures if failures < TRIES => End::Again(FIRST_REST * 4_u32.pow(failures - 1), problem),
        _ => End::Lost(problem),
    }
}

fn bearer(origin: &Origin) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let token = origin.token.as_ref().map(|token| format!("Bearer {}", token.expose()));
    if let Some(mut value) = token.and_then(|token| HeaderValue::from_str(&token).ok()) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_until_it_is_given_up() {
        let rest = |failures| match again(failures, String::new()) {
            End::Again(rest, _) => Some(rest.as_secs()),
            _ => None,
        };
        assert_eq!([0, 1, 2, 3, u32::MAX].map(rest), [Some(2), Some(8), Some(32), None, None]);
    }
}
