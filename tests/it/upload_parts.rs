//! Uploads in parts and in blocks, as clients send them (spec 6.4).

use mogr::store::qetag::qetag;
use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, Server};
use crate::upload::{now, server, spooled, status_and_error, stored, token};

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
    for target in ["/buckets/photos/objects/~/uploads", "/mkblk/5"] {
        let answer = parts_call(&server, Method::POST, target, &expired, b"hello").await;
        assert_eq!(status_and_error(&answer), (401, "expired token".to_owned()), "{target}");
    }
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
