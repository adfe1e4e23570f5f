//! Uploads in parts: `/buckets/<bucket>/objects/<key>/uploads…` (spec 6.4). The token is in
//! `Authorization: UpToken …`; its policy is checked when the file is complete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use http::StatusCode;
use http::header::{self, HeaderMap};
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::json;

use super::commit::{Content, Incoming, check_policy};
use super::entry::decode_text;
use super::failure::{Failure, json as answer};
use super::pace::Pace;
use super::{Qiniu, RequestId, mime};
use crate::auth;
use crate::auth::upload::{self, UploadGrant};
use crate::store::parts::{MAX_PARTS, Part, Upload, seconds};
use crate::store::qetag::qetag_of_parts;
use crate::store::spool::{Spooled, Writer};

/// Most bytes of the list that completes an upload: 10,000 parts with their hashes have about 800 kB.
const MAX_LIST_BYTES: usize = 4 << 20;

/// Begins an upload.
pub(super) async fn begin(
    State(qiniu): State<Arc<Qiniu>>,
    Path((bucket, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let grant = granted(&qiniu, &headers, &bucket)?;
    let key = decode_key(&key)?;
    let upload = begin_upload(&qiniu, &grant, key.as_deref(), SystemTime::now()).await?;
    Ok(answer(StatusCode::OK, &json!({ "uploadId": upload.id, "expireAt": upload.purpose.expires })))
}

/// Begins an upload whose token has not expired. Later it may: only when the file is complete the deadline counts again.
pub(super) async fn begin_upload(
    qiniu: &Qiniu,
    grant: &UploadGrant,
    key: Option<&str>,
    now: SystemTime,
) -> Result<Upload, Failure> {
    grant.policy.check_deadline(seconds(now))?;
    qiniu.uploads.begin(&grant.policy.bucket, key, None, now).await.map_err(|error| Failure::of_disk(&error))
}

/// Takes a part.
pub(super) async fn put_part(
    State(qiniu): State<Arc<Qiniu>>,
    Path((bucket, key, id, number)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let grant = granted(&qiniu, request.headers(), &bucket)?;
    let upload = find(&qiniu, &bucket, &key, &id).await?;
    let number = number.parse::<u16>().ok().filter(|number| (1..=MAX_PARTS).contains(number));
    let number = number.ok_or_else(|| Failure::invalid("invalid argument: partNumber; expected 1 to 10000"))?;
    let expected_md5 = request.headers().get("content-md5").and_then(|it| it.to_str().ok()).map(str::to_lowercase);
    let others: u64 = parts(&upload).await?.iter().filter(|part| part.number != number).map(|part| part.bytes).sum();
    let (spooled, md5) = spool(&qiniu, &grant, request.into_body(), others).await?;
    if expected_md5.is_some_and(|expected| expected != md5) {
        return Err(Failure::new(406, format!("md5 mismatch: the part has {md5}")));
    }
    let hash = spooled.hash.clone();
    let part = upload.add(number, spooled, &hash).await.map_err(|error| Failure::of_disk(&error))?;
    Ok(answer(StatusCode::OK, &json!({ "etag": part.hash, "md5": md5 })))
}

/// Where a list of parts begins, and how long it is.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(rename = "max-parts")]
    most: Option<usize>,
    #[serde(rename = "part-number_marker", alias = "part-number-marker")]
    marker: Option<u16>,
}

/// Lists the parts that have arrived.
pub(super) async fn list_parts(
    State(qiniu): State<Arc<Qiniu>>,
    Path((bucket, key, id)): Path<(String, String, String)>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    granted(&qiniu, &headers, &bucket)?;
    let Query(page) = page.map_err(|rejection| Failure::invalid(format!("invalid argument: {rejection}")))?;
    let upload = find(&qiniu, &bucket, &key, &id).await?;
    let after = page.marker.unwrap_or(0);
    let mut parts = parts(&upload).await?;
    parts.retain(|part| part.number > after);
    let most = page.most.unwrap_or(1000).clamp(1, 1000);
    let marker = if parts.len() > most { parts[most - 1].number } else { 0 };
    parts.truncate(most);
    let described = |part: &Part| json!({ "size": part.bytes, "etag": part.hash, "partNumber": part.number, "putTime": seconds(part.put_time()) });
    Ok(answer(
        StatusCode::OK,
        &json!({
            "uploadId": upload.id,
            "expireAt": upload.purpose.expires,
            "partNumberMarker": marker,
            "parts": parts.iter().map(described).collect::<Vec<_>>(),
        }),
    ))
}

/// Gives an upload up.
pub(super) async fn abort(
    State(qiniu): State<Arc<Qiniu>>,
    Path((bucket, key, id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    granted(&qiniu, &headers, &bucket)?;
    let _turn = qiniu.completions.take(&id).await;
    find(&qiniu, &bucket, &key, &id).await?.end().await;
    Ok(StatusCode::OK)
}

/// What completes an upload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Completion {
    parts: Vec<NamedPart>,
    fname: Option<String>,
    mime_type: Option<String>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    custom_vars: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedPart {
    part_number: u16,
    etag: String,
}

/// Makes a file of the parts.
pub(super) async fn complete(
    State(qiniu): State<Arc<Qiniu>>,
    Path((bucket, key, id)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let grant = granted(&qiniu, request.headers(), &bucket)?;
    let request_id = request_id(&request);
    let completion = read_completion(&qiniu, request.into_body()).await?;
    let _turn = qiniu.completions.take(&id).await;
    let upload = find(&qiniu, &bucket, &key, &id).await?;
    let content = content(&upload, &completion.parts).await?;
    qiniu.check_most(content.bytes)?;
    let incoming = Incoming {
        grant,
        key: upload.purpose.key.clone(),
        file_name: completion.fname.filter(|name| !name.is_empty()),
        client_type: completion.mime_type.filter(|media_type| !media_type.is_empty()),
        custom: completion.custom_vars.unwrap_or_default(),
        metadata: named_metadata(completion.metadata.unwrap_or_default()),
        accept: None,
        content,
        request_id,
    };
    match qiniu.commit(incoming, SystemTime::now()).await {
        Ok(response) => {
            upload.end().await;
            Ok(response)
        }
        // What follows the file failed: the file is stored, and its parts have done their part.
        Err(failure) if failure.details.contains_key("key") => {
            upload.end().await;
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}

async fn read_completion(qiniu: &Qiniu, body: Body) -> Result<Completion, Failure> {
    let body = read_body(qiniu, body, MAX_LIST_BYTES).await?;
    serde_json::from_slice(&body).map_err(|error| Failure::invalid(format!("invalid argument: {error}")))
}

/// A short body, whole.
pub(super) async fn read_body(qiniu: &Qiniu, body: Body, most_bytes: usize) -> Result<Bytes, Failure> {
    let body = tokio::time::timeout(qiniu.settings.patience, to_bytes(body, most_bytes)).await;
    let body = body.map_err(|_| qiniu.too_slow())?;
    body.map_err(|error| Failure::invalid(format!("the body could not be read: {error}")))
}

/// The parts that are named, in ascending order, each with the hash that it was answered with.
async fn content(upload: &Upload, named: &[NamedPart]) -> Result<Content, Failure> {
    let ascend = named.windows(2).all(|pair| pair[0].part_number < pair[1].part_number);
    if named.is_empty() || !ascend {
        return Err(Failure::invalid("invalid argument: parts; expected at least one, in ascending order"));
    }
    let mut arrived: BTreeMap<(u16, String), Part> =
        parts(upload).await?.into_iter().map(|part| ((part.number, part.hash.clone()), part)).collect();
    let mut chosen = Vec::with_capacity(named.len());
    for NamedPart { part_number, etag } in named {
        let part = arrived.remove(&(*part_number, etag.clone()));
        chosen.push(part.ok_or_else(|| {
            Failure::invalid(format!("invalid argument: part {part_number} with etag {etag:?} has not arrived"))
        })?);
    }
    let hashes: Vec<_> = chosen.iter().map(|part| (part.hash.clone(), part.bytes)).collect();
    Ok(Content {
        bytes: chosen.iter().map(|part| part.bytes).sum(),
        hash: qetag_of_parts(&hashes).ok_or_else(|| Failure::internal(&"a part's hash is none"))?,
        head: head_of(&chosen[0]).await?,
        files: chosen.into_iter().map(|part| part.path).collect(),
        spooled: None,
    })
}

/// The first bytes of a file by its first part.
pub(super) async fn head_of(part: &Part) -> Result<Vec<u8>, Failure> {
    use tokio::io::AsyncReadExt;
    let mut head = Vec::new();
    let file = tokio::fs::File::open(&part.path).await.map_err(|error| Failure::internal(&error))?;
    let read = file.take(mime::HEAD_BYTES as u64).read_to_end(&mut head).await;
    read.map_err(|error| Failure::internal(&error))?;
    Ok(head)
}

/// The parts that have arrived.
pub(super) async fn parts(upload: &Upload) -> Result<Vec<Part>, Failure> {
    upload.parts().await.map_err(|error| Failure::internal(&error))
}

async fn find(qiniu: &Qiniu, bucket: &str, key: &str, id: &str) -> Result<Upload, Failure> {
    let key = decode_key(key)?;
    let upload = qiniu.uploads.find(id, SystemTime::now()).await;
    let upload = upload.filter(|upload| upload.purpose.bucket == bucket && upload.purpose.key == key);
    upload.ok_or_else(|| Failure::missing("no such uploadId"))
}

/// The key of a path: Base64, or `~` for none.
fn decode_key(encoded: &str) -> Result<Option<String>, Failure> {
    match encoded {
        "~" => Ok(None),
        encoded => decode_text("key", encoded).map(Some),
    }
}

fn granted(qiniu: &Qiniu, headers: &HeaderMap, bucket: &str) -> Result<UploadGrant, Failure> {
    let grant = up_token(qiniu, headers)?;
    match grant.policy.bucket == bucket {
        true => Ok(grant),
        false => Err(Failure::new(403, "bucket doesn't match scope")),
    }
}

/// Who signed the token in the headers, and for what.
pub(super) fn up_token(qiniu: &Qiniu, headers: &HeaderMap) -> Result<UploadGrant, Failure> {
    let authorization = headers.get(header::AUTHORIZATION).ok_or(auth::Error::NoCredential)?;
    let token = authorization.to_str().ok().and_then(|text| text.strip_prefix("UpToken "));
    let grant = upload::verify(token.ok_or(auth::Error::BadToken)?.trim(), &qiniu.delivery.keys)?;
    check_policy(qiniu, &grant)?;
    Ok(grant)
}

/// Writes a body to the spool; it may have what the server's limit leaves beside `others` bytes.
pub(super) async fn spool(
    qiniu: &Qiniu,
    grant: &UploadGrant,
    body: Body,
    others: u64,
) -> Result<(Spooled, String), Failure> {
    let mut pace = Pace::of(grant.policy.bits_per_second);
    let mut writer = new_file(qiniu).await?;
    let (mut md5, mut pieces) = (Md5::new(), body.into_data_stream());
    loop {
        let next = tokio::time::timeout(qiniu.settings.patience, pieces.next()).await;
        let Some(piece) = next.map_err(|_| qiniu.too_slow())? else { break };
        let piece = piece.map_err(|error| Failure::invalid(format!("the body could not be read: {error}")))?;
        qiniu.check_most(others + writer.bytes() + piece.len() as u64)?;
        md5.update(&piece);
        writer.write(&piece).await.map_err(|error| Failure::of_disk(&error))?;
        pace.pass(piece.len()).await;
    }
    let spooled = writer.finish().await.map_err(|error| Failure::of_disk(&error))?;
    let digits = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((spooled, digits))
}

async fn new_file(qiniu: &Qiniu) -> Result<Writer, Failure> {
    qiniu.spool.create(mime::HEAD_BYTES).await.map_err(|error| Failure::of_disk(&error))
}

/// Names of metadata with their prefix, in lower case.
fn named_metadata(metadata: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let named = |name: String| match name.to_ascii_lowercase() {
        name if name.starts_with("x-qn-meta-") => name,
        name => format!("x-qn-meta-{name}"),
    };
    metadata.into_iter().map(|(name, value)| (named(name), value)).collect()
}

/// The id that the answer will carry.
pub(super) fn request_id(request: &Request) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}
