//! Objects as they are: streamed, with ranges and conditional requests.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use super::conditional::{Selection, Validators, selection};
use super::respond::{Body, Caching, Failure, full, set, streamed, unsatisfiable};
use super::target::Target;
use crate::cache::sources::Sources;
use crate::engine::decode;
use crate::engine::run::Content;
use crate::error::ErrorKind;
use crate::store::{self, Meta};

/// Answers with the object itself.
pub(super) async fn answer<B>(
    sources: &Sources,
    target: &Target,
    request: &Request<B>,
    cache_control: &str,
) -> Result<Response<Body>, Failure> {
    let mut meta = sources.meta(&target.bucket, &target.key).await?;
    for _ in 0..MOST_CHANGES {
        match answer_as(meta, sources, target, request, cache_control).await? {
            Ok(response) => return Ok(response),
            Err(changed) => meta = changed,
        }
        sources.forget(target.bucket.name(), &target.key);
    }
    Err(Failure::new(ErrorKind::Busy, &"the object changes while it is read; try again"))
}

/// How often an object may turn out to be another version than the one before.
const MOST_CHANGES: usize = 3;

/// Answers with the object as `meta` describes it, or tells what it turned out to be.
async fn answer_as<B>(
    meta: Meta,
    sources: &Sources,
    target: &Target,
    request: &Request<B>,
    cache_control: &str,
) -> Result<Result<Response<Body>, Meta>, Failure> {
    let validators = Validators { etag: etag(&meta.version), modified: meta.modified };
    let caching = Caching { validators, cache_control: cache_control.to_owned(), vary: None, asks_hints: false };
    if let Some(response) = caching.precondition(request.headers()) {
        return Ok(Ok(response));
    }
    let range = match meta.bytes.map(|length| (length, selection(request.headers(), length, &caching.validators))) {
        Some((length, Selection::Unsatisfiable)) => return Ok(Ok(unsatisfiable(length))),
        Some((_, Selection::Part(range))) => Some(range),
        _ => None,
    };
    let media_type = media_type(target, &meta).await?;
    let body = if meta.bytes == Some(0) || request.method() == Method::HEAD {
        full(Bytes::new())
    } else if let Some(bytes) = at_hand(sources, target, &meta) {
        let whole = 0..bytes.len() as u64;
        let part = range.clone().unwrap_or(whole);
        full(bytes.slice(part.start as usize..part.end as usize))
    } else {
        let (sent, stream) = target.bucket.stream(&target.key, range.clone()).await?;
        if is_another(&sent, &meta) {
            return Ok(Err(sent));
        }
        streamed(stream)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, &media_type);
    caching.apply(headers);
    target.name(headers);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(length) = meta.bytes {
        let sent = range.as_ref().map_or(length, |range| range.end - range.start);
        set(headers, header::CONTENT_LENGTH, &sent.to_string());
        if let Some(range) = range {
            set(headers, header::CONTENT_RANGE, &format!("bytes {}-{}/{length}", range.start, range.end - 1));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
    }
    Ok(Ok(response))
}

/// The object's bytes where they are kept, all of them.
fn at_hand(sources: &Sources, target: &Target, meta: &Meta) -> Option<Bytes> {
    let bytes = sources.at_hand(&target.bucket, &target.key, &meta.version)?;
    meta.bytes.is_none_or(|length| length == bytes.len() as u64).then_some(bytes)
}

/// Whether what is sent is not what was known. Where nothing but a length is told, that has to do.
fn is_another(sent: &Meta, known: &Meta) -> bool {
    if sent.is_exact { sent.version != known.version } else { sent.bytes != known.bytes }
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
