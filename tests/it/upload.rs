//! Uploads in Qiniu's protocol, as clients send them (spec 6).

use mogr::auth::upload;
use mogr::store::qetag::qetag;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cards;
use crate::server::{Answer, Server};

pub(crate) const CONFIG: &str = r#"
[keys.MY_ACCESS_KEY]
secret = "MY_SECRET_KEY"
buckets = ["photos", "other"]
[keys.OTHER_KEY]
secret = "OTHER_SECRET"
buckets = ["other"]
[buckets.photos]
url = "{folder}"
domains = ["*"]
[buckets.other]
url = "memory:"
[fetch]
allow = ["127.0.0.0/8"]
timeout = "2s"
[limits]
upload_bytes = "9MiB"
"#;

pub(crate) async fn server(files: &[(&str, &[u8])]) -> Server {
    Server::configured(CONFIG, "", files).await
}

/// A token of these policy fields that is good for an hour.
pub(crate) fn token(server: &Server, scope: &str, fields: Value) -> String {
    let Value::Object(mut policy) = fields else { panic!("{fields} is no policy") };
    policy.insert("scope".to_owned(), scope.into());
    policy.entry("deadline").or_insert((now() + 3600).into());
    upload::sign(&Value::Object(policy).to_string(), "MY_ACCESS_KEY", &server.running.state.keys).unwrap()
}

pub(crate) fn now() -> u64 {
    mogr::http::target::unix_now()
}

/// A form's fields in order; the file has its name and type.
pub(crate) enum Part<'a> {
    Text(&'a str, &'a str),
    File(&'a str, Option<&'a str>, &'a [u8]),
}

const BOUNDARY: &str = "----boundary";

pub(crate) fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let (head, content) = match part {
            Part::Text(name, value) => (format!("name=\"{name}\"\r\n"), value.as_bytes()),
            Part::File(name, media_type, content) => {
                let media_type = media_type.map(|it| format!("Content-Type: {it}\r\n")).unwrap_or_default();
                (format!("name=\"file\"; filename=\"{name}\"\r\n{media_type}"), *content)
            }
        };
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n").bytes());
        body.extend(content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

pub(crate) async fn send(server: &Server, parts: &[Part<'_>]) -> Answer {
    let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
    server.api_send(Method::POST, "/", &[("content-type", &media_type)], form(parts)).await
}

pub(crate) async fn put(server: &Server, token: &str, key: Option<&str>, content: &[u8]) -> Answer {
    let mut parts = vec![Part::Text("token", token)];
    parts.extend(key.map(|key| Part::Text("key", key)));
    parts.push(Part::File("a.txt", None, content));
    send(server, &parts).await
}

pub(crate) fn status_and_error(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

/// What lies in the bucket's folder, and nothing of the server's own.
pub(crate) fn stored(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.objects()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != ".mogr").collect();
    names.sort();
    names
}

pub(crate) fn spooled(server: &Server) -> usize {
    std::fs::read_dir(server.folder.path().join("data/spool")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_form_is_stored_and_served() {
    let server = server(&[]).await;
    let picture = cards::png(cards::quadrants(64, 48));
    let token = token(&server, "photos", json!({}));
    let file = || Part::File("cat.png", Some("image/png"), &picture);
    let answer = send(&server, &[Part::Text("key", "春天/cat.png"), file(), Part::Text("token", &token)]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, format!(r#"{{"hash":"{}","key":"春天/cat.png"}}"#, qetag(&picture)).as_str())
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-reqid").len(), 16);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(server.get("/%E6%98%A5%E5%A4%A9/cat.png").await.body, picture);
    let smaller = server.get("/%E6%98%A5%E5%A4%A9/cat.png?imageView2/2/w/32").await;
    assert_eq!(smaller.summary(), "png 32x24");
    assert_eq!(spooled(&server), 0);
}

#[tokio::test]
async fn keys_come_from_client_template_and_hash() {
    let server = server(&[]).await;
    let hash = qetag(b"hello");
    for (scope, fields, key, expected) in [
        ("photos", json!({}), None, hash.as_str()),
        ("photos", json!({}), Some("a"), "a"),
        ("photos", json!({ "saveKey": "t/$(fname)-$(fsize)$(ext)" }), None, "t/a.txt-5.txt"),
        ("photos", json!({ "saveKey": "$(etag)/$(fprefix)" }), Some("b"), "b"),
        (
            "photos",
            json!({ "saveKey": "$(key)-forced-$(mimeType)", "forceSaveKey": true }),
            Some("c"),
            "c-forced-text/plain",
        ),
        ("photos:d", json!({}), Some("d"), "d"),
        ("photos:p/", json!({ "isPrefixalScope": 1 }), Some("p/x"), "p/x"),
    ] {
        let answer = put(&server, &token(&server, scope, fields), key, b"hello").await;
        assert_eq!(answer.json(), json!({ "hash": hash, "key": expected }), "{scope} {key:?}");
        assert_eq!(std::fs::read(server.objects().join(expected)).unwrap(), b"hello");
    }
}

#[tokio::test]
async fn what_a_policy_refuses_is_not_stored() {
    let server = server(&[]).await;
    for (scope, fields, key, content, status, error) in [
        ("photos:a", json!({}), Some("b"), &b"x"[..], 403, "key doesn't match scope"),
        ("photos:a", json!({}), None, b"x", 403, "key doesn't match scope"),
        ("photos:a/", json!({ "isPrefixalScope": 1 }), Some("b"), b"x", 403, "key doesn't match scope"),
        ("photos", json!({ "keylimit": ["a"] }), Some("b"), b"x", 403, "key doesn't match scope"),
        ("photos", json!({ "deadline": 1_000_000_000 }), Some("b"), b"x", 401, "expired token"),
        ("photos", json!({ "fsizeLimit": 3 }), Some("b"), b"four", 413, "exceed FsizeLimit"),
        ("photos", json!({ "fsizeMin": 5 }), Some("b"), b"four", 403, "file size 4 is below fsizeMin 5"),
        (
            "photos",
            json!({ "mimeLimit": "image/*" }),
            Some("b.png"),
            b"four",
            403,
            "limited mimeType: this file type (text/plain) is forbidden to upload",
        ),
        ("nowhere", json!({}), Some("b"), b"x", 403, "not allowed"),
        (
            "photos",
            json!({ "persistentOps": "imageInfo;nosuchfop" }),
            Some("b"),
            b"x",
            400,
            "invalid put policy: persistentOps: fops: command 2: unsupported fop: nosuchfop",
        ),
        (
            "photos",
            json!({ "persistentOps": "imageInfo", "persistentPipeline": "a b" }),
            Some("b"),
            b"x",
            400,
            "invalid put policy: persistentOps: pipeline is \"a b\"; expected 1 to 64 letters, digits, - _ or .",
        ),
        (
            "photos",
            json!({ "callbackUrl": "http://127.0.0.1:1/" }),
            Some("b"),
            b"x",
            400,
            "invalid put policy: callbackBody is missing; expected a template, with callbackUrl",
        ),
    ] {
        let answer = put(&server, &token(&server, scope, fields.clone()), key, content).await;
        assert_eq!(status_and_error(&answer), (status, error.to_owned()), "{scope} {fields}");
        assert_eq!(answer.header("x-reqid").len(), 16);
    }
    assert_eq!((stored(&server), spooled(&server)), (vec![], 0));
}

#[tokio::test]
async fn broken_forms_are_refused() {
    let server = server(&[]).await;
    let good = token(&server, "photos", json!({}));
    let file = || Part::File("a", None, b"hello");
    for (parts, status, error) in [
        (vec![file()], 401, "token not specified"),
        (vec![Part::Text("token", ""), file()], 401, "bad token"),
        (vec![file(), Part::Text("token", &good.replace("MY_", "NO_"))], 401, "bad token"),
        (vec![Part::Text("token", &good)], 400, "invalid multipart format: the field file is missing"),
        (vec![Part::Text("token", &good), file(), file()], 400, "invalid multipart format: more than one file"),
        (
            vec![Part::Text("token", &good), Part::Text("crc32", "1"), file()],
            406,
            "crc32 mismatch: the form says 1, the file has 907060870",
        ),
        (
            vec![Part::Text("token", &good), Part::Text("crc32", "x"), file()],
            400,
            "invalid argument: crc32 is \"x\"; expected a decimal number",
        ),
    ] {
        let answer = send(&server, &parts).await;
        assert_eq!(status_and_error(&answer), (status, error.to_owned()));
    }
    for (media_type, body) in [
        ("application/json", b"{}".to_vec()),
        ("multipart/form-data", form(&[file()])),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense".to_vec()),
        ("multipart/form-data; boundary=x", Vec::new()),
    ] {
        let answer = server.api_send(Method::POST, "/", &[("content-type", media_type)], body).await;
        let (status, error) = status_and_error(&answer);
        assert!(status == 400 && error.starts_with("invalid multipart format: "), "{status} {error}");
    }
    let large = vec![0; 10 << 20];
    let answer = put(&server, &good, Some("large"), &large).await;
    let error = "the file has more than 9437184 bytes, the limit of this server";
    assert_eq!(status_and_error(&answer), (413, error.to_owned()));
    assert_eq!((stored(&server), spooled(&server)), (vec![], 0));
    let crc32 = [Part::Text("token", &good), Part::Text("crc32", "907060870"), file()];
    assert_eq!(send(&server, &crc32).await.status, 200);
}

/// Spec 6.1: a scope without a key adds, one with a key replaces.
#[tokio::test]
async fn scopes_replace_or_add() {
    let server = server(&[("there", b"old")]).await;
    let status = async |scope: &str, fields: Value, content: &[u8]| {
        let answer = put(&server, &token(&server, scope, fields), Some("there"), content).await;
        answer.status.as_u16()
    };
    assert_eq!(status("photos", json!({}), b"new").await, 614);
    assert_eq!(status("photos", json!({}), b"old").await, 200);
    assert_eq!(status("photos:there", json!({ "insertOnly": 1 }), b"new").await, 614);
    assert_eq!(status("photos:the", json!({ "isPrefixalScope": 1 }), b"new").await, 614);
    assert_eq!(std::fs::read(server.objects().join("there")).unwrap(), b"old");
    assert_eq!(status("photos:there", json!({}), b"new").await, 200);
    assert_eq!(std::fs::read(server.objects().join("there")).unwrap(), b"new");
}

#[tokio::test]
async fn answers_are_made_of_templates() {
    let server = server(&[]).await;
    let picture = cards::png(cards::quadrants(64, 48));
    let template = r#"{"n":$(fname),"s":$(fsize),"w":$(imageInfo.width),"i":"$(imageInfo.height)","k":$(key),"h":$(etag),"l":$(x:loc),"u":$(endUser),"b":$(bucket),"e":$(exif),"m":$(mimeType)}"#;
    let token = token(&server, "photos", json!({ "returnBody": template, "endUser": "me" }));
    let parts = [
        Part::Text("token", &token),
        Part::Text("key", "cat"),
        Part::Text("x:loc", "Shang \"hai\""),
        Part::File("cat.png", None, &picture),
    ];
    let answer = send(&server, &parts).await;
    assert_eq!(
        answer.json(),
        json!({
            "n": "cat.png", "s": picture.len(), "w": 64, "i": "48", "k": "cat", "h": qetag(&picture),
            "l": "Shang \"hai\"", "u": "me", "b": "photos", "e": null, "m": "image/png",
        })
    );
}

#[tokio::test]
async fn browsers_are_sent_on() {
    let server = server(&[]).await;
    let to = |url: &str| token(&server, "photos", json!({ "returnUrl": url }));
    let answer = put(&server, &to("http://app.example.com/done"), Some("hello.txt"), b"hello").await;
    assert_eq!(answer.status, 303);
    let upload_ret = "eyJoYXNoIjoiRnFyMHhoM2N4ZWlpMnI3ZUR6dElMTm11cVVOTiIsImtleSI6ImhlbGxvLnR4dCJ9";
    assert_eq!(answer.header("location"), format!("http://app.example.com/done?upload_ret={upload_ret}"));
    let answer = put(&server, &to("http://app.example.com/done?a=b"), Some("hello.txt"), b"hello").await;
    assert_eq!(answer.header("location"), format!("http://app.example.com/done?a=b&upload_ret={upload_ret}"));
    let preflight = server.api_send(Method::OPTIONS, "/", &[("origin", "http://x")], Vec::new()).await;
    assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-origin")), (204, "*"));
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_nothing() {
    use tokio::io::AsyncWriteExt;
    let server = server(&[]).await;
    let token = token(&server, "photos", json!({}));
    let body = form(&[Part::Text("token", &token), Part::File("a", None, &vec![b'x'; 200_000])]);
    let mut stream = tokio::net::TcpStream::connect(server.running.api).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..150_000]).await.unwrap();
    until("the spool has a file", || spooled(&server) == 1).await;
    drop(stream);
    until("the spool is empty", || spooled(&server) == 0).await;
    assert!(stored(&server).is_empty());
}

pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{what}: not within 10 s");
}
