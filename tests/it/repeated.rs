//! What is asked for again and again: answered as the first time, and never longer than what it depends on stays as it is.

use http::HeaderMap;
use mogr::cache::generations::Scope;
use mogr::http::recent::MOST_BYTES;
use reqwest::Method;

use crate::cards;
use crate::server::{Answer, Server};

const CONFIG: &str = "[cache]\nfresh = \"1h\"\n[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\nprefer_style_as_key = true\n\
                      [buckets.auto]\nurl = \"{folder}\"\ndomains = [\"auto.example.com\"]\nauto_format = true\nclient_hints = true\n";
const STYLES: &str = "separators = [\"-\"]\n[styles]\nthumb = \"imageView2/1/w/50/h/50\"\n";
const URL: &str = "/cat.png?imageView2/2/w/100";

async fn server() -> Server {
    Server::configured(CONFIG, STYLES, &[("cat.png", &cards::png(cards::quadrants(640, 427)))]).await
}

/// Headers but for those that differ each time, and for where the answer came from.
fn lasting(answer: &Answer) -> HeaderMap {
    let mut headers = answer.headers.clone();
    for name in ["date", "server-timing", "x-request-id", "x-reqid"] {
        headers.remove(name);
    }
    headers
}

#[tokio::test]
async fn every_answer_is_as_the_first() {
    let server = server().await;
    let etag = server.get(URL).await.header("etag").to_owned();
    let auto = ("host", "auto.example.com");
    let (avif, webp) = (("accept", "image/avif,image/webp"), ("accept", "image/webp"));
    for (method, path, headers, status) in [
        (Method::GET, URL, vec![], 200),
        (Method::HEAD, URL, vec![], 200),
        (Method::GET, URL, vec![("range", "bytes=10-19")], 206),
        (Method::GET, URL, vec![("range", "bytes=9999999-")], 416),
        (Method::GET, URL, vec![("if-none-match", etag.as_str())], 304),
        (Method::HEAD, URL, vec![("if-none-match", etag.as_str())], 304),
        (Method::GET, URL, vec![("if-none-match", "\"other\"")], 200),
        (Method::GET, URL, vec![("if-match", "\"other\"")], 412),
        (Method::POST, URL, vec![], 405),
        (Method::GET, "/cat.png?imageView2/2/w/100&attname=a.png", vec![], 200),
        (Method::GET, "/cat.png-thumb", vec![], 200),
        (Method::GET, "/cat.png?imageInfo", vec![], 200),
        (Method::GET, "/cat.png", vec![], 200),
        (Method::GET, "/nosuch.png?imageView2/2/w/100", vec![], 404),
        (Method::GET, "/cat.png?imageView2/2/w/60", vec![auto], 200),
        (Method::GET, "/cat.png?imageView2/2/w/60", vec![auto, webp], 200),
        (Method::GET, "/cat.png?imageView2/2/w/60", vec![auto, avif], 200),
        (Method::GET, "/cat.png?imageView2/2/w/60", vec![auto, webp, ("sec-ch-dpr", "2")], 200),
    ] {
        let first = server.send(method.clone(), path, &headers).await;
        assert_eq!(first.status, status, "{method} {path} {headers:?}");
        for _ in 0..3 {
            let again = server.send(method.clone(), path, &headers).await;
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{method} {path} {headers:?}");
            assert_eq!(lasting(&again), lasting(&first), "{method} {path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn clients_do_not_get_what_others_wished_for() {
    let server = server().await;
    let path = "/cat.png?imageView2/2/w/60";
    for _ in 0..3 {
        for (accept, dpr, expected) in [
            ("image/webp", "1", "webp 60x40"),
            ("image/webp", "2", "webp 120x80"),
            ("*/*", "1", "png 60x40"),
            ("*/*", "2", "png 120x80"),
        ] {
            let headers = [("host", "auto.example.com"), ("accept", accept), ("sec-ch-dpr", dpr)];
            let answer = server.send(Method::GET, path, &headers).await;
            assert_eq!(answer.summary(), expected, "{headers:?}");
        }
        assert_eq!(server.send(Method::GET, path, &[("host", "other.example.com")]).await.summary(), "png 60x40");
    }
}

/// Asks three times: the second finds the result and is remembered, the third is answered by that.
async fn remembered(server: &Server, path: &str) -> Answer {
    server.get(path).await;
    server.get(path).await;
    let answer = server.get(path).await;
    assert_eq!(answer.header("server-timing"), "cache;desc=hit", "{path}");
    answer
}

#[tokio::test]
async fn what_changes_is_seen() {
    let server = server().await;
    assert_eq!(remembered(&server, URL).await.summary(), "png 100x67");
    let sources = server.running.state.transformer.sources();

    // A write by this process.
    let replace = |width, height| {
        std::fs::write(server.objects().join("cat.png"), cards::png(cards::quadrants(width, height))).unwrap();
    };
    replace(300, 300);
    sources.forget("default", "cat.png");
    assert_eq!(server.get(URL).await.summary(), "png 100x100");

    // A purge, by this node or another.
    assert_eq!(remembered(&server, URL).await.summary(), "png 100x100");
    replace(300, 600);
    sources.generations().apply(1, Scope::Key { bucket: "default".to_owned(), key: "cat.png".to_owned() });
    assert_eq!(server.get(URL).await.summary(), "png 100x200");

    // Purges that might not have been heard of.
    assert_eq!(remembered(&server, URL).await.summary(), "png 100x200");
    replace(300, 900);
    sources.generations().distrust();
    assert_eq!(server.get(URL).await.summary(), "png 100x300");
}

#[tokio::test]
async fn what_is_asked_for_once_takes_no_place() {
    let server = server().await;
    for width in 20..30 {
        assert_eq!(server.get(&format!("/cat.png?imageView2/2/w/{width}")).await.status, 200);
    }
    assert_eq!(server.running.state.recent.bytes(), 0);
    server.get("/cat.png?imageView2/2/w/25").await;
    assert!(server.running.state.recent.bytes() > 0);
}

/// Long URLs take the room of many short ones, so that nobody fills the memory with them.
#[tokio::test]
async fn what_is_remembered_is_bounded_in_bytes() {
    let server = server().await;
    let recent = &server.running.state.recent;
    let long = "a".repeat(30_000);
    for number in 0..20 {
        assert_eq!(server.get(&format!("{URL}&attname={number}{long}")).await.status, 200);
    }
    let held = recent.bytes();
    assert!(held > 20 * 30_000 * 4, "{held}");
    for number in 20..120 {
        assert_eq!(server.get(&format!("{URL}&attname={number}{long}")).await.status, 200);
    }
    let held = recent.bytes();
    assert!(held <= MOST_BYTES, "{held}");
}

#[tokio::test]
async fn new_styles_are_in_force_at_once() {
    let server = server().await;
    let styles = |text: &str| {
        std::fs::write(server.styles(), text).unwrap();
        assert!(server.running.state.styles.poll());
    };
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 50x50");
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 50x50");
    styles("separators = [\"-\"]\n[styles]\nthumb = \"imageView2/1/w/70/h/60\"\n");
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 70x60");
    // An object with a styled path's name goes before the style.
    std::fs::write(server.objects().join("cat.png-thumb"), cards::png(cards::quadrants(30, 20))).unwrap();
    server.running.state.transformer.sources().forget("default", "cat.png-thumb");
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 30x20");

    assert_eq!(remembered(&server, URL).await.status, 200);
    styles("separators = [\"-\"]\n[buckets.default]\nprotected = true\n");
    assert_eq!(server.get(URL).await.status, 401);
}
