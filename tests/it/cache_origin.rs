//! An HTTP origin whose objects change, fail and wait as a test says, and which counts what it is asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// An origin; clones are the same one.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    objects: HashMap<String, Object>,
    is_failing: bool,
    /// `GET /cat.png 200`, as they were answered.
    log: Vec<String>,
}

#[derive(Clone)]
struct Object {
    body: Vec<u8>,
    headers: String,
    etag: Option<String>,
}

/// What a request says before its body; `None` where a client goes away.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin =
            Self { address: listener.local_addr().unwrap(), state: Arc::default(), open: watch::channel(true).0 };
        let serving = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let origin = serving.clone();
                tokio::spawn(async move { origin.converse(stream).await });
            }
        });
        origin
    }

    /// Puts an object with an entity tag, or without any validator.
    pub(crate) fn put(&self, path: &str, body: &[u8], etag: Option<&str>) {
        self.put_with(path, body, etag, "");
    }

    /// The same with more headers, each with its line's end.
    pub(crate) fn put_with(&self, path: &str, body: &[u8], etag: Option<&str>, headers: &str) {
        let etag = etag.map(|etag| format!("\"{etag}\""));
        let object = Object { body: body.to_vec(), headers: headers.to_owned(), etag };
        self.state.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    pub(crate) fn delete(&self, path: &str) {
        self.state.lock().unwrap().objects.remove(path);
    }

    /// Answers 500 to everything, or no more.
    pub(crate) fn fail(&self, is_failing: bool) {
        self.state.lock().unwrap().is_failing = is_failing;
    }

    /// Answers nothing until it is opened again.
    pub(crate) fn set_open(&self, is_open: bool) {
        self.open.send_replace(is_open);
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut log = std::mem::take(&mut self.state.lock().unwrap().log);
        // The server's own files are looked for beside what tests ask for.
        log.retain(|line| !line.contains("prefix=.mogr"));
        log
    }

    async fn converse(&self, mut stream: TcpStream) {
        let Some(head) = read_head(&mut stream).await else { return };
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let condition = head.lines().find_map(|line| line.strip_prefix("if-none-match: "));
        let _ = self.open.subscribe().wait_for(|is_open| *is_open).await;
        let (status, object) = self.answer(method, path, condition);
        let Object { body, headers, etag } = object;
        let etag = etag.map(|etag| format!("etag: {etag}\r\n")).unwrap_or_default();
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{etag}{headers}\r\n");
        let _ = stream.write_all(text.as_bytes()).await;
        if method != "HEAD" && status != 304 {
            let _ = stream.write_all(&body).await;
        }
    }

    fn answer(&self, method: &str, path: &str, condition: Option<&str>) -> (u16, Object) {
        let mut state = self.state.lock().unwrap();
        let found = state.objects.get(path).cloned();
        let nothing = || Object { body: Vec::new(), headers: String::new(), etag: None };
        let (status, object) = match found {
            _ if state.is_failing => (500, nothing()),
            None => (404, nothing()),
            Some(object) if condition.is_some() && condition == object.etag.as_deref() => (304, object),
            Some(object) => (200, object),
        };
        state.log.push(format!("{method} {path} {status}"));
        (status, object)
    }
}
