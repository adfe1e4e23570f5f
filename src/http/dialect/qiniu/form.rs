//! `POST /`: an upload as a form, `multipart/form-data` (spec 6.3). The file goes to disk as it comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::response::Response;
use bytes::Bytes;

use super::commit::{Content, Incoming, check_most, check_policy};
use super::failure::Failure;
use super::pace::Pace;
use super::{Qiniu, RequestId, mime};
use crate::auth;
use crate::auth::upload::{self, UploadGrant};
use crate::store::spool::Spooled;

/// Most bytes of all fields but the file.
const MAX_TEXT_BYTES: usize = 2 << 20;

/// Most fields.
const MAX_FIELDS: usize = 1000;

/// How long what is left of a refused form is read, so that its sender sees the answer.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers a form.
pub(super) async fn upload(State(qiniu): State<Arc<Qiniu>>, request: Request) -> Result<Response, Failure> {
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| Failure::invalid(format!("invalid multipart format: {}", rejection.body_text())))?;
    let mut form = Form::default();
    if let Err(failure) = form.read(&qiniu, &mut multipart).await {
        let rest = async { while let Ok(Some(_)) = multipart.next_field().await {} };
        // Whether it was read to its end makes no difference to the answer.
        let _ = tokio::time::timeout(DRAIN, rest).await;
        return Err(failure);
    }
    qiniu.commit(form.into_incoming(request_id)?, SystemTime::now()).await
}

#[derive(Default)]
struct Form {
    grant: Option<UploadGrant>,
    key: Option<String>,
    crc32: Option<u32>,
    accept: Option<String>,
    file: Option<FormFile>,
    custom: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
    text_bytes: usize,
}

struct FormFile {
    name: Option<String>,
    media_type: Option<String>,
    spooled: Spooled,
}

impl Form {
    async fn read(&mut self, qiniu: &Qiniu, multipart: &mut Multipart) -> Result<(), Failure> {
        for _ in 0..MAX_FIELDS {
            let Some(field) = in_time(qiniu, multipart.next_field()).await? else { return Ok(()) };
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "file" => self.read_file(qiniu, field).await?,
                _ => {
                    let value = self.text(qiniu, field).await?;
                    self.set(qiniu, &name, value)?;
                }
            }
        }
        Err(Failure::invalid(format!("the form has more than {MAX_FIELDS} fields")))
    }

    fn set(&mut self, qiniu: &Qiniu, name: &str, value: Vec<u8>) -> Result<(), Failure> {
        let not_text = |_| match name {
            "key" => Failure::invalid("key must be utf8 encoding"),
            _ => Failure::invalid(format!("{name} must be utf8 encoding")),
        };
        match name {
            "token" => {
                let token = String::from_utf8(value).map_err(|_| auth::Error::BadToken)?;
                let grant = upload::verify(token.trim(), &qiniu.delivery.keys)?;
                check_policy(qiniu, &grant)?;
                self.grant = Some(grant);
            }
            "key" => self.key = Some(String::from_utf8(value).map_err(not_text)?),
            "accept" => self.accept = Some(String::from_utf8(value).map_err(not_text)?),
            "crc32" => {
                let text = String::from_utf8(value).map_err(not_text)?;
                let number = text.trim().parse();
                self.crc32 = Some(number.map_err(|_| {
                    Failure::invalid(format!("invalid argument: crc32 is {text:?}; expected a decimal number"))
                })?);
            }
            name if name.starts_with("x:") => {
                self.custom.insert(name.to_owned(), String::from_utf8(value).map_err(not_text)?);
            }
            name if name.to_ascii_lowercase().starts_with("x-qn-meta-") => {
                self.metadata.insert(name.to_ascii_lowercase(), String::from_utf8(value).map_err(not_text)?);
            }
            _ => {}
        }
        Ok(())
    }

    async fn text(&mut self, qiniu: &Qiniu, mut field: Field<'_>) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        while let Some(piece) = next_piece(qiniu, &mut field).await? {
            self.text_bytes += piece.len();
            if self.text_bytes > MAX_TEXT_BYTES {
                return Err(Failure::new(413, format!("the form's fields have more than {MAX_TEXT_BYTES} bytes")));
            }
            text.extend_from_slice(&piece);
        }
        Ok(text)
    }

    async fn read_file(&mut self, qiniu: &Qiniu, mut field: Field<'_>) -> Result<(), Failure> {
        if self.file.is_some() {
            return Err(Failure::invalid("invalid multipart format: more than one file"));
        }
        let (name, media_type) = (field.file_name().map(str::to_owned), field.content_type().map(str::to_owned));
        let mut writer = qiniu.spool.create(mime::HEAD_BYTES).await.map_err(|error| Failure::of_disk(&error))?;
        let mut pace = Pace::of(self.grant.as_ref().and_then(|grant| grant.policy.bits_per_second));
        while let Some(piece) = next_piece(qiniu, &mut field).await? {
            let bytes = writer.bytes() + piece.len() as u64;
            qiniu.check_most(bytes)?;
            match &self.grant {
                Some(grant) => check_most(&grant.policy, bytes)?,
                None if bytes > qiniu.settings.unsigned_bytes => return Err(unsigned(qiniu.settings.unsigned_bytes)),
                None => {}
            }
            writer.write(&piece).await.map_err(|error| Failure::of_disk(&error))?;
            pace.pass(piece.len()).await;
        }
        let spooled = writer.finish().await.map_err(|error| Failure::of_disk(&error))?;
        self.file = Some(FormFile { name, media_type, spooled });
        Ok(())
    }

    fn into_incoming(self, request_id: String) -> Result<Incoming, Failure> {
        let grant = self.grant.ok_or(auth::Error::NoCredential)?;
        let missing = || Failure::invalid("invalid multipart format: the field file is missing");
        let FormFile { name, media_type, mut spooled } = self.file.ok_or_else(missing)?;
        if let Some(crc32) = self.crc32.filter(|crc32| *crc32 != spooled.crc32) {
            return Err(Failure::new(
                406,
                format!("crc32 mismatch: the form says {crc32}, the file has {}", spooled.crc32),
            ));
        }
        let content = Content {
            files: vec![spooled.path().to_owned()],
            bytes: spooled.bytes,
            hash: spooled.hash.clone(),
            head: std::mem::take(&mut spooled.head),
            spooled: Some(spooled),
        };
        Ok(Incoming {
            grant,
            key: self.key,
            file_name: name,
            client_type: media_type,
            custom: self.custom,
            metadata: self.metadata,
            accept: self.accept,
            content,
            request_id,
        })
    }
}

/// A file that is too large to be taken from a sender who is not known yet.
fn unsigned(limit: u64) -> Failure {
    Failure::new(
        413,
        format!("the file has more than {limit} bytes and comes before the token; expected the token first"),
    )
}

async fn next_piece(qiniu: &Qiniu, field: &mut Field<'_>) -> Result<Option<Bytes>, Failure> {
    in_time(qiniu, field.chunk()).await
}

/// The next of a form; 408 where its sender has stopped.
async fn in_time<T>(qiniu: &Qiniu, next: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Failure> {
    match tokio::time::timeout(qiniu.settings.patience, next).await {
        Ok(next) => next.map_err(|error| Failure::invalid(format!("invalid multipart format: {}", error.body_text()))),
        Err(_) => Err(qiniu.too_slow()),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::super::testing::qiniu;
    use super::*;

    #[tokio::test]
    async fn large_files_come_after_their_token() {
        let folder = tempfile::tempdir().unwrap();
        let qiniu = qiniu(folder.path(), Duration::from_secs(60), None);
        let file = |bytes: usize| {
            let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
            format!("{head}{}\r\n", "a".repeat(bytes))
        };
        let policy = r#"{"scope":"default","deadline":4102444800}"#;
        let token = crate::auth::upload::sign(policy, "AK", &qiniu.delivery.keys).unwrap();
        let token = format!("--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{token}\r\n");
        for (form, refusal) in [
            (format!("{}{token}", file(1000)), None),
            (format!("{token}{}", file(1001)), None),
            (
                format!("{}{token}", file(1001)),
                Some("the file has more than 1000 bytes and comes before the token; expected the token first"),
            ),
        ] {
            let request = http::Request::post("/").header("content-type", "multipart/form-data; boundary=x");
            let request = request.body(Body::from(format!("{form}--x--\r\n"))).unwrap();
            let failure = upload(State(Arc::clone(&qiniu)), request).await.err();
            assert_eq!(failure, refusal.map(|refusal| Failure::new(413, refusal)));
            assert_eq!(std::fs::read_dir(folder.path().join("data/spool")).unwrap().count(), 0);
        }
    }

    #[tokio::test]
    async fn a_silent_sender_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let qiniu = qiniu(folder.path(), Duration::from_millis(20), None);
        let begun = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhello";
        let pieces = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(begun.as_bytes()))]);
        let body = Body::from_stream(futures::StreamExt::chain(pieces, futures::stream::pending()));
        let request = http::Request::post("/").header("content-type", "multipart/form-data; boundary=x");
        let failure = upload(State(qiniu), request.body(body).unwrap()).await.unwrap_err();
        assert_eq!(failure, Failure::new(408, "nothing was sent for 0.02 s"));
        assert_eq!(std::fs::read_dir(folder.path().join("data/spool")).unwrap().count(), 0);
    }
}
