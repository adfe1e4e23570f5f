//! A user of the Altizure API, as the tests of it have one.

use std::time::Duration;

use mogr::auth::{hmac_sha1_b64, user_token};
use mogr::jobs::queue::{Queue, Settings};
use reqwest::Method;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::cards;
use crate::server::{Answer, Server};

pub(crate) const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
[keys.OTHER]
secret = "OS"
[keys.NARROW]
secret = "NS"
buckets = ["elsewhere"]
[buckets.photos]
url = "{folder}"
[buckets.elsewhere]
url = "memory:"
[altizure]
bucket = "photos"
pipeline = "imageView2/2/w/20"
[limits]
source_bytes = "1MiB"
[fetch]
allow = ["127.0.0.0/8"]
[jobs]
lease = "3s"
"#;

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const IMAGE: &str = "id name filename state error checksum";

/// A user with a token.
pub(crate) struct User<'s> {
    pub(crate) server: &'s Server,
    pub(crate) token: String,
}

pub(crate) async fn server(files: &[(&str, &[u8])]) -> Server {
    Server::configured(CONFIG, "", files).await
}

impl<'s> User<'s> {
    pub(crate) fn new(server: &'s Server, access_key: &str) -> Self {
        let expires = mogr::http::target::unix_now() + 3600;
        Self { server, token: user_token::issue(access_key, expires, &server.running.state.keys).unwrap() }
    }

    /// The whole answer to a document.
    pub(crate) async fn answer(&self, query: &str, variables: Value) -> Value {
        let headers = [("key", "AK"), ("altitoken", &*self.token), ("content-type", "application/json")];
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answer = self.server.api_send(Method::POST, "/graphql", &headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
        answer.json()
    }

    /// The data of a document that must succeed.
    #[track_caller]
    pub(crate) fn ask(&self, query: &str, variables: Value) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            let answer = self.answer(query, variables).await;
            assert!(answer.get("errors").is_none(), "{place}: {answer}");
            answer["data"].clone()
        }
    }

    pub(crate) async fn project(&self) -> String {
        let made = self.ask("mutation { createProject(name: \"spring\", type: pro) { id } }", json!({})).await;
        made["createProject"]["id"].as_str().unwrap().to_owned()
    }

    /// Registers an image for a signed URL: its id, and path and query of the URL.
    pub(crate) async fn register(&self, pid: &str, name: &str, checksum: Option<&str>) -> (String, String) {
        let query = "mutation ($pid: ID!, $name: String!, $sum: String) { uploadImageS3(pid: $pid, bucket: Local, \
                     filename: $name, type: JPEG, checksum: $sum) { url image { id state filename } } }";
        let told = self.ask(query, json!({ "pid": pid, "name": name, "sum": checksum })).await;
        let upload = &told["uploadImageS3"];
        let url = url::Url::parse(upload["url"].as_str().unwrap()).unwrap();
        let target = format!("{}?{}", url.path(), url.query().unwrap());
        (upload["image"]["id"].as_str().unwrap().to_owned(), target)
    }

    pub(crate) async fn start(&self, id: &str) -> Value {
        let query = "mutation ($id: ID!) { startImageUpload(id: $id) { state } }";
        self.ask(query, json!({ "id": id })).await["startImageUpload"]["state"].clone()
    }

    pub(crate) async fn put(&self, target: &str, bytes: &[u8]) -> Answer {
        self.server.api_send(Method::PUT, target, &[("content-type", "image/jpeg")], bytes.to_vec()).await
    }

    /// Registers and sends an image; its id.
    pub(crate) async fn upload(&self, pid: &str, name: &str, bytes: &[u8]) -> String {
        let (id, target) = self.register(pid, name, Some(&sha1(bytes))).await;
        assert_eq!(self.start(&id).await, "Uploading");
        let answer = self.put(&target, bytes).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
        id
    }

    pub(crate) async fn image(&self, pid: &str, id: &str) -> Value {
        let query = format!("query ($pid: ID!, $id: ID!) {{ project(id: $pid) {{ image(id: $id) {{ {IMAGE} }} }} }}");
        self.ask(&query, json!({ "pid": pid, "id": id })).await["project"]["image"].clone()
    }

    /// The image once it is final.
    pub(crate) async fn settled(&self, pid: &str, id: &str) -> Value {
        self.until(async || self.image(pid, id).await, |image| image["state"] == "Ready" || image["state"] == "Invalid")
            .await
    }

    /// What is asked for until it holds.
    pub(crate) async fn until(&self, ask: impl AsyncFn() -> Value, holds: impl Fn(&Value) -> bool) -> Value {
        let poll = async {
            loop {
                let found = ask().await;
                if holds(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.expect("it happens")
    }

    /// Temporary credentials.
    pub(crate) async fn credentials(&self, pid: &str) -> Value {
        let query = "mutation ($pid: ID!) { uploadImageOSS(pid: $pid, bucket: Local, filename: \"\") { sts { id secret \
                     token bucket endpoint expire } } }";
        self.ask(query, json!({ "pid": pid })).await["uploadImageOSS"]["sts"].clone()
    }
}

/// A request with temporary credentials to a path that the client writes so.
pub(crate) async fn oss(server: &Server, sts: &Value, method: Method, path: &str, bytes: &[u8]) -> Answer {
    oss_as(server, sts, method, (path, path), bytes).await
}

/// The same with a path, and what is signed as one.
pub(crate) async fn oss_as(
    server: &Server,
    sts: &Value,
    method: Method,
    (path, signed): (&str, &str),
    bytes: &[u8],
) -> Answer {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let (id, token) = (sts["id"].as_str().unwrap(), sts["token"].as_str().unwrap());
    let resource = percent_encoding::percent_decode_str(signed).decode_utf8().unwrap();
    let text = format!("{method}\n\nimage/jpeg\n{date}\nx-oss-security-token:{token}\n{resource}");
    let signature = hmac_sha1_b64(sts["secret"].as_str().unwrap(), text.as_bytes()).replace('-', "+").replace('_', "/");
    let authorization = format!("OSS {id}:{signature}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("date", &date),
        ("content-type", "image/jpeg"),
        ("x-oss-security-token", token),
    ];
    server.api_send(method, path, &headers, bytes.to_vec()).await
}

/// The jobs of a server, from beside it.
pub(crate) async fn queue(server: &Server) -> Queue {
    let path = server.folder.path().join("data/mogr.db");
    Queue::open(&format!("sqlite:{}", path.display()), Settings::default()).await.unwrap()
}

pub(crate) fn sha1(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Pictures that differ.
pub(crate) fn picture(number: u32) -> Vec<u8> {
    cards::jpeg(&cards::quadrants(60 + number, 40), 90)
}

/// What lies in a project's folder.
pub(crate) fn stored(server: &Server, pid: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(server.objects().join(pid)) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
