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
enum Part<'a> {
    Text(&'a str, &'a str),
    File(&'a str, Option<&'a str>, &'a [u8]),
}

const BOUNDARY: &str = "----boundary";

fn form(parts: &[Part<'_>]) -> Vec<u8> {
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

async fn send(server: &Server, parts: &[Part<'_>]) -> Answer {
    let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
    server.api_send(Method::POST, "/", &[("content-type", &media_type)], form(parts)).await
}

async fn put(server: &Server, token: &str, key: Option<&str>, content: &[u8]) -> Answer {
    let mut parts = vec![Part::Text("token", token)];
    parts.extend(key.map(|key| Part::Text("key", key)));
    parts.push(Part::File("a.txt", None, content));
    send(server, &parts).await
}

fn status_and_error(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

/// What lies in the bucket's folder, and nothing of the server's own.
fn stored(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.objects()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != ".mogr").collect();
    names.sort();
    names
}

fn spooled(server: &Server) -> usize {
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

fn up_token(token: &str) -> Vec<(String, String)> {
    vec![("authorization".to_owned(), format!("UpToken {token}"))]
}

async fn parts_call(server: &Server, method: Method, target: &str, token: &str, body: &[u8]) -> Answer {
    let headers = up_token(token);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    server.api_send(method, target, &headers, body.to_vec()).await
}

async fn begin(server: &Server, token: &str, key: &str) -> String {
    let uploads = format!("/buckets/photos/objects/{key}/uploads");
    let answer = parts_call(server, Method::POST, &uploads, token, b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["expireAt"].as_u64().unwrap() > now());
    format!("{uploads}/{}", answer.json()["uploadId"].as_str().unwrap())
}

fn uploads(server: &Server) -> usize {
    std::fs::read_dir(server.folder.path().join("data/uploads")).map_or(0, Iterator::count)
}

/// Spec 1.3: the hash of parts; 6.4: the calls.
#[tokio::test]
async fn parts_become_a_file() {
    let server = server(&[]).await;
    let token = token(&server, "photos:a/猫", json!({ "endUser": "me", "deleteAfterDays": 1 }));
    let upload = begin(&server, &token, "YS_njKs=").await;
    for (number, content, hash) in
        [(2, &b"old"[..], qetag(b"old")), (2, b" world", qetag(b" world")), (1, b"hello", qetag(b"hello"))]
    {
        let answer = parts_call(&server, Method::PUT, &format!("{upload}/{number}"), &token, content).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["etag"]), (200, &json!(hash)));
    }
    let listed = parts_call(&server, Method::GET, &upload, &token, b"").await.json();
    let sizes: Vec<_> = listed["parts"].as_array().unwrap().iter().map(|part| &part["size"]).collect();
    assert_eq!((sizes, &listed["partNumberMarker"]), (vec![&json!(5), &json!(6)], &json!(0)));
    let page = parts_call(&server, Method::GET, &format!("{upload}?max-parts=1"), &token, b"").await.json();
    assert_eq!((&page["partNumberMarker"], page["parts"].as_array().unwrap().len()), (&json!(1), 1));
    let next = format!("{upload}?part-number_marker=1");
    let next = parts_call(&server, Method::GET, &next, &token, b"").await.json();
    assert_eq!(next["parts"][0]["partNumber"], 2);
    let parts = json!([
        { "partNumber": 1, "etag": qetag(b"hello") },
        { "partNumber": 2, "etag": qetag(b" world") },
    ]);
    let completion =
        json!({ "parts": parts, "mimeType": "text/x-own", "metadata": { "x-qn-meta-a": "b" } }).to_string();
    let answer = parts_call(&server, Method::POST, &upload, &token, completion.as_bytes()).await;
    assert_eq!(answer.json(), json!({ "hash": "no7Lzp_ot5yagCilL_E-PFgdGLzL", "key": "a/猫" }));
    let served = server.get("/a/%E7%8C%AB").await;
    assert_eq!((served.body.as_slice(), served.header("content-type")), (&b"hello world"[..], "text/x-own"));
    let again = parts_call(&server, Method::POST, &upload, &token, completion.as_bytes()).await;
    assert_eq!(status_and_error(&again), (612, "no such uploadId".to_owned()));
    assert_eq!((uploads(&server), spooled(&server)), (0, 0));
}

#[tokio::test]
async fn parts_that_are_refused() {
    let server = server(&[]).await;
    let good = token(&server, "photos", json!({}));
    let upload = begin(&server, &good, "~").await;
    let put = async |target: String, token: &str, content: &[u8]| {
        status_and_error(&parts_call(&server, Method::PUT, &target, token, content).await)
    };
    let number = (400, "invalid argument: partNumber; expected 1 to 10000".to_owned());
    assert_eq!(put(format!("{upload}/0"), &good, b"x").await, number);
    assert_eq!(put(format!("{upload}/10001"), &good, b"x").await, number);
    assert_eq!(put(format!("{upload}/1"), "", b"x").await, (401, "bad token".to_owned()));
    let other = token(&server, "other", json!({}));
    assert_eq!(put(format!("{upload}/1"), &other, b"x").await, (403, "bucket doesn't match scope".to_owned()));
    let gone = (612, "no such uploadId".to_owned());
    assert_eq!(put(format!("{upload}x/1"), &good, b"x").await, gone);
    assert_eq!(put(upload.replace("~", "YQ==") + "/1", &good, b"x").await, gone);
    let large = vec![0; 6 << 20];
    let part = parts_call(&server, Method::PUT, &format!("{upload}/1"), &good, &large).await;
    assert_eq!(part.status, 200);
    assert_eq!(put(format!("{upload}/2"), &good, &large).await.0, 413);
    for (completion, error) in [
        ("{}", "invalid argument: missing field `parts` at line 1 column 2"),
        (r#"{"parts":[]}"#, "invalid argument: parts; expected at least one, in ascending order"),
        (r#"{"parts":[{"partNumber":1,"etag":"x"}]}"#, "invalid argument: part 1 with etag \"x\" has not arrived"),
    ] {
        let answer = parts_call(&server, Method::POST, &upload, &good, completion.as_bytes()).await;
        assert_eq!(status_and_error(&answer), (400, error.to_owned()));
    }
    let expired = token(&server, "photos", json!({ "deadline": 1_000_000_000 }));
    let completion = json!({ "parts": [{ "partNumber": 1, "etag": qetag(&large) }] }).to_string();
    let answer = parts_call(&server, Method::POST, &upload, &expired, completion.as_bytes()).await;
    assert_eq!(status_and_error(&answer), (401, "expired token".to_owned()));
    assert_eq!(parts_call(&server, Method::DELETE, &upload, &good, b"").await.status, 200);
    let answer = parts_call(&server, Method::DELETE, &upload, &good, b"").await;
    assert_eq!(status_and_error(&answer), gone);
    assert_eq!((stored(&server), uploads(&server), spooled(&server)), (vec![], 0, 0));
}

/// Spec 6.4: blocks of version 1, and Base64.
#[tokio::test]
async fn older_forms_become_files() {
    let server = server(&[]).await;
    let token = token(&server, "photos", json!({ "returnBody": r#"{"h":$(etag),"at":$(x:at),"k":$(key)}"# }));
    let call = async |target: &str, body: &[u8]| parts_call(&server, Method::POST, target, &token, body).await;
    let first = call("/mkblk/11", b"hello").await.json();
    assert_eq!((&first["offset"], &first["crc32"]), (&json!(5), &json!(907_060_870)));
    let ctx = first["ctx"].as_str().unwrap();
    let wrong = call(&format!("/bput/{ctx}/4"), b" world").await;
    assert_eq!(status_and_error(&wrong), (701, "invalid ctx: the block has 5 bytes, not 4".to_owned()));
    assert_eq!(call(&format!("/bput/{ctx}/5"), b" world").await.json()["offset"], 11);
    let second = call("/mkblk/1", b"!").await.json();
    let list = format!("{ctx},{}", second["ctx"].as_str().unwrap());
    assert_eq!(call("/mkfile/11/key/YQ==", list.as_bytes()).await.status, 400);
    let made = call("/mkfile/12/key/YQ==/x:at/Yg==", list.as_bytes()).await;
    assert_eq!(made.json(), json!({ "h": qetag(b"hello world!"), "at": "b", "k": "a" }));
    assert_eq!(server.get("/a").await.body, b"hello world!");
    let again = call("/mkfile/12/key/YQ==", list.as_bytes()).await;
    assert_eq!(status_and_error(&again), (701, format!("invalid ctx {ctx:?}: unknown or expired")));
    assert_eq!(call("/mkblk/4194305", b"x").await.status, 400);
    let put = call("/putb64/5/key/Yg==/crc32/907060870", b"aGVsbG8=").await;
    assert_eq!(put.json(), json!({ "h": qetag(b"hello"), "at": null, "k": "b" }));
    for (target, body, status) in [
        ("/putb64/6/key/Yw==", &b"aGVsbG8="[..], 400),
        ("/putb64/-1/key/Yw==", b"aGVsbG8", 400),
        ("/putb64/-1/key/Yw==/crc32/1", b"aGVsbG8=", 406),
    ] {
        assert_eq!(call(target, body).await.status.as_u16(), status, "{target}");
    }
    assert_eq!((stored(&server), uploads(&server), spooled(&server)), (vec!["a".to_owned(), "b".to_owned()], 0, 0));
}

/// An owner's server that answers each request with the next of these, and hands over what it was sent.
async fn owner(answers: &'static [(&'static str, &'static str)]) -> (String, tokio::sync::mpsc::Receiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = tokio::sync::mpsc::channel(10);
    tokio::spawn(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            while !is_whole(&request) {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                request.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
            sender.send(request).await.unwrap();
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, receiver)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Spec 2.5 and 6.1: signed, tried in turn, relayed.
#[tokio::test]
async fn owners_are_called_back() {
    let server = server(&[]).await;
    let (url, mut requests) = owner(&[("500 No", "{}"), ("200 OK", r#"{"ok":"猫"}"#)]).await;
    let fields = json!({
        "callbackUrl": format!("{url}/first;{url}/cb?a=b"),
        "callbackBody": "key=$(key)&hash=$(etag)&at=$(x:at)",
        "callbackHost": "app.example.com",
    });
    let token = token(&server, "photos", fields);
    let parts = [
        Part::Text("token", &token),
        Part::Text("key", "a b"),
        Part::Text("x:at", "猫&"),
        Part::File("a", None, b"hello"),
    ];
    let answer = send(&server, &parts).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"ok":"猫"}"#));
    assert!(requests.recv().await.unwrap().starts_with("POST /first HTTP/1.1\r\n"));
    let request = requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!("key=a%20b&hash={}&at=%E7%8C%AB%26", qetag(b"hello")));
    let form = mogr::auth::management::FORM_TYPE;
    let keys = &server.running.state.keys;
    let signature = mogr::auth::management::sign("/cb?a=b", form, body.as_bytes(), "MY_ACCESS_KEY", keys).unwrap();
    assert!(head.contains(&format!("authorization: {signature}\r\n")), "{head}");
    assert!(head.contains("host: app.example.com\r\n"), "{head}");
}

#[tokio::test]
async fn callbacks_that_fail_keep_the_file() {
    let server = server(&[]).await;
    let (url, _requests) = owner(&[("404 Not Found", "{}"), ("200 OK", "no json")]).await;
    for (key, target, error) in [
        ("a", url.clone(), "callback failed: it answered 404".to_owned()),
        ("b", url.clone(), format!("callback failed: {url} did not answer with JSON")),
        ("c", "http://10.0.0.1/".to_owned(), "callback failed: http://10.0.0.1/ may not be fetched: its address is in a closed range; [fetch] allow opens one".to_owned()),
    ] {
        let fields = json!({ "callbackUrl": target, "callbackBody": "k=$(key)" });
        let answer = put(&server, &token(&server, "photos", fields), Some(key), b"hello").await;
        assert_eq!((answer.status.as_u16(), answer.json()), (579, json!({ "error": error, "key": key, "hash": qetag(b"hello") })));
        assert_eq!(server.get(&format!("/{key}")).await.body, b"hello");
    }
}

#[tokio::test]
async fn callbacks_name_the_key() {
    let server = server(&[]).await;
    let (url, mut requests) = owner(&[("200 OK", r#"{"key":"named","payload":{"ok":1}}"#), ("200 OK", "{}")]).await;
    let fields = json!({
        "callbackUrl": url, "callbackBody": r#"{"size":$(fsize),"w":$(imageInfo.width)}"#,
        "callbackBodyType": "application/json", "callbackFetchKey": 1,
    });
    let token = token(&server, "photos", fields);
    let answer = put(&server, &token, None, b"hello").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": 1 })));
    assert!(requests.recv().await.unwrap().ends_with(r#"{"size":5,"w":null}"#));
    assert_eq!(server.get("/named").await.body, b"hello");
    let answer = put(&server, &token, None, b"hello again").await;
    assert_eq!(answer.status.as_u16(), 579);
    assert_eq!(stored(&server), ["named"]);
}
