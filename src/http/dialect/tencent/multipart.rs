//! Objects in parts on COS hosts: how the vendor's clients upload what is larger than a part (Tencent spec 6.1). Parts are known by
//! their MD5, as clients compare them with their own to go on where they were cut off.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::StatusCode;
use http::header::{self, HeaderValue};
use http::request::Parts;

use super::failure::Failure;
use super::objects::{check_key, media_type};
use super::spelling::time_text;
use super::xml::{Element, leaf, tree};
use super::{Call, Tencent, reply};
use crate::store::facts::{Facts, put_time};
use crate::store::parts::{MAX_PARTS, Part, Upload};
use crate::store::qetag::Qetag;
use crate::store::spool;

/// Most entries of a list.
const MAX_LISTED: usize = 1000;

/// Bytes of an object that tell what it is.
const HEAD_BYTES: usize = 64;

impl Tencent {
    pub(super) async fn begin_upload(&self, call: &Call, parts: &Parts) -> Result<Response, Failure> {
        check_key(&call.path)?;
        let media_type = media_type(parts);
        let begun = self.uploads.begin(call.bucket.name(), Some(&call.path), media_type, call.now).await;
        let upload = begun.map_err(|error| Failure::from(spool::failure(&error)))?;
        Ok(reply(&tree("InitiateMultipartUploadResult", of_upload(call, &upload))))
    }

    pub(super) async fn put_part(&self, call: &Call, parts: &Parts, body: Body) -> Result<Response, Failure> {
        let upload = self.upload(call).await?;
        let number = call.parameter("partNumber").unwrap_or_default();
        let number = number.parse::<u16>().ok().filter(|number| (1..=MAX_PARTS).contains(number)).ok_or_else(|| {
            Failure::invalid(format!("partNumber is {number:?}; expected an integer from 1 to {MAX_PARTS}"))
        })?;
        let (spooled, md5) = self.receive(parts, body).await?;
        let others: u64 = arrived(&upload).await?.iter().filter(|it| it.number != number).map(|it| it.bytes).sum();
        self.check_most(others + spooled.bytes)?;
        let added = upload.add(number, spooled, &md5).await;
        added.map_err(|error| Failure::from(spool::failure(&error)))?;
        let mut response = StatusCode::OK.into_response();
        let etag = HeaderValue::from_str(&format!("\"{md5}\"")).expect("digits are a header's value");
        response.headers_mut().insert(header::ETAG, etag);
        Ok(response)
    }

    pub(super) async fn abort_upload(&self, call: &Call) -> Result<Response, Failure> {
        let _turn = self.completions.take(call.parameter("uploadId").unwrap_or_default()).await;
        self.upload(call).await?.end().await;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// Makes an object of the parts, and then what `Pic-Operations` asks for.
    pub(super) async fn complete_upload(&self, call: &Call, parts: &Parts, body: Body) -> Result<Response, Failure> {
        let malformed = |problem| Failure::new(400, "MalformedXML", problem);
        let document = self.document(parts, body).await?;
        let document = Element::read(&document, "CompleteMultipartUpload").map_err(malformed)?;
        // What is wrong with it is told before anything is stored.
        let operations = self.operations(call, parts).await?;
        let _turn = self.completions.take(call.parameter("uploadId").unwrap_or_default()).await;
        let upload = self.upload(call).await?;
        let chosen = chosen(&document, &arrived(&upload).await?)?;
        let bytes = chosen.iter().map(|part| part.bytes).sum();
        self.check_most(bytes)?;
        let files: Vec<_> = chosen.into_iter().map(|part| part.path).collect();
        let (hash, head) = read(&files).await?;
        let media_type = upload.purpose.media_type.clone().unwrap_or_else(|| super::objects::guess(&call.path, &head));
        let facts = Facts { hash, media_type, put_time: put_time(call.now), ..Facts::default() };
        call.bucket.put_stream(&call.path, spool::stream(files), bytes, facts, true).await?;
        upload.end().await;

        let processed = match operations {
            Some((operations, wanted)) => Some(self.process(call, &operations, &wanted).await?),
            None => None,
        };
        let etag = self.etag(call).await?;
        let mut children = vec![
            leaf("Location", format!("http://{}/{}", call.host.of_objects(), call.path)),
            leaf("Bucket", call.label()),
            leaf("Key", &*call.path),
            leaf("ETag", etag),
        ];
        children.extend(processed);
        Ok(reply(&tree("CompleteMultipartUploadResult", children)))
    }

    pub(super) async fn list_parts(&self, call: &Call) -> Result<Response, Failure> {
        let upload = self.upload(call).await?;
        let after: u16 = number(call, "part-number-marker", 0)?;
        let most = number(call, "max-parts", MAX_LISTED)?.clamp(1, MAX_LISTED);
        let mut listed = arrived(&upload).await?;
        listed.retain(|part| part.number > after);
        let is_truncated = listed.len() > most;
        listed.truncate(most);
        let mut children = of_upload(call, &upload);
        children.extend([
            tree("Initiator", owner(call)),
            tree("Owner", owner(call)),
            leaf("StorageClass", "Standard"),
            leaf("PartNumberMarker", after.to_string()),
            leaf("MaxParts", most.to_string()),
            leaf("IsTruncated", is_truncated.to_string()),
        ]);
        if let Some(last) = listed.last().filter(|_| is_truncated) {
            children.push(leaf("NextPartNumberMarker", last.number.to_string()));
        }
        children.extend(listed.iter().map(|part| {
            let children = vec![
                leaf("PartNumber", part.number.to_string()),
                leaf("LastModified", time_text(part.put_time())),
                leaf("ETag", format!("\"{}\"", part.hash)),
                leaf("Size", part.bytes.to_string()),
            ];
            tree("Part", children)
        }));
        Ok(reply(&tree("ListPartsResult", children)))
    }

    /// The uploads of a bucket that go on, by key; of the same key the newest last.
    pub(super) async fn list_uploads(&self, call: &Call) -> Result<Response, Failure> {
        if call.parameter("delimiter").is_some() {
            return Err(Failure::not_done("delimiter: uploads are listed one by one"));
        }
        let (prefix, key_marker) = ["prefix", "key-marker"].map(|name| call.parameter(name).unwrap_or_default()).into();
        let id_marker = call.parameter("upload-id-marker").unwrap_or_default();
        let most = number(call, "max-uploads", MAX_LISTED)?.clamp(1, MAX_LISTED);
        let mut listed = self.uploads.of_bucket(call.bucket.name(), call.now).await;
        listed.retain(|upload| upload.key().starts_with(prefix));
        listed.sort_by(|a, b| (a.key(), a.begun()).cmp(&(b.key(), b.begun())));
        let seen = listed.iter().position(|upload| upload.key() == key_marker && upload.id == id_marker);
        let seen = seen.map_or_else(|| listed.partition_point(|upload| upload.key() <= key_marker), |at| at + 1);
        listed.drain(..if key_marker.is_empty() { 0 } else { seen });
        let is_truncated = listed.len() > most;
        listed.truncate(most);
        let mut children = vec![
            leaf("Bucket", call.label()),
            leaf("Prefix", prefix),
            leaf("KeyMarker", key_marker),
            leaf("UploadIdMarker", id_marker),
            leaf("MaxUploads", most.to_string()),
            leaf("IsTruncated", is_truncated.to_string()),
        ];
        if let Some(last) = listed.last().filter(|_| is_truncated) {
            children.extend([leaf("NextKeyMarker", last.key()), leaf("NextUploadIdMarker", &*last.id)]);
        }
        children.extend(listed.iter().map(|upload| {
            let children = vec![
                leaf("Key", upload.key()),
                leaf("UploadId", &*upload.id),
                leaf("StorageClass", "Standard"),
                tree("Initiator", owner(call)),
                tree("Owner", owner(call)),
                leaf("Initiated", time_text(upload.begun())),
            ];
            tree("Upload", children)
        }));
        Ok(reply(&tree("ListMultipartUploadsResult", children)))
    }

    /// The upload that a call is about. Others' look like what is not there.
    async fn upload(&self, call: &Call) -> Result<Upload, Failure> {
        let id = call.parameter("uploadId").unwrap_or_default();
        let found = self.uploads.find(id, call.now).await;
        let found = found.filter(|it| it.purpose.bucket == call.bucket.name() && it.key() == call.path);
        found.ok_or_else(|| Failure::new(404, "NoSuchUpload", format!("there is no upload {id:?} of this key")))
    }
}

async fn arrived(upload: &Upload) -> Result<Vec<Part>, Failure> {
    upload.parts().await.map_err(|error| Failure::from(spool::failure(&error)))
}

/// The parts that a document names, in its order; those that arrived are sorted by number.
fn chosen(document: &Element, arrived: &[Part]) -> Result<Vec<Part>, Failure> {
    let mut chosen: Vec<Part> = Vec::new();
    for named in document.children.iter().filter(|child| child.name == "Part") {
        let text = |name| named.text_at(name).unwrap_or_default();
        let (number, etag) = (text("PartNumber"), text("ETag"));
        let (wanted, hash) = (number.parse::<u16>().ok(), etag.trim_matches('"'));
        let start = arrived.partition_point(|part| Some(part.number) < wanted);
        let mut same = arrived[start..].iter().take_while(|part| Some(part.number) == wanted);
        let part = same.find(|part| part.hash == hash).ok_or_else(|| {
            Failure::new(400, "InvalidPart", format!("part {number:?} with ETag {etag:?} has not arrived"))
        })?;
        if chosen.last().is_some_and(|last| last.number >= part.number) {
            return Err(Failure::new(400, "InvalidPartOrder", "the parts are not in ascending order"));
        }
        chosen.push(part.clone());
    }
    match chosen.is_empty() {
        true => Err(Failure::new(400, "MalformedXML", "no Part is named; expected one at least")),
        false => Ok(chosen),
    }
}

/// Hash and first bytes of files, one after the other.
async fn read(files: &[std::path::PathBuf]) -> Result<(String, Vec<u8>), Failure> {
    let (mut hash, mut head) = (Qetag::default(), Vec::new());
    let mut pieces = spool::stream(files.to_vec());
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        hash.update(&piece);
        head.extend_from_slice(&piece[..piece.len().min(HEAD_BYTES - head.len())]);
    }
    Ok((hash.finish(), head))
}

fn number<N: std::str::FromStr>(call: &Call, name: &str, default: N) -> Result<N, Failure> {
    let Some(value) = call.parameter(name) else { return Ok(default) };
    value.parse().map_err(|_| Failure::invalid(format!("{name} is {value:?}; expected an integer from 0")))
}

fn of_upload(call: &Call, upload: &Upload) -> Vec<Element> {
    vec![leaf("Bucket", call.label()), leaf("Key", &*call.path), leaf("UploadId", &*upload.id)]
}

fn owner(call: &Call) -> Vec<Element> {
    vec![leaf("ID", &*call.owner), leaf("DisplayName", &*call.owner)]
}
