//! Older forms of upload: blocks of 4 MiB (`mkblk`, `bput`, `mkfile`), and Base64 in one request (`putb64`) (spec 6.4).
//!
//! A block is kept like an upload in parts; its `ctx` is that upload's name, and its chunks are the parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use http::StatusCode;
use serde_json::json;

use super::commit::{Content, Incoming};
use super::entry::decode_text;
use super::failure::{Failure, json as answer};
use super::pace::Pace;
use super::resumable::{begin_upload, head_of, parts, read_body, request_id, spool, up_token};
use super::{Qiniu, mime};
use crate::auth::upload::UploadGrant;
use crate::store::parts::{MAX_PARTS, Part, Upload};
use crate::store::qetag::Qetag;
use crate::store::spool;

/// Most bytes of a block.
const BLOCK_BYTES: u64 = 4 << 20;

/// Most bytes of the list of blocks that makes a file.
const MAX_LIST_BYTES: usize = 4 << 20;

/// Begins a block with its first chunk.
pub(super) async fn make_block(
    State(qiniu): State<Arc<Qiniu>>,
    Path(bytes): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let grant = up_token(&qiniu, request.headers())?;
    bytes.parse().ok().filter(|bytes| (1..=BLOCK_BYTES).contains(bytes)).ok_or_else(|| {
        Failure::invalid(format!("invalid argument: blockSize {bytes:?}; expected 1 to {BLOCK_BYTES}"))
    })?;
    let block = begin_upload(&qiniu, &grant, None, SystemTime::now()).await?;
    add_chunk(&qiniu, &grant, &block, 0, request).await
}

/// Adds a chunk to a block.
pub(super) async fn put_chunk(
    State(qiniu): State<Arc<Qiniu>>,
    Path((ctx, offset)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let grant = up_token(&qiniu, request.headers())?;
    let block = find_block(&qiniu, &grant, &ctx).await?;
    let offset = offset.parse().map_err(|_| Failure::invalid(format!("invalid argument: offset {offset:?}")))?;
    add_chunk(&qiniu, &grant, &block, offset, request).await
}

async fn add_chunk(
    qiniu: &Qiniu,
    grant: &UploadGrant,
    block: &Upload,
    offset: u64,
    request: Request,
) -> Result<Response, Failure> {
    let host = crate::http::target::host(&request).unwrap_or_default().to_owned();
    let chunks = parts(block).await?;
    if offset != total(&chunks) {
        return Err(Failure::new(701, format!("invalid ctx: the block has {} bytes, not {offset}", total(&chunks))));
    }
    let number = u16::try_from(chunks.len() + 1).ok().filter(|number| *number <= MAX_PARTS);
    let number = number.ok_or_else(|| Failure::invalid(format!("the block has more than {MAX_PARTS} chunks")))?;
    let (spooled, _) = spool(qiniu, grant, request.into_body(), 0).await?;
    let end = offset + spooled.bytes;
    if end > BLOCK_BYTES {
        return Err(Failure::new(413, format!("the block has more than {BLOCK_BYTES} bytes")));
    }
    let crc32 = spooled.crc32;
    let hash = spooled.hash.clone();
    let chunk = block.add(number, spooled, &hash).await.map_err(|error| Failure::of_disk(&error))?;
    Ok(answer(
        StatusCode::OK,
        &json!({
            "ctx": block.id,
            "checksum": chunk.hash,
            "crc32": crc32,
            "offset": end,
            "host": format!("http://{host}"),
            "expired_at": block.purpose.expires,
        }),
    ))
}

/// Makes a file of blocks.
pub(super) async fn make_file(
    State(qiniu): State<Arc<Qiniu>>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let start = Start::read(&qiniu, &path, &request)?;
    let list = read_body(&qiniu, request.into_body(), MAX_LIST_BYTES).await?;
    let list = std::str::from_utf8(&list).map_err(|_| Failure::new(701, "invalid ctx: it is not UTF-8"))?;
    let mut blocks = Vec::new();
    for ctx in list.split(',').map(str::trim).filter(|ctx| !ctx.is_empty()) {
        blocks.push(find_block(&qiniu, &start.grant, ctx).await?);
    }
    let content = content(&qiniu, &blocks).await?;
    let result = qiniu.commit(start.into_incoming(content)?, SystemTime::now()).await;
    let is_stored = result.as_ref().map_or_else(|failure| failure.details.contains_key("key"), |_| true);
    if is_stored {
        for block in blocks {
            block.end().await;
        }
    }
    result
}

async fn find_block(qiniu: &Qiniu, grant: &UploadGrant, ctx: &str) -> Result<Upload, Failure> {
    let block = qiniu.uploads.find(ctx, SystemTime::now()).await;
    let block = block.filter(|it| it.purpose.bucket == grant.policy.bucket && it.purpose.key.is_none());
    block.ok_or_else(|| Failure::new(701, format!("invalid ctx {ctx:?}: unknown or expired")))
}

/// The bytes of the blocks. A list may name a block many times: what is too much is refused before it is read.
async fn content(qiniu: &Qiniu, blocks: &[Upload]) -> Result<Content, Failure> {
    let (mut chunks, mut bytes) = (Vec::new(), 0);
    for block in blocks {
        let more = parts(block).await?;
        bytes += total(&more);
        qiniu.check_most(bytes)?;
        chunks.extend(more);
    }
    let files: Vec<_> = chunks.iter().map(|chunk| chunk.path.clone()).collect();
    let (mut hasher, mut pieces) = (Qetag::default(), spool::stream(files.clone()));
    while let Some(piece) = pieces.next().await.transpose()? {
        hasher.update(&piece);
    }
    let head = match chunks.first() {
        Some(first) => head_of(first).await?,
        None => Vec::new(),
    };
    Ok(Content { bytes: total(&chunks), files, hash: hasher.finish(), head, spooled: None })
}

fn total(chunks: &[Part]) -> u64 {
    chunks.iter().map(|chunk| chunk.bytes).sum()
}

/// Takes a file in Base64.
pub(super) async fn put_base64(
    State(qiniu): State<Arc<Qiniu>>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let start = Start::read(&qiniu, &path, &request)?;
    let mut writer = qiniu.spool.create(mime::HEAD_BYTES).await.map_err(|error| Failure::of_disk(&error))?;
    let (mut pieces, mut quads) = (request.into_body().into_data_stream(), Quads::default());
    let mut pace = Pace::of(start.grant.policy.bits_per_second);
    loop {
        let next = tokio::time::timeout(qiniu.settings.patience, pieces.next()).await;
        let piece = next.map_err(|_| qiniu.too_slow())?.transpose();
        let piece = piece.map_err(|error| Failure::invalid(format!("the body could not be read: {error}")))?;
        let decoded = quads.take(piece.as_ref())?;
        qiniu.check_most(writer.bytes() + decoded.len() as u64)?;
        writer.write(&decoded).await.map_err(|error| Failure::of_disk(&error))?;
        pace.pass(decoded.len()).await;
        if piece.is_none() {
            break;
        }
    }
    let spooled = writer.finish().await.map_err(|error| Failure::of_disk(&error))?;
    if let Some(crc32) = start.named.crc32.filter(|crc32| *crc32 != spooled.crc32) {
        let message = format!("crc32 mismatch: the path says {crc32}, the file has {}", spooled.crc32);
        return Err(Failure::new(406, message));
    }
    let content = Content {
        files: vec![spooled.path().to_owned()],
        bytes: spooled.bytes,
        hash: spooled.hash.clone(),
        head: spooled.head.clone(),
        spooled: Some(spooled),
    };
    qiniu.commit(start.into_incoming(content)?, SystemTime::now()).await
}

/// Base64 that comes in pieces.
#[derive(Default)]
struct Quads {
    rest: Vec<u8>,
    is_padded: bool,
}

impl Quads {
    /// The bytes of every whole group of four; without a piece, of what is left.
    fn take(&mut self, piece: Option<&Bytes>) -> Result<Vec<u8>, Failure> {
        let malformed = || Failure::invalid("invalid argument: the body is not Base64");
        self.rest.extend(piece.into_iter().flatten().filter(|byte| !byte.is_ascii_whitespace()));
        let whole = if piece.is_some() { self.rest.len() / 4 * 4 } else { self.rest.len() };
        let group: Vec<u8> = self.rest.drain(..whole).collect();
        if group.is_empty() {
            return Ok(Vec::new());
        }
        if std::mem::replace(&mut self.is_padded, group.ends_with(b"=")) {
            return Err(malformed());
        }
        STANDARD.decode(group).map_err(|_| malformed())
    }
}

/// What `mkfile` and `putb64` say of a file before its bytes.
struct Start {
    grant: UploadGrant,
    request_id: String,
    /// The file's length, where it is known.
    bytes: Option<u64>,
    named: Named,
}

impl Start {
    fn read(qiniu: &Qiniu, path: &str, request: &Request) -> Result<Self, Failure> {
        let grant = up_token(qiniu, request.headers())?;
        let (bytes, named) = Named::parse(path)?;
        Ok(Self { grant, request_id: request_id(request), bytes, named })
    }

    /// The file, once its bytes are there.
    fn into_incoming(self, content: Content) -> Result<Incoming, Failure> {
        let Self { grant, request_id, bytes, named } = self;
        if let Some(bytes) = bytes.filter(|bytes| *bytes != content.bytes) {
            let message = format!("invalid argument: fsize is {bytes}; the file has {} bytes", content.bytes);
            return Err(Failure::invalid(message));
        }
        Ok(Incoming {
            grant,
            key: named.key,
            file_name: named.file_name,
            client_type: named.media_type,
            custom: named.custom,
            metadata: named.metadata,
            accept: None,
            content,
            request_id,
        })
    }
}

/// What a path names, `/key/<Base64>` and others, behind the file's length.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    key: Option<String>,
    file_name: Option<String>,
    media_type: Option<String>,
    crc32: Option<u32>,
    custom: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

impl Named {
    /// Reads `<length>/<name>/<value>/…`; a negative length is one that is not known.
    fn parse(path: &str) -> Result<(Option<u64>, Self), Failure> {
        let (length, rest) = path.split_once('/').unwrap_or((path, ""));
        let length: i64 =
            length.parse().map_err(|_| Failure::invalid(format!("invalid argument: fsize {length:?}")))?;
        let words: Vec<&str> = rest.split('/').filter(|_| !rest.is_empty()).collect();
        let mut named = Self::default();
        for pair in words.chunks(2) {
            let &[name, value] = pair else {
                return Err(Failure::invalid(format!("invalid argument: {:?} has no value", pair[0])));
            };
            named.set(name, value)?;
        }
        Ok((u64::try_from(length).ok(), named))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match name {
            "crc32" => {
                let crc32 =
                    value.parse().map_err(|_| Failure::invalid(format!("invalid argument: crc32 {value:?}")))?;
                self.crc32 = Some(crc32);
            }
            "key" => self.key = Some(decode_text(name, value)?),
            "fname" => self.file_name = Some(decode_text(name, value)?),
            "mimeType" => self.media_type = Some(decode_text(name, value)?),
            name if name.starts_with("x:") => {
                self.custom.insert(name.to_owned(), decode_text(name, value)?);
            }
            name if name.to_ascii_lowercase().starts_with("x-qn-meta-") => {
                self.metadata.insert(name.to_ascii_lowercase(), decode_text(name, value)?);
            }
            // The vendor's clients send more, such as the file's time.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_is_put() {
        let (length, named) = Named::parse("5/key/YS_njKs=/mimeType/dGV4dC94/x:at/Yg==/crc32/7/other/!").unwrap();
        assert_eq!((length, named.key.as_deref()), (Some(5), Some("a/猫")));
        assert_eq!((named.media_type.as_deref(), named.crc32), (Some("text/x"), Some(7)));
        assert_eq!(named.custom["x:at"], "b");
        assert_eq!(Named::parse("-1").unwrap(), (None, Named::default()));
        for path in ["", "x", "1/key", "1/key/$", "1/crc32/x"] {
            assert_eq!(Named::parse(path).unwrap_err().status, 400, "{path}");
        }
    }

    #[test]
    fn base64_comes_in_pieces() {
        let decode = |pieces: &[&'static str]| {
            let mut quads = Quads::default();
            let pieces = pieces.iter().map(|piece| Some(Bytes::from_static(piece.as_bytes()))).chain([None]);
            pieces.map(|piece| quads.take(piece.as_ref())).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
        };
        assert_eq!(decode(&["aGVsb", "G8g", "d29ybGQ", "=\n"]).unwrap(), b"hello world");
        assert_eq!(decode(&[]).unwrap(), b"");
        for pieces in [&["aGVsbG8"][..], &["aGVsbG8=", "aGVsbG8="], &["a"], &["$$$$"]] {
            assert_eq!(decode(pieces).unwrap_err().status, 400, "{pieces:?}");
        }
    }
}
