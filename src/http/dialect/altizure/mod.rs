//! Altizure's API on the API listener: projects of images by GraphQL, whose bytes go past it to an object storage, for which this
//! server stands itself.
//!
//! Words only: states and what moves them are [`crate::jobs::records::projects`], signatures are in [`crate::auth`].

mod mutation;
mod query;
mod spell;
mod storage;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use http::HeaderMap;

use crate::auth::KeyRing;
use crate::http::graphql;
use crate::http::graphql::schema::Schema;
use crate::http::served::Served;
use crate::http::target::Delivery;
use crate::jobs::model::Api;
use crate::jobs::queue::Queue;
use crate::jobs::records::projects::fetcher::Fetcher;
use crate::jobs::records::projects::intake::Intake;
use crate::jobs::records::projects::keeper::{self, Keeper};
use crate::jobs::records::projects::{Limits, Project, Projects};
use crate::store::Remote;
use crate::store::spool::Spool;

/// The version of the vendor's API that this follows.
const API_VERSION: &str = "2.7.4";

/// The one store of this server, by its name in the API.
const STORE: &str = "Local";

/// How long a signed URL, temporary credentials and a user's token are good.
const URL_LIFE: Duration = Duration::from_secs(3 * 3600);
const CREDENTIALS_LIFE: Duration = Duration::from_secs(3600);
const TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Formats that images may have.
const FORMATS: &[&str] = &["jpeg", "png", "tiff"];

/// The queue of its jobs.
const QUEUE: &str = "altizure";

/// What a reconstruction makes of each image where the configuration names nothing: the engine has no photogrammetry.
const PIPELINE: &str = "imageView2/2/w/512/h/512";

/// What may be sent, and where it goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bucket of new projects.
    pub bucket: String,
    /// What a task makes of each image; without one they get smaller.
    pub pipeline: Option<String>,
    /// The server's own files.
    pub data_dir: PathBuf,
    /// Most bytes of an image.
    pub upload_bytes: u64,
    /// How long a sender may be silent.
    pub patience: Duration,
    /// How much there may be of an owner's things.
    pub limits: Limits,
    /// Where images are served.
    pub served: Served,
}

/// Everything that this dialect needs.
#[derive(Debug)]
pub struct Altizure {
    delivery: Arc<Delivery>,
    keys: Arc<KeyRing>,
    remote: Remote,
    projects: Projects,
    keeper: Keeper,
    fetcher: Fetcher,
    intake: Arc<Intake>,
    settings: Settings,
    schema: Schema,
}

impl Altizure {
    /// The dialect over these buckets, keys and jobs.
    ///
    /// # Errors
    /// A schema that is none, which a test excludes.
    pub fn new(
        delivery: Arc<Delivery>,
        keys: Arc<KeyRing>,
        remote: Remote,
        queue: &Queue,
        settings: Settings,
    ) -> Result<Self, graphql::Error> {
        let kept = keeper::Settings {
            api: Api::Altizure,
            queue: QUEUE.to_owned(),
            formats: FORMATS,
            pipeline: settings.pipeline.clone().unwrap_or_else(|| PIPELINE.to_owned()),
        };
        let projects = Projects::over(queue).with_limits(settings.limits);
        let keeper = Keeper::new(projects.clone(), queue.clone(), kept);
        let (buckets, spool) = (delivery.transformer.shared_buckets(), Spool::new(settings.data_dir.join("spool")));
        let intake = Intake::new(projects.clone(), keeper.clone(), buckets, spool, settings.upload_bytes);
        let intake = Arc::new(intake);
        let fetcher = Fetcher::new(projects.clone(), keeper.clone(), Arc::clone(&intake), remote.clone());
        let schema = Schema::parse(include_str!("schema.graphql"))?;
        Ok(Self { delivery, keys, remote, projects, keeper, fetcher, intake, settings, schema })
    }

    /// What looks after the projects, once it runs.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// What brings images in, and clears away what is removed.
    pub fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// What fetches images, once it runs.
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// What the addresses of a project's images begin with, where everybody may have them.
    fn base_of(&self, project: &Project, caller: &Caller) -> Option<String> {
        let rules = self.delivery.rules.get(&project.bucket);
        if rules.is_some_and(|rules| rules.private || rules.signed || rules.protected) {
            return None;
        }
        let (scheme, host) = caller.origin.split_once("://")?;
        let base = self.settings.served.base_of(&project.bucket, host)?;
        Some(format!("{scheme}://{base}/{}", project.id))
    }

    /// Whether anything can be fetched from there.
    async fn reach(&self, url: &str) -> Result<(), String> {
        self.remote.open_with(url, HeaderMap::new()).await.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Who asks, where, and when.
#[derive(Clone, Debug)]
struct Caller {
    /// The access key of the user, where a good token came with the request.
    user: Option<String>,
    /// The server as the caller reaches it: scheme and host.
    origin: String,
    now: SystemTime,
}

impl Caller {
    /// The user.
    fn user(&self) -> Result<&str, graphql::Error> {
        self.user
            .as_deref()
            .ok_or_else(|| graphql::Error::new("altitoken is missing, wrong or expired; expected a user's token"))
    }

    fn seconds(&self) -> u64 {
        self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

/// The API's route.
pub fn router(altizure: Arc<Altizure>) -> Router {
    let route = post(transport::answer).get(transport::documentation).options(transport::preflight);
    Router::new().route("/graphql", route).layer(DefaultBodyLimit::disable()).with_state(altizure)
}

/// `routes` with the object storage in front. Its paths begin with a bucket's name, so that they are no routes: what makes a
/// request one of its own is a name of a project in its path and a signature of one of two forms (`storage.rs`).
pub fn with_storage(routes: Router, altizure: Arc<Altizure>) -> Router {
    routes.layer(from_fn_with_state(altizure, storage::take))
}
