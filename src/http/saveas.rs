//! `…|saveas/<entry>/sign/<AK>:<signature>` on delivery: store the result, answer with its hash and key.

use std::time::SystemTime;

use http::{Method, Request, Response, StatusCode, header};

use super::respond::{Body, Failure, full, set};
use super::target::{Delivery, Target, host, lane, path_and_query};
use crate::auth;
use crate::error::ErrorKind;
use crate::plan::saveas::SaveAs;
use crate::plan::{ParseError, Plan};
use crate::store::facts::{Facts, expiry, put_time};
use crate::store::qetag::qetag;
use crate::workers::Lane;

/// Checks the signature, renders the plan before `saveas`, stores it and answers `{"hash": …, "key": …}`.
pub(super) async fn answer<B>(
    delivery: &Delivery,
    request: &Request<B>,
    target: &Target,
    plan: &Plan,
    destination: &SaveAs,
) -> Result<Response<Body>, Failure> {
    if request.method() != Method::GET {
        let message = "saveas stores an object; it is asked for with GET".to_owned();
        return Err(Failure { status: StatusCode::METHOD_NOT_ALLOWED, message, kind: None });
    }
    authorize(delivery, request, destination)?;
    let key = destination_key(destination)?;
    let bucket = delivery.transformer.buckets().named(&destination.bucket)?;
    let (body, media_type) = result(delivery, target, plan, lane(request)).await?;
    let (now, hash) = (SystemTime::now(), qetag(&body));
    let facts = Facts {
        hash: hash.clone(),
        media_type,
        put_time: put_time(now),
        expires: destination.delete_after_days.map(|days| expiry(now, days.into())),
        ..Facts::default()
    };
    let bytes = body.len() as u64;
    bucket.put_stream(key, Box::pin(futures::stream::iter([Ok(body)])), bytes, facts, true).await?;
    let answer = serde_json::json!({ "hash": hash, "key": key });
    let mut response = Response::new(full(answer.to_string()));
    set(response.headers_mut(), header::CONTENT_TYPE, "application/json");
    set(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    Ok(response)
}

fn authorize<B>(delivery: &Delivery, request: &Request<B>, destination: &SaveAs) -> Result<(), Failure> {
    if destination.signature.is_none() {
        return Err(Failure::new(
            ErrorKind::Unauthorized,
            &"saveas: sign is missing; a delivery URL stores its result only when it is signed",
        ));
    }
    let host = host(request).unwrap_or_default();
    let uri = path_and_query(request);
    auth::saveas::verify(host, uri, &destination.bucket, &delivery.keys)?;
    // Whoever has a signed URL could have the object deleted.
    let is_behind = uri.rsplit_once("/sign/").is_some_and(|(_, rest)| rest.contains("/deleteAfterDays/"));
    match is_behind && destination.delete_after_days.is_some() {
        true => Err(Failure::new(
            ErrorKind::Unsupported,
            &"saveas: deleteAfterDays stands behind the signature, which does not cover it; expected it before /sign/",
        )),
        false => Ok(()),
    }
}

/// The key to store under. Templates belong to jobs.
fn destination_key(destination: &SaveAs) -> Result<&str, Failure> {
    let unsupported = |argument: &str| {
        let message = format!("saveas: {argument} is not done on delivery; expected bucket:key alone");
        Failure::new(ErrorKind::Unsupported, &message)
    };
    if destination.template.is_some() {
        return Err(unsupported("saveKey and savePattern"));
    }
    destination.key.as_deref().ok_or_else(|| {
        Failure::from(ParseError::Missing {
            fop: "saveas",
            argument: "the key".to_owned(),
            expected: "URL-safe Base64 of bucket:key".to_owned(),
        })
    })
}

/// The bytes to store: the plan's result, or a copy of the object where `saveas` is all there is.
async fn result(
    delivery: &Delivery,
    target: &Target,
    plan: &Plan,
    lane: Lane,
) -> Result<(bytes::Bytes, String), Failure> {
    let Some(plan) = plan.without_saveas() else {
        let (meta, body) = delivery.transformer.read(&target.bucket, &target.key).await?;
        let media_type = meta.content_type.unwrap_or_else(|| crate::transform::media_type_of(&body, &target.key));
        return Ok((body, media_type));
    };
    let mut identity = delivery.transformer.identify(&target.bucket, &target.key, plan).await?;
    let asker = delivery.transformer.asker(lane);
    let rendered = delivery.transformer.render(&mut identity, asker).await;
    let (rendered, _) = rendered.map_err(|error| Failure::from(error.as_ref()))?;
    Ok((rendered.body.clone(), rendered.media_type.clone()))
}
