//! Requests whose bodies stop half way: whichever API they are for, nothing is stored or queued, and the server serves on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mogr::jobs::model::Filter;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::altizure_client::{User, queue};
use crate::cards;
use crate::server::Server;
use crate::tencent_jobs::{CI, COS, authorization, job, send};
use crate::upload::spooled;

const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
[buckets.photos]
url = "{folder}"
[dlcs]
thumbs = [60]
[dlcs.customers.2]
key = "AK"
bucket = "photos"
[altizure]
bucket = "photos"
pipeline = "imageView2/2/w/20"
"#;

/// How a body is sent.
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// With its length, to the end.
    Whole,
    /// With twice its length.
    Length,
    /// As one chunk, without the last one.
    Chunk,
    /// As half a chunk.
    HalfChunk,
}

/// A request of an API, whose body is complete as it stands: what follows it never comes.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn new(first: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Self { head: format!("{first} HTTP/1.1\r\n{headers}connection: close\r\n"), body: body.into() }
    }

    /// What the server says, which may be nothing, when it has ended the connection.
    async fn send(&self, server: &Server, framing: Framing) -> String {
        let length = self.body.len();
        let framed = match framing {
            Framing::Whole => format!("content-length: {length}\r\n\r\n"),
            Framing::Length => format!("content-length: {}\r\n\r\n", 2 * length),
            Framing::Chunk => format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n"),
            Framing::HalfChunk => format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", 2 * length),
        };
        let end: &[u8] = if matches!(framing, Framing::Chunk) { b"\r\n" } else { b"" };
        let mut stream = tokio::net::TcpStream::connect(server.running.api).await.unwrap();
        stream.write_all(&[self.head.as_bytes(), framed.as_bytes(), &self.body, end].concat()).await.unwrap();
        // The server drops connections whose client has closed its half, answered or not.
        if !matches!(framing, Framing::Whole) {
            stream.shutdown().await.unwrap();
        }
        let mut said = Vec::new();
        let _ended = stream.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// A request of every API that takes a document, and one that takes a file.
fn requests(user: &User<'_>, card: &[u8]) -> Vec<(&'static str, Request)> {
    let signed = |host, method, path| authorization(("AK", "SK"), host, (&method, path));
    let (ci, cos) = (signed(CI, Method::POST, "/pic_jobs"), signed(COS, Method::PUT, "/put.jpg"));
    let basic = format!("Basic {}", STANDARD.encode("AK:SK"));
    let json_type = ("content-type", "application/json");
    let blitline = json!({
        "application_id": "AK", "v": 1.22, "src": { "name": "s3", "bucket": "photos", "key": "card.jpg" },
        "functions": [{ "name": "resize_to_fit", "params": { "width": 60, "height": 60 }, "save": {
            "image_identifier": "one", "s3_destination": { "bucket": "photos", "key": "blitline.jpg" } } }]
    });
    let member = json!({ "id": "a", "space": 1, "origin": "s3://photos/card.jpg", "mediaType": "image/jpeg" });
    let members = json!({ "@type": "Collection", "member": [member] });
    let project = json!({ "query": "mutation { createProject(name: \"spring\", type: pro) { id } }" });
    vec![
        (
            "tencent job",
            Request::new(
                "POST /pic_jobs",
                &[("host", CI), ("authorization", &ci)],
                job("imageMogr2/strip", "tencent.jpg"),
            ),
        ),
        ("tencent object", Request::new("PUT /put.jpg", &[("host", COS), ("authorization", &cos)], card)),
        ("blitline", Request::new("POST /job", &[("host", "a"), json_type], blitline.to_string())),
        (
            "dlcs",
            Request::new(
                "POST /customers/2/queue",
                &[("host", "a"), json_type, ("authorization", &basic)],
                members.to_string(),
            ),
        ),
        (
            "altizure",
            Request::new(
                "POST /graphql",
                &[("host", "a"), json_type, ("key", "AK"), ("altitoken", &user.token)],
                project.to_string(),
            ),
        ),
    ]
}

/// How many jobs, projects and uploaded objects there are.
async fn made(server: &Server, user: &User<'_>) -> (usize, u64, bool) {
    let jobs = queue(server).await.list(&Filter::default(), 100).await.unwrap().len();
    let projects = user.ask("{ my { allProjects { totalCount } } }", json!({})).await;
    let projects = projects["my"]["allProjects"]["totalCount"].as_u64().unwrap();
    (jobs, projects, server.objects().join("put.jpg").exists())
}

#[tokio::test]
async fn half_a_request_is_none() {
    let card = cards::jpeg(&cards::quadrants(120, 80), 90);
    let server = Server::configured(CONFIG, "", &[("card.jpg", &card)]).await;
    let user = User::new(&server, "AK");
    assert_eq!(send(&server, Method::POST, "/picbucket", "").await.status, 200);
    let basic = format!("Basic {}", STANDARD.encode("AK:SK"));
    let headers = [("authorization", &*basic), ("content-type", "application/json")];
    let space = server.api_send(Method::POST, "/customers/2/spaces", &headers, r#"{"name":"one"}"#).await;
    assert_eq!(space.status, 201, "{}", space.text());
    let requests = requests(&user, &card);
    for (name, request) in &requests {
        for framing in [Framing::Length, Framing::Chunk, Framing::HalfChunk] {
            let said = request.send(&server, framing).await;
            assert!(!said.starts_with("HTTP/1.1 2"), "{name} {framing:?}: {said}");
        }
    }
    assert_eq!(made(&server, &user).await, (0, 0, false));
    for (name, request) in &requests {
        let said = request.send(&server, Framing::Whole).await;
        assert!(said.starts_with("HTTP/1.1 2"), "{name}: {said}");
    }
    // What is left of those that stopped would have been counted by now.
    assert_eq!(made(&server, &user).await, (3, 1, true));
    assert_eq!(std::fs::read(server.objects().join("put.jpg")).unwrap(), card);
    user.until(async || json!(spooled(&server)), |files| *files == 0).await;
}
