//! The object storage that images are put to: signed URLs as of S3, and temporary credentials as of OSS (spec 7).
//!
//! A request is one of these where its decoded path is `/<bucket>/<project>/<file>`, with 24 hexadecimal digits in the midst, and
//! its query, or its `Authorization`, has the form of a signature of ours. Clients of OSS may name the bucket in the host instead,
//! or, where the host is an address, nowhere: the signature says which it is, and the project has but one. Everything else goes on
//! to the routes: other services' objects and uploads have paths of any form, and other signatures.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::{Altizure, transport};
use crate::auth::{self, oss, put_url};
use crate::error::ErrorKind;
use crate::http::observe::RequestId;
use crate::http::respond::status_of;
use crate::jobs::model::JobId;
use crate::jobs::records::projects::intake::{Bringer, Error};
use crate::jobs::records::projects::{Image, Project};
use crate::store;

/// The object that a request is about.
struct Place {
    /// Where the path has it.
    bucket: Option<String>,
    project: JobId,
    file: String,
}

impl Place {
    fn key(&self) -> String {
        format!("{}/{}", self.project, self.file)
    }
}

/// Why nothing was stored: a status, the vendors' word for it, and a text.
struct Refusal(StatusCode, &'static str, String);

/// Answers what is for the storage; the rest goes on.
pub(super) async fn take(State(altizure): State<Arc<Altizure>>, request: Request, next: Next) -> Response {
    let Some(place) = place(&request) else { return next.run(request).await };
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => put(&altizure, &place, request).await.unwrap_or_else(|refusal| refusal.into_response(&id)),
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-oss-request-id", id);
    }
    transport::allow(response.headers_mut(), "PUT, OPTIONS", asked.as_ref());
    response
}

/// The place that a request is about, if it is one for the storage.
fn place(request: &Request) -> Option<Place> {
    let asks_headers = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let will_be_signed =
        asks_headers.and_then(|it| it.to_str().ok()).is_some_and(|it| it.contains("x-oss-security-token"));
    let is_signed = put_url::is_signed(request.uri().query().unwrap_or_default());
    let is_oss = match *request.method() {
        Method::OPTIONS => will_be_signed,
        _ => oss::is_signed(text(request.headers(), "authorization")),
    };
    let is_url = is_signed && matches!(*request.method(), Method::PUT | Method::OPTIONS);
    if !is_oss && !is_url {
        return None;
    }
    let path = percent_decode_str(request.uri().path().strip_prefix('/')?).decode_utf8().ok()?;
    let (bucket, project, file) = match *path.split('/').collect::<Vec<_>>() {
        [bucket, project, file] => (Some(bucket.to_owned()), project, file),
        [project, file] if is_oss => (None, project, file),
        _ => return None,
    };
    Some(Place { bucket, project: JobId::parse(project)?, file: file.to_owned() })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn put(altizure: &Arc<Altizure>, place: &Place, request: Request) -> Result<Response, Refusal> {
    let now = SystemTime::now();
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    if parts.method != Method::PUT || !(query.is_empty() || put_url::is_signed(query)) {
        return Err(Refusal::not_done(&parts));
    }
    let (project, image) = permitted(altizure, place, &parts, now).await?;
    let limit = altizure.intake.max_bytes();
    let declared = text(&parts.headers, "content-length").and_then(|it| it.parse::<u64>().ok());
    if let Some(bytes) = declared.filter(|bytes| *bytes > limit) {
        return Err(Error::from(store::Error::TooLarge { bytes, limit }).into());
    }
    let received = altizure.intake.receive(body.into_data_stream()).await?;
    altizure.intake.keep((project, image), received, Bringer::Owner, SystemTime::now()).await?;
    Ok(StatusCode::OK.into_response())
}

/// The image that a request may put. What is not there is answered as what is not allowed.
async fn permitted(
    altizure: &Altizure,
    place: &Place,
    request: &Parts,
    now: SystemTime,
) -> Result<(Project, Image), Refusal> {
    let denied = || Refusal::denied(&auth::Error::NotAllowed);
    let project = altizure.projects.find(&place.project).await.map_err(Error::from)?.ok_or_else(denied)?;
    if place.bucket.as_ref().is_some_and(|bucket| *bucket != project.bucket) {
        return Err(denied());
    }
    let secret = altizure.keys.get(&project.owner).ok_or_else(denied)?.secret.expose();
    let query = request.uri.query().unwrap_or_default();
    if put_url::is_signed(query) {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        put_url::verify(request.uri.path(), query, seconds, secret).map_err(|error| Refusal::denied(&error))?;
    } else {
        let headers: Vec<(&str, &str)> =
            request.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let (key, method) = (place.key(), request.method.as_str());
        let signed = oss::Request { method, headers: &headers, bucket: &project.bucket, key: &key };
        let scope = oss::verify(&signed, now, &altizure.keys).map_err(|error| Refusal::denied(&error))?;
        if scope.owner != project.owner {
            return Err(denied());
        }
    }
    if !altizure.keys.allows(&project.owner, &project.bucket) {
        return Err(denied());
    }
    let image = altizure.projects.image_stored_as(&project.id, &place.file).await.map_err(Error::from)?;
    Ok((project, image.ok_or_else(denied)?))
}

impl Refusal {
    fn denied(error: &auth::Error) -> Self {
        Self(StatusCode::FORBIDDEN, "AccessDenied", error.to_string())
    }

    /// What the storage's vendors have and this one has not: reading, deleting, uploads in parts.
    fn not_done(request: &Parts) -> Self {
        let query = request.uri.query().unwrap_or_default();
        let call = if query.is_empty() { "" } else { " with a query" };
        let message = format!("{}{call} is not done here; expected PUT of a whole object", request.method);
        Self(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    fn into_response(self, id: &str) -> Response {
        let Self(status, code, message) = self;
        let message = message.replace('&', "&amp;").replace('<', "&lt;");
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <RequestId>{id}</RequestId></Error>"
        );
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"))], Body::from(body))
            .into_response()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Removed => Self::denied(&auth::Error::NotAllowed),
            Error::Store(error) if error.kind() == ErrorKind::TooLarge => {
                Self(StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge", message)
            }
            Error::Store(error) => Self(status_of(error.kind()), "InternalError", message),
            Error::Records(error) => {
                tracing::error!(%error, "an image was not recorded");
                let message = "the server failed on this request".to_owned();
                Self(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
            }
            Error::Sender(_) => Self(StatusCode::BAD_REQUEST, "IncompleteBody", message),
        }
    }
}
