//! Buckets whose URLs are in this vendor's grammar on the delivery listener (Tencent spec 7 and 10): its rules, its styles,
//! its errors.

use std::sync::Arc;

use http::{Request, Response};

use super::failure::Failure;
use crate::auth::cos;
use crate::error::ErrorKind;
use crate::http::observe::RequestId;
use crate::http::respond::{self, Body, full};
use crate::http::target::{Delivery, Target};
use crate::jobs::records::styles;
use crate::plan::{Plan, tencent};
use crate::store::Bucket;

/// Stands between a key and the name of a style.
const SEPARATOR: char = '!';

/// The number of refusals of originals.
const PROTECTED: &str = "-154";

impl Delivery {
    /// Answers a `GET` or `HEAD`. Never fails: failures are answers too.
    pub(in crate::http) async fn answer_as_tencent<B>(&self, request: &Request<B>) -> Response<Body> {
        let answered = match self.target_as_tencent(request).await {
            Ok(target) => self.deliver(request, target).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        let id = request.extensions().get::<RequestId>().map_or("-", |id| &*id.0);
        answered.unwrap_or_else(|failure| failure.spelled(request.uri().path(), id, true).map(full))
    }

    /// What a URL of such a bucket asks for.
    pub(in crate::http) async fn target_as_tencent<B>(&self, request: &Request<B>) -> Result<Target, Failure> {
        let (bucket, path) = self.bucket_and_path(request)?;
        let (query, expires) = self.signed_query(request, bucket.name())?;
        let rules = self.rules.get(bucket.name()).cloned().unwrap_or_default();
        if rules.private {
            self.check_token(request, bucket.name())?;
        }
        if path.is_empty() {
            return Err(Failure::new(404, "NoSuchKey", "the path names no object").numbered("-6101"));
        }
        let (key, rule) = match rule_of(query) {
            Some(rule) => (path, Some(self.expanded(rule, &bucket).await?)),
            None => self.behind_separator(&bucket, path).await?,
        };
        let plan = rule.map(|rule| tencent::parse(&rule)).transpose()?;
        match &plan {
            Some(plan) => self.check_pictures(plan, bucket.name())?,
            None if rules.protected || self.is_protected_by_record(&bucket).await? => {
                let message = "the originals of the bucket are protected; expected a rule or a style";
                return Err(Failure::new(403, "AccessDenied", message).numbered(PROTECTED));
            }
            None => {}
        }
        // Styles of such buckets are records, which may change with the next request.
        Ok(Target { bucket, key, plan, attname: None, expires, read_by: None, link: None })
    }

    /// A rule, or the one that it names by `style/`.
    async fn expanded(&self, rule: String, bucket: &Bucket) -> Result<String, Failure> {
        let Some(name) = tencent::style_of(&rule) else { return Ok(rule) };
        self.style(bucket, name).await?.ok_or_else(|| Failure::no_style(name))
    }

    /// Key and style of a path; an object with the whole path for its key comes first.
    async fn behind_separator(&self, bucket: &Arc<Bucket>, path: String) -> Result<(String, Option<String>), Failure> {
        let Some((key, name)) = path.rsplit_once(SEPARATOR).filter(|(key, name)| !key.is_empty() && !name.is_empty())
        else {
            return Ok((path, None));
        };
        if self.transformer.sources().meta(bucket, &path).await.is_ok() {
            return Ok((path, None));
        }
        match self.style(bucket, name).await? {
            Some(rule) => Ok((key.to_owned(), Some(rule))),
            None => Ok((path, None)),
        }
    }

    async fn style(&self, bucket: &Bucket, name: &str) -> Result<Option<String>, Failure> {
        match self.records.get() {
            Some(records) => Ok(styles::get(records, bucket.name(), name).await?),
            None => Ok(None),
        }
    }

    async fn is_protected_by_record(&self, bucket: &Bucket) -> Result<bool, Failure> {
        match self.records.get() {
            Some(records) => Ok(styles::is_protected(records, bucket.name()).await?),
            None => Ok(false),
        }
    }
}

/// What a URL means, whoever asks; a style is nobody's but the server's that keeps it, and stands for the whole object.
pub(in crate::http) fn meaning(bucket: Arc<Bucket>, key: String, query: &str) -> Result<Target, respond::Failure> {
    let rule = rule_of(query).filter(|rule| tencent::style_of(rule).is_none());
    let plan: Option<Plan> = rule.map(|rule| tencent::parse(&rule)).transpose()?;
    Ok(Target { bucket, key, plan, attname: None, expires: None, read_by: None, link: None })
}

fn rule_of(query: &str) -> Option<String> {
    let members = cos::pairs(query);
    let members = members.iter().filter(|(name, _)| !cos::is_credential(name));
    tencent::rule_of(members.map(|(name, value)| (name.as_str(), value.as_str())))
}

impl From<Failure> for respond::Failure {
    fn from(failure: Failure) -> Self {
        let kind = match failure.status {
            404 => ErrorKind::NotFound,
            403 => ErrorKind::Forbidden,
            400..=499 => ErrorKind::Invalid,
            503 => ErrorKind::Busy,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, &failure.message)
    }
}
