//! Qiniu's protocol on the API listener: uploads and resources (spec 6, 8, 9).
//!
//! Answers of this dialect carry `X-Reqid`: the vendor's clients take one without it for a stranger's.

pub mod access;
mod batch;
mod callback;
pub mod commit;
mod content;
pub mod entry;
pub mod failure;
mod fops;
mod form;
mod legacy;
mod list;
pub mod mime;
mod pace;
pub mod pfop;
pub mod prefop;
pub mod resources;
mod resumable;
pub mod values;
pub mod variables;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::header::{self, HeaderMap, HeaderValue};
use http::{HeaderName, Method, StatusCode};
use tokio::sync::Semaphore;

use self::failure::Failure;
use self::pfop::Pfops;
pub use crate::http::observe::RequestId;
use crate::http::served::Served;
use crate::http::target::Delivery;
use crate::store::parts::Uploads;
use crate::store::spool::Spool;
use crate::store::turns::Turns;
use crate::store::{Bucket, Remote};

/// What uploads may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's own files.
    pub data_dir: PathBuf,
    /// Most bytes of an upload, whatever its policy says.
    pub upload_bytes: u64,
    /// Most bytes of a form's file before its token has come: anybody may send these.
    pub unsigned_bytes: u64,
    /// How long a sender may be silent.
    pub patience: Duration,
    /// Where objects are served.
    pub served: Served,
}

impl Settings {
    /// Bytes of a file before its token, where nobody says otherwise.
    pub const UNSIGNED_BYTES: u64 = 64 << 20;
}

/// Everything that this dialect needs.
#[derive(Debug)]
pub struct Qiniu {
    /// Buckets, keys, and what reads pictures.
    pub delivery: Arc<Delivery>,
    /// What sends callbacks.
    pub remote: Remote,
    /// Where uploads submit jobs; without it a policy that asks for one is refused.
    pub pfops: Option<Pfops>,
    settings: Settings,
    spool: Spool,
    uploads: Uploads,
    completions: Turns,
    /// Programs that look into uploads.
    probes: Semaphore,
}

impl Qiniu {
    /// The dialect over these buckets and keys.
    pub fn new(delivery: Arc<Delivery>, remote: Remote, pfops: Option<Pfops>, settings: Settings) -> Self {
        let spool = Spool::new(settings.data_dir.join("spool"));
        let uploads = Uploads::new(settings.data_dir.join("uploads"));
        let (completions, probes) = (Turns::default(), Semaphore::new(content::PROBES));
        Self { delivery, remote, pfops, settings, spool, uploads, completions, probes }
    }

    fn bucket(&self, name: &str) -> Result<&Arc<Bucket>, Failure> {
        Ok(self.delivery.transformer.buckets().named(name)?)
    }

    /// 413 where an upload passes this server's own limit.
    fn check_most(&self, bytes: u64) -> Result<(), Failure> {
        let limit = self.settings.upload_bytes;
        match bytes > limit {
            true => Err(Failure::new(413, format!("the file has more than {limit} bytes, the limit of this server"))),
            false => Ok(()),
        }
    }

    fn too_slow(&self) -> Failure {
        let seconds = self.settings.patience.as_secs_f32();
        Failure::new(408, format!("nothing was sent for {seconds} s"))
    }
}

/// The dialect's routes.
pub fn router(qiniu: Arc<Qiniu>) -> Router {
    let pfops = qiniu.pfops.clone().map_or_else(Router::new, pfop::router);
    Router::new()
        .route("/", post(form::upload).options(preflight))
        .route("/buckets/{bucket}/objects/{key}/uploads", post(resumable::begin).options(preflight))
        .route(
            "/buckets/{bucket}/objects/{key}/uploads/{id}",
            get(resumable::list_parts).post(resumable::complete).delete(resumable::abort).options(preflight),
        )
        .route("/buckets/{bucket}/objects/{key}/uploads/{id}/{number}", put(resumable::put_part).options(preflight))
        .route("/mkblk/{bytes}", post(legacy::make_block).options(preflight))
        .route("/bput/{ctx}/{offset}", post(legacy::put_chunk).options(preflight))
        .route("/mkfile/{*file}", post(legacy::make_file).options(preflight))
        .route("/putb64/{*file}", post(legacy::put_base64).options(preflight))
        .route("/stat/{*entry}", get(resources::manage).post(resources::manage))
        .route("/delete/{*entry}", post(resources::manage))
        .route("/copy/{*entries}", post(resources::manage))
        .route("/move/{*entries}", post(resources::manage))
        .route("/chgm/{*change}", post(resources::manage))
        .route("/chtype/{*change}", post(resources::manage))
        .route("/deleteAfterDays/{*change}", post(resources::manage))
        .route("/batch", post(batch::batch))
        .route("/list", get(list::list).post(list::list))
        .route("/buckets", get(resources::buckets).post(resources::buckets))
        .route("/v4/query", get(resources::query))
        .layer(DefaultBodyLimit::disable())
        .with_state(qiniu)
        .merge(pfops)
        .layer(from_fn(identified))
}

/// CORS: pages of any origin may upload; a token is what lets them.
async fn preflight(headers: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let allowed = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
    allowed.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    allowed.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        allowed.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

/// Adds what every answer of this dialect has; for `axum::middleware::from_fn`.
pub async fn identified(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-log"), HeaderValue::from_static("mogr"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("X-Log, X-Reqid, X-Request-Id"));
    if is_read {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod testing {
    use super::*;
    use crate::app;
    use crate::config::Config;
    use crate::store::Timeouts;
    use crate::store::guard::AddressGuard;

    /// The dialect over one bucket, `default`, in `folder`; its access key is `AK` with the secret `SK`.
    pub(super) fn qiniu(folder: &std::path::Path, patience: Duration, pfops: Option<Pfops>) -> Arc<Qiniu> {
        let key = [("MOGR_KEYS__AK__SECRET".to_owned(), "SK".to_owned())];
        let config = Config::for_directory(folder, key).unwrap();
        let delivery = Arc::new(app::delivery(&config, folder.join("styles.toml")).unwrap());
        let remote = Remote::new(AddressGuard::default(), Timeouts::default());
        let settings = Settings {
            data_dir: folder.join("data"),
            upload_bytes: 1 << 20,
            unsigned_bytes: 1000,
            patience,
            served: Served::default(),
        };
        Arc::new(Qiniu::new(delivery, remote, pfops, settings))
    }
}
