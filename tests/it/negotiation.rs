//! `format/auto`: what a client takes decides on the format.

use std::time::{Duration, Instant};

use http::Method;

use crate::cards;
use crate::server::{Answer, Server};

const CHROME: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
const OLDER: &str = "image/webp,image/*,*/*;q=0.8";
const OLD: &str = "image/png,image/*;q=0.8,*/*;q=0.5";

async fn server() -> Server {
    let config = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n\
                  [buckets.auto]\nurl = \"{folder}\"\ndomains = [\"auto.example.com\"]\nauto_format = true\n";
    let card = cards::quadrants(600, 400);
    let files: [(&str, &[u8]); 3] = [
        ("card.jpg", &cards::jpeg(&card, 90)),
        ("card.webp", &cards::webp(&card)),
        ("moves.gif", &cards::animation(40, 30, 3, mogr::plan::output::OutputFormat::Gif)),
    ];
    Server::configured(config, "", &files).await
}

async fn get(server: &Server, path: &str, accept: &str) -> Answer {
    server.send(Method::GET, path, &[("accept", accept)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_best_that_it_takes() {
    let server = server().await;
    for (path, accept, media_type) in [
        ("/card.jpg?imageView2/2/w/60/format/auto", CHROME, "image/avif"),
        ("/card.jpg?imageView2/2/w/60/format/auto", OLDER, "image/webp"),
        ("/card.jpg?imageView2/2/w/60/format/auto", OLD, "image/jpeg"),
        ("/card.webp?imageView2/2/w/60/format/auto", CHROME, "image/avif"),
        ("/card.webp?imageView2/2/w/60/format/auto", OLD, "image/jpeg"),
        ("/moves.gif?imageView2/2/w/20/format/auto", CHROME, "image/webp"),
        ("/moves.gif?imageView2/2/w/20/format/auto", OLD, "image/gif"),
        ("/card.jpg?imageView2/2/w/60/format/auto|imageMogr2/format/png", CHROME, "image/png"),
        ("/card.jpg?imageView2/2/w/60|imageMogr2/format/auto", CHROME, "image/avif"),
        ("/card.jpg?imageMogr2/thumbnail/60x/format/auto|roundPic/radius/9", CHROME, "image/avif"),
        ("/card.jpg?imageView2/2/w/60", CHROME, "image/jpeg"),
    ] {
        let answer = get(&server, path, accept).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, media_type), "{path} {accept}");
        let is_auto = path.contains("auto") && !path.contains("png");
        assert_eq!(answer.header("vary"), if is_auto { "Accept" } else { "" }, "{path}");
    }
}

/// Clients that take the same share a result, and each result has a tag of its own.
#[tokio::test(flavor = "multi_thread")]
async fn kept_results_agree_with_vary() {
    let server = server().await;
    let path = "/card.jpg?imageView2/2/w/60/format/auto";
    let first = get(&server, path, OLDER).await;
    let same = get(&server, path, "image/webp").await;
    assert_eq!(same.header("server-timing"), "cache;desc=hit");
    assert_eq!(first.header("etag"), same.header("etag"));
    let other = get(&server, path, OLD).await;
    assert_ne!(first.header("etag"), other.header("etag"));
    let headers = [("accept", OLDER), ("if-none-match", first.header("etag"))];
    let unchanged = server.send(Method::GET, path, &headers).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.header("vary")), (304, "Accept"));
    let headers = [("accept", OLD), ("if-none-match", first.header("etag"))];
    assert_eq!(server.send(Method::GET, path, &headers).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_may_leave_all_formats_to_clients() {
    let server = server().await;
    for (path, media_type) in [
        ("/card.jpg?imageView2/2/w/60", "image/avif"),
        ("/card.jpg?imageView2/2/w/60/format/copy", "image/jpeg"),
        ("/card.jpg?imageView2/2/w/60/format/png", "image/png"),
        ("/card.jpg?imageslim", "image/jpeg"),
        ("/card.jpg?imageInfo", "application/json"),
        ("/card.jpg", "image/jpeg"),
    ] {
        let headers = [("accept", CHROME), ("host", "auto.example.com")];
        let answer = server.send(Method::GET, path, &headers).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, media_type), "{path}");
    }
}

/// AVIF of this size takes a while: the first answers are WebP, and soon the AVIF is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_comes_later() {
    let server = server().await;
    let path = "/card.jpg?imageMogr2/thumbnail/!99p/format/auto";
    let first = get(&server, path, CHROME).await;
    assert_eq!((first.status.as_u16(), first.header("content-type")), (200, "image/webp"));
    assert_eq!(first.header("cache-control"), "public, max-age=30");
    let begun = Instant::now();
    let better = loop {
        let answer = get(&server, path, CHROME).await;
        if answer.header("content-type") == "image/avif" {
            break answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no AVIF comes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(better.header("cache-control"), "public, max-age=2592000");
    assert!(better.body.len() < first.body.len(), "{} and {} bytes", better.body.len(), first.body.len());
    let headers = [("accept", CHROME), ("if-none-match", first.header("etag"))];
    assert_eq!(server.send(Method::GET, path, &headers).await.status, 200, "the better one replaces it");
}
