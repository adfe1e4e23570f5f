//! Objects that Tencent's clients send in parts.

use md5::Md5;
use reqwest::Method;
use sha1::Digest;

use crate::cards;
use crate::server::{Answer, Server};
use crate::tencent_jobs::{COS, authorization, hex, send_as, text};

const CONFIG: &str = r#"
[limits]
upload_bytes = "40KiB"
[keys.AK]
secret = "SK"
[keys.OTHER]
secret = "SK"
buckets = ["others"]
[buckets.photos]
url = "{folder}"
[buckets.others]
url = "{folder}"
"#;

async fn send(server: &Server, method: Method, target: &str, body: &str) -> Answer {
    send_as(server, ("AK", "SK"), COS, (method, target), body).await
}

async fn begin(server: &Server, key: &str) -> String {
    let begun = send(server, Method::POST, &format!("/{key}?uploads"), "").await;
    assert_eq!((begun.status.as_u16(), text(&begun, "Key").as_str()), (200, key), "{}", begun.text());
    text(&begun, "UploadId")
}

/// Sends a part and answers with its ETag.
async fn put(server: &Server, (key, id): (&str, &str), number: u32, part: &str) -> String {
    let answer = send(server, Method::PUT, &format!("/{key}?partNumber={number}&uploadId={id}"), part).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let etag = answer.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", hex(&Md5::digest(part))));
    etag
}

fn completion(parts: &[(u32, &str)]) -> String {
    let part =
        |(number, etag): &(u32, &str)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

#[tokio::test]
async fn parts_become_an_object() {
    let server = Server::configured(CONFIG, "", &[]).await;
    let id = begin(&server, "a/b.txt").await;
    let upload = ("a/b.txt", id.as_str());
    // In any order, and again.
    let last = put(&server, upload, 7, "last").await;
    put(&server, upload, 2, "wrong").await;
    let first = put(&server, upload, 2, "first, ").await;

    let listed = send(&server, Method::GET, &format!("/a/b.txt?uploadId={id}&max-parts=1"), "").await;
    assert_eq!((text(&listed, "ETag").replace("&quot;", "\""), text(&listed, "Size").as_str()), (first.clone(), "7"));
    assert_eq!((text(&listed, "IsTruncated").as_str(), text(&listed, "NextPartNumberMarker").as_str()), ("true", "2"));
    let rest = send(&server, Method::GET, &format!("/a/b.txt?uploadId={id}&part-number-marker=2"), "").await;
    assert_eq!((text(&rest, "PartNumber").as_str(), text(&rest, "IsTruncated").as_str()), ("7", "false"));
    let uploads = send(&server, Method::GET, "/?uploads&prefix=a/", "").await;
    assert_eq!((text(&uploads, "UploadId"), text(&uploads, "IsTruncated").as_str()), (id.clone(), "false"));
    let none = send(&server, Method::GET, "/?uploads&prefix=b", "").await;
    assert_eq!(text(&none, "UploadId"), "");

    let target = format!("/a/b.txt?uploadId={id}");
    let done = send(&server, Method::POST, &target, &completion(&[(2, &first), (7, &last)])).await;
    assert_eq!((done.status.as_u16(), text(&done, "Key").as_str()), (200, "a/b.txt"), "{}", done.text());
    assert_eq!(std::fs::read(server.objects().join("a/b.txt")).unwrap(), b"first, last");
    let got = send(&server, Method::GET, "/a/b.txt", "").await;
    assert_eq!(text(&done, "ETag").replace("&quot;", "\""), got.header("etag"));
    assert_eq!(got.header("content-type"), "text/plain");
    let again = send(&server, Method::POST, &target, &completion(&[(2, &first)])).await;
    assert_eq!((again.status.as_u16(), text(&again, "Code").as_str()), (404, "NoSuchUpload"));
}

#[tokio::test]
async fn what_is_wrong_with_parts_is_told_and_stores_nothing() {
    let server = Server::configured(CONFIG, "", &[]).await;
    let id = begin(&server, "a.txt").await;
    let one = put(&server, ("a.txt", &id), 1, "one").await;
    let two = put(&server, ("a.txt", &id), 2, "two").await;
    let long = "x".repeat(40 << 10);
    let (of_upload, other) = (format!("/a.txt?uploadId={id}"), format!("/b.txt?uploadId={id}"));
    let (zeroth, third) = (format!("/a.txt?partNumber=0&uploadId={id}"), format!("/a.txt?partNumber=3&uploadId={id}"));
    for (method, target, body, status, code) in [
        (Method::POST, &of_upload, completion(&[(2, &two), (1, &one)]), 400, "InvalidPartOrder"),
        (Method::POST, &of_upload, completion(&[(1, &two)]), 400, "InvalidPart"),
        (Method::POST, &of_upload, completion(&[(9, &one)]), 400, "InvalidPart"),
        (Method::POST, &of_upload, completion(&[]), 400, "MalformedXML"),
        (Method::POST, &of_upload, "<CompleteMultipartUpload>".to_owned(), 400, "MalformedXML"),
        (Method::POST, &other, completion(&[(1, &one)]), 404, "NoSuchUpload"),
        (Method::PUT, &zeroth, "x".to_owned(), 400, "InvalidArgument"),
        (Method::PUT, &third, long, 400, "EntityTooLarge"),
        (Method::GET, &"/a.txt?uploadId=none".to_owned(), String::new(), 404, "NoSuchUpload"),
    ] {
        let answer = send(&server, method, target, &body).await;
        assert_eq!((answer.status.as_u16(), text(&answer, "Code").as_str()), (status, code), "{target}: {body}");
    }
    let stranger = send_as(&server, ("OTHER", "SK"), COS, (Method::GET, &of_upload), "").await;
    assert_eq!((stranger.status.as_u16(), text(&stranger, "Code").as_str()), (404, "NoSuchBucket"));
    assert!(!server.objects().join("a.txt").exists());
    assert_eq!(send(&server, Method::DELETE, &of_upload, "").await.status, 204);
    let gone = send(&server, Method::POST, &of_upload, &completion(&[(1, &one)])).await;
    assert_eq!((gone.status.as_u16(), text(&gone, "Code").as_str()), (404, "NoSuchUpload"));
    assert_eq!(text(&send(&server, Method::GET, "/?uploads", "").await, "UploadId"), "");
}

#[tokio::test]
async fn what_arrived_in_parts_is_processed() {
    let server = Server::configured(CONFIG, "", &[]).await;
    let card = cards::png(cards::quadrants(60, 40));
    let id = begin(&server, "card.png").await;
    let who = ("AK", "SK");
    let mut etags = Vec::new();
    for (number, part) in (1..).zip(card.chunks(200)) {
        let target = format!("/card.png?partNumber={number}&uploadId={id}");
        let authorization = authorization(who, COS, (&Method::PUT, &target));
        let headers = [("host", COS), ("authorization", authorization.as_str())];
        let answer = server.api_send(Method::PUT, &target, &headers, part.to_vec()).await;
        etags.push((number, answer.header("etag").to_owned()));
    }
    let named: Vec<(u32, &str)> = etags.iter().map(|(number, etag)| (*number, etag.as_str())).collect();
    let target = format!("/card.png?uploadId={id}");
    let authorization = authorization(who, COS, (&Method::POST, &target));
    let operations = r#"{"is_pic_info":1,"rules":[{"fileid":"half.png","rule":"imageMogr2/thumbnail/!50p"}]}"#;
    let headers = [("host", COS), ("authorization", authorization.as_str()), ("pic-operations", operations)];
    let done = server.api_send(Method::POST, &target, &headers, completion(&named)).await;
    assert_eq!((done.status.as_u16(), text(&done, "Bucket").as_str()), (200, "photos-1250000000"), "{}", done.text());
    let result = text(&done, "ProcessResults");
    assert!(result.contains("<Key>half.png</Key>") && result.contains("<Width>30</Width>"), "{}", done.text());
    assert_eq!(std::fs::read(server.objects().join("card.png")).unwrap(), card);
    assert!(server.objects().join("half.png").exists());
}
