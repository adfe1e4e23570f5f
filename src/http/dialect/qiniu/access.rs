//! Who signed a request: `Authorization: QBox …` or `Qiniu …` over a request that is read whole (spec 2.2, 2.3).

use std::time::{Duration, SystemTime};

use axum::body::to_bytes;
use axum::extract::Request;
use bytes::Bytes;
use http::header;
use http::request::Parts;

use super::RequestId;
use super::failure::Failure;
use crate::auth::management::{self, SignedRequest};
use crate::auth::{self, KeyRing};
use crate::http::target::host;

/// Most bytes of a management request's body; a batch of 1000 entries with long keys has about 2 MB.
const MAX_BODY_BYTES: usize = 4 << 20;

/// How long the body of a management request may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A management request, read whole.
#[derive(Debug)]
pub struct Call {
    /// Everything but the body.
    pub parts: Parts,
    /// The body.
    pub body: Bytes,
    host: String,
}

impl Call {
    /// Reads the request's body.
    ///
    /// # Errors
    /// 413 for a body of more than 4 MiB, 408 for one that takes too long, 400 for one that ends early.
    pub async fn read(request: Request) -> Result<Self, Failure> {
        let host = host(&request).unwrap_or_default().to_owned();
        let (parts, body) = request.into_parts();
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|bytes| bytes > MAX_BODY_BYTES as u64) {
            return Err(too_large());
        }
        let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES))
            .await
            .map_err(|_| Failure::new(408, format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs())))?
            .map_err(|error| match std::error::Error::source(&error) {
                Some(cause) if cause.is::<http_body_util::LengthLimitError>() => too_large(),
                _ => Failure::invalid(format!("the body could not be read: {error}")),
            })?;
        Ok(Self { parts, body, host })
    }

    /// The access key that signed the request.
    ///
    /// # Errors
    /// 401 without a signature or with a bad one, 403 where its date is too far from `now`.
    pub fn caller(&self, keys: &KeyRing, now: SystemTime) -> Result<Caller, Failure> {
        let authorization = self.parts.headers.get(header::AUTHORIZATION).ok_or(auth::Error::NoCredential)?;
        let authorization = authorization.to_str().map_err(|_| auth::Error::BadToken)?;
        let headers: Vec<(&str, &str)> =
            self.parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let signed = SignedRequest {
            method: self.parts.method.as_str(),
            target: self.parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str),
            host: &self.host,
            headers: &headers,
            body: &self.body,
        };
        let grant = management::verify(authorization, &signed, now, keys)?;
        Ok(Caller { access_key: grant.access_key })
    }

    /// Whether the request carries a credential at all: some calls are answered with and without one.
    pub fn is_signed(&self) -> bool {
        self.parts.headers.contains_key(header::AUTHORIZATION)
    }

    /// The fields of the query and, after them, of the body where it is a form, in order.
    pub fn fields(&self) -> Fields {
        let query = self.parts.uri.query().unwrap_or_default().as_bytes();
        let parse = |text| url::form_urlencoded::parse(text).into_owned();
        // A body of another type is not covered by every signature, and is no form.
        let is_form = self.parts.headers.get(header::CONTENT_TYPE).is_some_and(|it| it == management::FORM_TYPE);
        let body = if is_form { &self.body[..] } else { &[] };
        Fields(parse(query).chain(parse(body)).collect())
    }

    /// The id that the answer will carry.
    pub fn request_id(&self) -> String {
        self.parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
    }
}

fn too_large() -> Failure {
    Failure::new(413, format!("the body has more than {MAX_BODY_BYTES} bytes"))
}

/// Names and values of a query or a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The first value of that name, unless it is empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Every value of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The first value of that name.
    ///
    /// # Errors
    /// 400 that names the field where it is missing or empty.
    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.filled(name).ok_or_else(|| Failure::invalid(format!("invalid argument: {name} is missing")))
    }
}

/// Whoever signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Their access key.
    pub access_key: String,
}

impl Caller {
    /// Refuses a bucket that the caller's key does not open.
    ///
    /// # Errors
    /// 403.
    pub fn require(&self, bucket: &str, keys: &KeyRing) -> Result<(), Failure> {
        if keys.allows(&self.access_key, bucket) { Ok(()) } else { Err(auth::Error::NotAllowed.into()) }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(target: &str, authorization: Option<&str>, body: &'static str) -> Request {
        let mut request = http::Request::post(target).header("host", "rs.example.com");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request.header("content-type", management::FORM_TYPE).body(Body::from(body)).unwrap()
    }

    async fn caller(authorization: Option<&str>) -> Result<Caller, Failure> {
        let request = request("/stat/cGhvdG9zOmdvZ29waGVyLmpwZw==", authorization, "");
        Call::read(request).await?.caller(&KeyRing::sample(), SystemTime::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn callers_are_known_by_their_signature() {
        let good = "QBox MY_ACCESS_KEY:oujZqihwpMK0DN5uU5xvWeizCkE=";
        assert_eq!(caller(Some(good)).await.unwrap().access_key, "MY_ACCESS_KEY");
        assert_eq!(caller(Some("QBox x:y")).await, Err(Failure::new(401, "bad token")));
        assert_eq!(caller(None).await, Err(Failure::new(401, "token not specified")));
    }

    #[tokio::test]
    async fn fields_come_from_query_and_form() {
        let call = Call::read(request("/list?bucket=a&x=%E7%8C%AB", None, "bucket=b&op=1&op=2&empty=")).await.unwrap();
        let fields = call.fields();
        assert_eq!(fields.get("bucket"), Some("a"));
        assert_eq!(fields.get("x"), Some("猫"));
        assert_eq!(fields.all("op").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((fields.get("empty"), fields.filled("empty"), fields.get("no")), (Some(""), None, None));
        assert_eq!(fields.required("empty"), Err(Failure::invalid("invalid argument: empty is missing")));
    }

    #[tokio::test]
    async fn large_bodies_are_refused() {
        let body = vec![0; MAX_BODY_BYTES + 1];
        let request = http::Request::post("/batch").body(Body::from(body)).unwrap();
        assert_eq!(Call::read(request).await.unwrap_err().status, 413);
    }

    #[test]
    fn callers_use_the_buckets_of_their_key() {
        let keys = KeyRing::sample();
        let caller = Caller { access_key: "OTHER_KEY".to_owned() };
        assert_eq!(caller.require("other", &keys), Ok(()));
        assert_eq!(caller.require("photos", &keys), Err(Failure::new(403, "not allowed")));
    }
}
