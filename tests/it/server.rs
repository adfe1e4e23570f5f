//! A server for one test, and a client that looks at its answers.

use std::path::Path;

use mogr::app::{self, Running};
use mogr::config::Config;
use mogr::engine::decode;
use mogr::engine::image::{Frame, Header};
use mogr::engine::limits::{Cancel, Limits};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};

/// A running server over a folder of its own.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) folder: tempfile::TempDir,
    client: reqwest::Client,
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// A server with one bucket, `default`, that holds `files` and answers for every host.
    pub(crate) async fn over(files: &[(&str, &[u8])]) -> Self {
        Self::configured("[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n", "", files).await
    }

    /// A server with this configuration and these styles. `{folder}` stands for the `file:` URL of the folder that
    /// `files` are written to.
    pub(crate) async fn configured(config: &str, styles: &str, files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().join("objects");
        std::fs::create_dir(&objects).unwrap();
        for (name, body) in files {
            let path = objects.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, body).unwrap();
        }
        let url = url::Url::from_directory_path(&objects).unwrap();
        let data = folder.path().join("data");
        let own = format!("listen = \"127.0.0.1:0\"\napi_listen = \"127.0.0.1:0\"\ndata_dir = {data:?}\n");
        let text = own + &config.replace("{folder}", url.as_str());
        std::fs::write(folder.path().join("mogr.toml"), text).unwrap();
        std::fs::write(folder.path().join("styles.toml"), styles).unwrap();
        Self::start(folder).await
    }

    async fn start(folder: tempfile::TempDir) -> Self {
        Self::start_with(folder, env!("CARGO_BIN_EXE_mogr").into()).await
    }

    /// The next server over the same folder, when this one has stopped, with another program for helper processes.
    pub(crate) async fn with_program(self, program: std::path::PathBuf) -> Self {
        let Self { running, folder, .. } = self;
        running.stop().await;
        Self::start_with(folder, program).await
    }

    async fn start_with(folder: tempfile::TempDir, program: std::path::PathBuf) -> Self {
        let path = folder.path().join("mogr.toml");
        // Most tests change files behind the server's back and want to see that; those of the cache say what they want.
        let impatient = ["FRESH", "MISSING"].map(|name| (format!("MOGR_CACHE__{name}"), "0s".to_owned()));
        let says = std::fs::read_to_string(&path).unwrap().contains("fresh =");
        let mut config = Config::load(Some(&path), impatient.into_iter().filter(|_| !says)).unwrap();
        config.program = Some(program);
        let running = app::start(&config, folder.path().join("styles.toml")).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { running, folder, client }
    }

    /// The next server over the same folder, when this one has stopped.
    pub(crate) async fn restarted(self) -> Self {
        let Self { running, folder, .. } = self;
        running.stop().await;
        Self::start(folder).await
    }

    /// The folder that holds the bucket's objects.
    pub(crate) fn objects(&self) -> std::path::PathBuf {
        self.folder.path().join("objects")
    }

    /// The styles file.
    pub(crate) fn styles(&self) -> std::path::PathBuf {
        self.folder.path().join("styles.toml")
    }

    /// GET of a path and query on the delivery listener.
    pub(crate) async fn get(&self, path_and_query: &str) -> Answer {
        self.send(Method::GET, path_and_query, &[]).await
    }

    /// Any request on the delivery listener.
    pub(crate) async fn send(&self, method: Method, path_and_query: &str, headers: &[(&str, &str)]) -> Answer {
        self.request(method, &format!("http://{}{path_and_query}", self.running.delivery), headers).await
    }

    /// GET on the API listener.
    pub(crate) async fn api(&self, path_and_query: &str) -> Answer {
        self.request(Method::GET, &format!("http://{}{path_and_query}", self.running.api), &[]).await
    }

    /// Any request on the API listener.
    pub(crate) async fn api_send(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let url = format!("http://{}{path_and_query}", self.running.api);
        self.exchange(self.client.request(method, url).body(body), headers).await
    }

    async fn request(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.exchange(self.client.request(method, url), headers).await
    }

    async fn exchange(&self, mut request: reqwest::RequestBuilder, headers: &[(&str, &str)]) -> Answer {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    /// Sends bytes as they are and returns the status line and the rest of what comes back.
    pub(crate) async fn raw(&self, request: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.running.delivery).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The `error` of a failure.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }

    /// The picture's header; the answer must be one and say so.
    #[track_caller]
    pub(crate) fn image(&self) -> Header {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        let header = decode::probe(&self.body).unwrap();
        assert_eq!(self.header("content-type"), format!("image/{}", header.format.name()));
        assert_eq!(self.header("content-length"), self.body.len().to_string());
        header
    }

    /// The picture's first frame.
    #[track_caller]
    pub(crate) fn pixels(&self) -> Frame {
        frame(&self.body)
    }

    /// `"<format> <width>x<height>"` of a picture, `"<status> <error>"` of a failure.
    #[track_caller]
    pub(crate) fn summary(&self) -> String {
        if self.status != StatusCode::OK {
            return format!("{} {}", self.status.as_u16(), self.error());
        }
        let header = self.image();
        format!("{} {}", header.format.name(), header.size)
    }
}

/// The first frame of an image file.
#[track_caller]
pub(crate) fn frame(file: &[u8]) -> Frame {
    let header = decode::probe(file).unwrap();
    decode::still(file, &header, 8, &Limits::default(), &Cancel::default()).unwrap()
}

/// Whether a pixel is within `tolerance` of a colour in every channel.
#[track_caller]
pub(crate) fn assert_near(frame: &Frame, (x, y): (u32, u32), color: [u8; 3], tolerance: u8) {
    let [r, g, b, _] = frame.rgba_at(x, y);
    let near = [r, g, b].iter().zip(color).all(|(is, should)| is.abs_diff(should) <= tolerance);
    assert!(near, "pixel {x},{y} is {:?}, expected {color:?} ± {tolerance}", [r, g, b]);
}

/// The repository's example pictures.
pub(crate) fn photos() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos"))
}
