//! `ETag` in the very case in which the vendor's SDK for Python looks for it. hyper writes the names of headers as it read them, if
//! it read them, and else in title case; so it is made to read this one.

use axum::response::Response;
use bytes::Bytes;
use http::{Extensions, Request};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OnceCell;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nETag: -\r\nContent-Length: 0\r\n\r\n";

static CASES: OnceCell<Option<Extensions>> = OnceCell::const_new();

/// Lets the response be written with `ETag` for `etag`.
pub(super) async fn spell(response: &mut Response) {
    if let Some(cases) = CASES.get_or_init(cases).await {
        response.extensions_mut().extend(cases.clone());
    }
}

/// What hyper remembers of the names that it read.
async fn cases() -> Option<Extensions> {
    let (near, mut far) = tokio::io::duplex(1 << 10);
    let mut client = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = client.preserve_header_case(true).handshake(TokioIo::new(near)).await.ok()?;
    let connection = tokio::spawn(connection);
    let answer = async {
        far.read_u8().await?;
        far.write_all(ANSWER).await
    };
    let (response, _) = tokio::join!(sender.send_request(Request::new(Empty::<Bytes>::new())), answer);
    connection.abort();
    response.ok().map(|response| response.into_parts().0.extensions)
}
