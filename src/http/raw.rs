//! Objects as they are: streamed, with ranges and conditional requests.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use super::conditional::{Selection, Validators, selection};
use super::respond::{Body, Caching, Failure, full, set, streamed, unsatisfiable};
use super::target::Target;
use crate::engine::decode;
use crate::engine::run::Content;
use crate::store::{self, Meta};

/// Answers with the object itself.
pub(super) async fn answer<B>(
    target: &Target,
    request: &Request<B>,
    cache_control: String,
) -> Result<Response<Body>, Failure> {
    let meta = target.bucket.head(&target.key).await?;
    let validators = Validators { etag: etag(&meta.version), modified: meta.modified };
    let caching = Caching { validators, cache_control, vary: None };
    if let Some(response) = caching.precondition(request.headers()) {
        return Ok(response);
    }
    let range = match meta.bytes.map(|length| (length, selection(request.headers(), length, &caching.validators))) {
        Some((length, Selection::Unsatisfiable)) => return Ok(unsatisfiable(length)),
        Some((_, Selection::Part(range))) => Some(range),
        _ => None,
    };
    let media_type = media_type(target, &meta).await?;
    let body = if meta.bytes == Some(0) || request.method() == Method::HEAD {
        full(Bytes::new())
    } else {
        streamed(target.bucket.stream(&target.key, range.clone()).await?.1)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, &media_type);
    caching.apply(headers);
    target.name_attachment(headers);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(length) = meta.bytes {
        let sent = range.as_ref().map_or(length, |range| range.end - range.start);
        set(headers, header::CONTENT_LENGTH, &sent.to_string());
        if let Some(range) = range {
            set(headers, header::CONTENT_RANGE, &format!("bytes {}-{}/{length}", range.start, range.end - 1));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
    }
    Ok(response)
}

/// A store's version as a strong entity tag.
fn etag(version: &str) -> String {
    let bare = version.trim_start_matches("W/").trim_matches('"');
    let safe: String = bare.chars().map(|c| if c.is_ascii_graphic() && c != '"' { c } else { '-' }).collect();
    format!("\"{safe}\"")
}

/// The stored media type; where the store keeps none, the one it was put with; else by the key's extension; else by the
/// first bytes.
async fn media_type(target: &Target, meta: &Meta) -> Result<String, store::Error> {
    const SNIFFED_BYTES: u64 = 64;
    let vague = "application/octet-stream";
    if let Some(stored) = meta.content_type.as_ref().filter(|stored| !stored.is_empty() && *stored != vague) {
        return Ok(stored.clone());
    }
    if let Some(noted) = target.bucket.noted_media_type(&target.key).await? {
        return Ok(noted);
    }
    if let Some(guess) = mime_guess::from_path(&target.key).first() {
        return Ok(guess.to_string());
    }
    let Some(length) = meta.bytes.filter(|length| *length > 0) else { return Ok(vague.to_owned()) };
    let (_, mut stream) = target.bucket.stream(&target.key, Some(0..length.min(SNIFFED_BYTES))).await?;
    let first = futures::StreamExt::next(&mut stream).await.transpose()?.unwrap_or_default();
    Ok(decode::sniff(&first).map_or(vague, |format| Content::Image(format).media_type()).to_owned())
}
