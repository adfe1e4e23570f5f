//! The API listener: the state of the styles, and `explain`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::respond::Failure;
use super::target::{Delivery, Target};
use crate::config::OverBudget;
use crate::engine::image::Header;
use crate::engine::program::{Answer, ImageOutput, Program};
use crate::error::ErrorKind;
use crate::plan::output::{Quality, QualityTarget};
use crate::transform::{Explained, KeptAt, Near};

/// The API's routes.
///
/// `/explain/…` takes a delivery URL's path and query and tells what it would do; so does `…|explain` at the end of a
/// delivery URL sent here.
pub fn router(delivery: Arc<Delivery>) -> Router {
    Router::new().route("/styles", get(styles)).route("/", get(explain)).fallback(explain).with_state(delivery)
}

async fn styles(State(delivery): State<Arc<Delivery>>) -> Json<Value> {
    let status = delivery.styles.status();
    let problems: Vec<String> = status.problem.iter().flatten().map(ToString::to_string).collect();
    Json(json!({ "revision": status.revision, "ok": problems.is_empty(), "problems": problems }))
}

async fn explain(State(delivery): State<Arc<Delivery>>, request: axum::extract::Request) -> axum::response::Response {
    match explained(&delivery, delivery_request(&request)).await {
        Ok(program) => Json(program).into_response(),
        Err(failure) => (failure.status, Json(json!({ "error": failure.message }))).into_response(),
    }
}

async fn explained(delivery: &Delivery, request: Option<Request<()>>) -> Result<Value, Failure> {
    let Some(request) = request else {
        let message =
            "no such path; expected /healthz, /readyz, /metrics, /styles or a delivery URL ending in |explain";
        return Err(Failure {
            status: StatusCode::NOT_FOUND,
            message: message.to_owned(),
            kind: Some(ErrorKind::NotFound),
        });
    };
    let target = delivery.target(&request).await?;
    let Some(plan) = &target.plan else {
        let message = "explain: the URL has no operators; the object is served as it is";
        return Err(Failure::new(ErrorKind::Invalid, &message));
    };
    let (wish, vary) = delivery.wish(&request, &target, plan);
    let explained = delivery.transformer.explain(&target.bucket, &target.key, plan, wish).await?;
    Ok(describe(&target, &explained, vary.as_deref()))
}

/// The delivery request that is to be explained: the same one without `|explain`.
fn delivery_request(request: &axum::extract::Request) -> Option<Request<()>> {
    let uri = request.uri();
    let query = uri.query()?;
    let operators = ["|explain", "%7Cexplain", "%7cexplain"].iter().find_map(|suffix| query.strip_suffix(suffix))?;
    let mut delivered = Request::builder().uri(format!("{}?{operators}", uri.path())).body(()).ok()?;
    request.headers().clone_into(delivered.headers_mut());
    Some(delivered)
}

fn describe(target: &Target, explained: &Explained, vary: Option<&str>) -> Value {
    let program = &explained.program;
    json!({
        "bucket": target.bucket.name(),
        "key": target.key,
        "plan": explained.plan,
        "source": source(&program.source),
        "decode": {
            "scale": format!("{}/8", program.scale_eighths()),
            "size": size(program.decoded_size()),
            "frames": program.frames(),
        },
        "steps": program.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "result": result(program),
        "vary": vary,
        "interim": explained.is_interim,
        "cache": kept_at(explained.kept),
        "cost": {
            "memory_bytes": program.cost.memory_bytes,
            "pixels": program.cost.pixels,
            "predicted_milliseconds": (program.cost.time.as_micros() as f64 / 1000.0),
        },
        "over_budget": explained.over_budget.map(|over| if over == OverBudget::Accept { "accept" } else { "refuse" }),
        "limits_near": explained.near.iter().map(near).collect::<Vec<_>>(),
    })
}

const fn kept_at(kept: KeptAt) -> &'static str {
    match kept {
        KeptAt::Memory => "memory",
        KeptAt::Store => "store",
        KeptAt::UnderWay => "under way",
        KeptAt::Nowhere => "none",
    }
}

fn near(near: &Near) -> Value {
    json!({ "what": near.what, "value": near.value, "limit": near.limit })
}

fn source(header: &Header) -> Value {
    crate::engine::told::info(header)
}

fn result(program: &Program) -> Value {
    let output = |output: &ImageOutput| {
        json!({
            "format": crate::engine::run::format_of(output.format).name(),
            "size": size(program.size),
            "quality": quality(output.quality),
            "depth": 8 * program.depth.bytes(),
            "lossless": program.lossless.is_some(),
            "animated": program.animated,
        })
    };
    match &program.answer {
        Answer::Image(image) => output(image),
        Answer::Info(Some(image)) => json!({ "imageInfo": output(image) }),
        Answer::Info(None) => json!("imageInfo of the source"),
        Answer::Exif => json!("exif of the source"),
        Answer::Facts(_) => json!("facts of the source"),
        Answer::Seen(seen) => json!(seen.to_string()),
    }
}

fn quality(target: QualityTarget) -> Value {
    match target {
        QualityTarget::Fixed(quality) => json!(quality),
        QualityTarget::Ssim(score) => json!(Quality::Ssim(score).to_string()),
    }
}

fn size(size: crate::geometry::Size) -> Value {
    json!([size.width, size.height])
}
