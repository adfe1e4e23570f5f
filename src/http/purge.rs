//! `POST /purge` on the API listener: what was kept is forgotten, on every node, by the time that the answer comes.
//!
//! Signed as the vendor's management requests are, by a key that opens every bucket that is named.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Json;
use axum::routing::post;
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};

use super::dialect::qiniu::access::{Call, Caller};
use super::dialect::qiniu::failure::Failure;
use super::target::Delivery;
use crate::auth::KeyRing;
use crate::cache::generations::Scope;
use crate::jobs::purges::Purges;
use crate::plan::Plan;

/// Most entries of one request.
const MOST_ENTRIES: usize = 10_000;

/// What the route needs.
#[derive(Debug)]
pub struct Purging {
    /// Knows what URLs and styles mean.
    pub delivery: Arc<Delivery>,
    /// Tells every node.
    pub purges: Purges,
    /// Access keys.
    pub keys: Arc<KeyRing>,
}

/// The route.
pub fn router(purging: Purging) -> Router {
    Router::new().route("/purge", post(purge)).with_state(Arc::new(purging))
}

/// What is to be purged. Each entry but a URL is `bucket:name`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Entries {
    /// Delivery URLs: what they answer with.
    urls: Vec<String>,
    /// Objects, and whatever is made of them.
    keys: Vec<String>,
    /// The same, by what their keys begin with; nothing behind the colon is all of the bucket.
    prefixes: Vec<String>,
    /// What styles make of any object of their bucket.
    styles: Vec<String>,
    /// Objects that carry a tag, and whatever is made of them.
    tags: Vec<String>,
}

async fn purge(State(purging): State<Arc<Purging>>, request: Request) -> Result<Json<Value>, Failure> {
    let call = Call::read(request).await?;
    let caller = call.caller(&purging.keys, SystemTime::now())?;
    let entries: Entries = serde_json::from_slice(&call.body).map_err(|error| {
        Failure::invalid(format!("the body is not as expected: {error}; expected {{\"keys\": [\"bucket:key\"], …}}"))
    })?;
    let scopes = purging.scopes(&entries)?;
    for scope in &scopes {
        purging.require(&caller, scope)?;
    }
    let purged = purging.purges.purge(&scopes, SystemTime::now()).await;
    let number = purged.map_err(|error| {
        tracing::error!(%error, "purge failed");
        Failure::new(503, "the purge could not be confirmed on every node; try again")
    })?;
    tracing::info!(access_key = caller.access_key, number, scopes = scopes.len(), "purged");
    Ok(Json(json!({ "purge": number })))
}

impl Purging {
    fn scopes(&self, entries: &Entries) -> Result<Vec<Scope>, Failure> {
        let Entries { urls, keys, prefixes, styles, tags } = entries;
        let count = urls.len() + keys.len() + prefixes.len() + styles.len() + tags.len();
        if !(1..=MOST_ENTRIES).contains(&count) {
            let expected = format!("expected 1 to {MOST_ENTRIES} in urls, keys, prefixes, styles and tags");
            return Err(Failure::invalid(format!("the body has {count} entries; {expected}")));
        }
        let mut scopes = Vec::with_capacity(count);
        for url in urls {
            scopes.extend(self.of_url(url)?);
        }
        for entry in keys {
            let (bucket, key) = self.entry("keys", entry, true)?;
            scopes.push(Scope::Key { bucket, key });
        }
        for entry in prefixes {
            let (bucket, prefix) = self.entry("prefixes", entry, false)?;
            scopes.push(Scope::Prefix { bucket, prefix });
        }
        for entry in styles {
            let (bucket, style) = self.entry("styles", entry, true)?;
            scopes.push(self.of_style(bucket, &style)?);
        }
        for entry in tags {
            let (bucket, tag) = self.entry("tags", entry, true)?;
            scopes.push(Scope::Tag { bucket, tag });
        }
        Ok(scopes)
    }

    /// Bucket and name of an entry.
    fn entry(&self, list: &str, entry: &str, is_named: bool) -> Result<(String, String), Failure> {
        let refused = |problem: &str| Failure::invalid(format!("{list}: {entry:?} {problem}; expected bucket:name"));
        let (bucket, name) = entry.split_once(':').ok_or_else(|| refused("has no colon"))?;
        if name.is_empty() && is_named {
            return Err(refused("names nothing"));
        }
        let buckets = self.delivery.transformer.buckets();
        buckets.named(bucket).map_err(|_| refused(&format!("is in no bucket of this server: {bucket:?}")))?;
        Ok((bucket.to_owned(), name.to_owned()))
    }

    /// What a style's pipeline makes, also where it is written out or goes on.
    fn of_style(&self, bucket: String, style: &str) -> Result<Scope, Failure> {
        let styles = self.delivery.styles.current();
        let missing = || Failure::invalid(format!("styles: there is no style {style:?} in bucket {bucket:?}"));
        let (_, pipeline) = styles.style(&bucket, style).ok_or_else(missing)?;
        let plan = Plan::parse(pipeline).map_err(|error| Failure::invalid(format!("styles: {style:?}: {error}")))?;
        Ok(Scope::Pipeline { bucket, pipeline: plan.to_string() })
    }

    /// What a URL answers with, and what is known of its source; all of the picture's, where the URL is of a service for pictures.
    fn of_url(&self, url: &str) -> Result<Vec<Scope>, Failure> {
        let refused = |problem: &str| Failure::invalid(format!("urls: {url:?}: {problem}"));
        let uri: Uri = url.parse().map_err(|_| refused("it is no URL; expected https://HOST/PATH"))?;
        if uri.host().is_none() {
            return Err(refused("it names no host; expected https://HOST/PATH"));
        }
        let pictures = self.delivery.pictures_behind(&uri);
        if !pictures.is_empty() {
            return Ok(pictures.into_iter().map(|(bucket, key)| Scope::Key { bucket, key }).collect());
        }
        let meanings = self.delivery.meanings(uri).map_err(|failure| refused(&failure.message))?;
        let scopes = meanings.into_iter().flat_map(|meaning| {
            let (bucket, key) = (meaning.bucket.name().to_owned(), meaning.key);
            let result = meaning.plan.map(|plan| Scope::Result {
                bucket: bucket.clone(),
                key: key.clone(),
                pipeline: plan.to_string(),
            });
            [Some(Scope::Source { bucket, key }), result].into_iter().flatten()
        });
        Ok(scopes.collect())
    }

    fn require(&self, caller: &Caller, scope: &Scope) -> Result<(), Failure> {
        caller.require(scope.bucket(), &self.keys)
    }
}
