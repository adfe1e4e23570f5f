//! `…|saveas/<entry>/sign/<AK>:<signature>` on delivery: store the result, answer with its hash and key.

use http::{Method, Request, Response, StatusCode, header};

use super::respond::{Body, Failure, full, set};
use super::target::{Delivery, Target, host, lane, path_and_query};
use crate::auth;
use crate::error::ErrorKind;
use crate::plan::saveas::SaveAs;
use crate::plan::{ParseError, Plan};
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
        return Err(Failure { status: StatusCode::METHOD_NOT_ALLOWED, message });
    }
    authorize(delivery, request, destination)?;
    let key = destination_key(destination)?;
    let bucket = delivery.transformer.buckets().named(&destination.bucket)?;
    let (body, media_type) = result(delivery, target, plan, lane(request)).await?;
    bucket.put(key, body.clone(), &media_type).await?;
    let answer = serde_json::json!({ "hash": qetag(&body), "key": key });
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
    auth::saveas::verify(host, path_and_query(request), &destination.bucket, &delivery.keys)?;
    Ok(())
}

/// The key to store under. Templates and expiry belong to jobs, which have the clock and the table they need.
fn destination_key(destination: &SaveAs) -> Result<&str, Failure> {
    let unsupported = |argument: &str| {
        let message = format!("saveas: {argument} is not done on delivery; expected bucket:key alone");
        Failure::new(ErrorKind::Unsupported, &message)
    };
    if destination.template.is_some() {
        return Err(unsupported("saveKey and savePattern"));
    }
    if destination.delete_after_days.is_some() {
        return Err(unsupported("deleteAfterDays"));
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
