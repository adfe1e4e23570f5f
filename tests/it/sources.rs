//! Buckets over other places: memory, an HTTP origin, one that is dead, hangs, lies or redirects; pictures by URL.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use reqwest::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::cache_origin::read_head;
use crate::cards;
use crate::server::Server;

/// What a scripted origin does with a request for a path.
type Script = fn(&str) -> Reply;

enum Reply {
    /// A status, extra headers and a body.
    Answer(u16, &'static str, Vec<u8>),
    /// Promises more bytes than it sends, then closes.
    CutShort,
    /// Says nothing, for ever.
    Hang,
}

/// An origin that answers by script, one request a connection.
async fn origin(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, script));
        }
    });
    address
}

async fn converse(mut stream: TcpStream, script: Script) {
    let Some(head) = read_head(&mut stream).await else { return };
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    match script(path) {
        Reply::Answer(status, headers, body) => {
            let length = body.len();
            let text = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            if method != "HEAD" {
                let _ = stream.write_all(&body).await;
            }
        }
        Reply::CutShort => {
            let text = "HTTP/1.1 200 x\r\ncontent-length: 1000\r\nconnection: close\r\n\r\nabc";
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        Reply::Hang => std::future::pending().await,
    }
}

fn photos(path: &str) -> Reply {
    match path {
        "/pics/a%20b.png" => Reply::Answer(200, "etag: \"v1\"\r\n", cards::png(cards::quadrants(40, 20))),
        "/pics/moved.png" => Reply::Answer(302, "location: /pics/a%20b.png\r\n", Vec::new()),
        "/pics/metadata.png" => Reply::Answer(302, "location: http://169.254.169.254/latest\r\n", Vec::new()),
        "/pics/loop.png" => Reply::Answer(302, "location: /pics/loop.png\r\n", Vec::new()),
        "/pics/failing.png" => Reply::Answer(500, "", b"secret stack trace".to_vec()),
        "/pics/short.png" => Reply::CutShort,
        "/pics/hanging.png" => Reply::Hang,
        "/pics/huge.png" => Reply::Answer(200, "", vec![0; 3 << 20]),
        _ => Reply::Answer(404, "", Vec::new()),
    }
}

async fn server_over(origin: SocketAddr, allow: &str) -> Server {
    let config = format!(
        "[buckets.default]\nurl = \"{{folder}}\"\ndomains = [\"*\"]\n[buckets.remote]\nurl = \"http://{origin}/pics\"\n\
         domains = [\"remote.example\"]\n[fetch]\nallow = [{allow}]\ntimeout = \"500ms\"\nmax_bytes = \"1MiB\"\n[limits]\nsource_bytes = \"1MiB\"\n"
    );
    Server::configured(&config, "", &[("cat.png", &cards::png(cards::quadrants(64, 48)))]).await
}

const REMOTE: (&str, &str) = ("host", "remote.example");
const LOOPBACK: &str = "\"127.0.0.0/8\"";

#[tokio::test]
async fn an_http_origin_is_a_bucket() {
    let server = server_over(origin(photos).await, LOOPBACK).await;
    let raw = server.send(Method::GET, "/a%20b.png", &[REMOTE]).await;
    assert_eq!(raw.body, cards::png(cards::quadrants(40, 20)));
    assert_eq!(raw.header("etag"), "\"v1\"");
    let scaled = server.send(Method::GET, "/a%20b.png?imageView2/2/w/20", &[REMOTE]).await;
    assert_eq!(scaled.summary(), "png 20x10");
    let part = server.send(Method::GET, "/a%20b.png", &[REMOTE, ("range", "bytes=1-3")]).await;
    assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &b"PNG"[..]));
    let moved = server.send(Method::GET, "/moved.png?imageView2/2/w/20", &[REMOTE]).await;
    assert_eq!(moved.summary(), "png 20x10");
}

#[tokio::test]
async fn failing_origins_have_their_statuses() {
    let server = server_over(origin(photos).await, LOOPBACK).await;
    for (path, status) in [
        ("/nosuch.png", 404),
        ("/../x.png", 404),
        ("/failing.png", 502),
        ("/short.png?imageView2/2/w/20", 502),
        ("/hanging.png", 504),
        ("/loop.png", 502),
        ("/metadata.png", 403),
        ("/huge.png?imageView2/2/w/20", 400),
    ] {
        let answer =
            tokio::time::timeout(Duration::from_secs(5), server.send(Method::GET, path, &[REMOTE])).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", String::from_utf8_lossy(&answer.body));
        assert!(!answer.text().contains("secret"), "{path}");
        assert_eq!(server.get("/cat.png?imageView2/2/w/20").await.summary(), "png 20x15");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = listener.local_addr().unwrap();
    drop(listener);
    let server = server_over(dead, LOOPBACK).await;
    assert_eq!(server.send(Method::GET, "/x.png", &[REMOTE]).await.status, 502);
}

#[tokio::test]
async fn closed_addresses_stay_closed() {
    let origin = origin(photos).await;
    let server = server_over(origin, "").await;
    let answer = server.send(Method::GET, "/a%20b.png", &[REMOTE]).await;
    assert_eq!(answer.status, 403);
    assert!(answer.error().contains("[fetch] allow"), "{}", answer.error());
    let mark = server.get(&watermark(&format!("http://{origin}/pics/a%20b.png"))).await;
    assert_eq!(mark.status, 404);
    assert!(mark.error().contains("closed range"), "{}", mark.error());
}

fn watermark(image: &str) -> String {
    format!("/cat.png?watermark/1/image/{}", base64::engine::general_purpose::URL_SAFE.encode(image))
}

#[tokio::test]
async fn watermark_pictures_that_cannot_be_had() {
    let origin = origin(photos).await;
    let server = server_over(origin, LOOPBACK).await;
    let url = |name: &str| format!("http://{origin}/pics/{name}");
    assert_eq!(server.get(&watermark(&url("a%20b.png"))).await.summary(), "png 64x48");
    for (image, status) in [
        (url("nosuch.png"), 404),
        (url("failing.png"), 404),
        (url("hanging.png"), 404),
        (url("metadata.png"), 404),
        (url("huge.png"), 404),
        ("http://127.0.0.1:1/x.png".to_owned(), 404),
        ("nosuch-key.png".to_owned(), 404),
        ("kodo://nosuch/x.png".to_owned(), 404),
        ("file:///etc/passwd".to_owned(), 400),
    ] {
        let answer = server.get(&watermark(&image)).await;
        assert_eq!(answer.status.as_u16(), status, "{image}: {}", answer.text());
        assert!(answer.error().contains("watermark"), "{image}: {}", answer.error());
    }
    // With ignore-error the source is the answer.
    let ignored = server.get(&format!("{}/ignore-error/1", watermark(&url("nosuch.png")))).await;
    assert_eq!(ignored.body, std::fs::read(server.objects().join("cat.png")).unwrap());
}
