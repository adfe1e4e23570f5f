//! What takes longer than clients are kept waiting: refused, or 202 and made meanwhile.

use std::time::{Duration, Instant};

use http::Method;

use crate::cards;
use crate::server::{Answer, Server};

const BUCKET: &str = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n";
/// Predicted to take some 25 ms.
const SLOW: &str = "/card.png?imageView2/2/w/900/format/webp";
const QUICK: &str = "/small.png?imageView2/2/w/20";

fn files() -> [(&'static str, Vec<u8>); 3] {
    let card = cards::png(cards::quadrants(1200, 900));
    let broken = card[..card.len() / 2].to_vec();
    [("card.png", card), ("small.png", cards::png(cards::quadrants(60, 40))), ("broken.png", broken)]
}

async fn server(settings: &str) -> Server {
    let files = files();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, body)| (*name, &body[..])).collect();
    Server::configured(&format!("{BUCKET}{settings}"), "", &files).await
}

/// Asks until the answer is another one than 202.
async fn finished(server: &Server, path: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = server.get(path).await;
        if answer.status != 202 {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{path} is not done");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_is_refused() {
    let server = server("[limits]\ninteractive_milliseconds = 10\n").await;
    let blurred = "/card.png?imageMogr2/blur/30x10|trim|imageView2/2/w/20";
    for path in [SLOW, SLOW, "/card.png?imageView2/2/w/900/format/webp/ignore-error/1", blurred] {
        let refused = server.get(path).await;
        assert_eq!(refused.status, 400, "{path}");
        let error = refused.error();
        assert!(error.contains("ms by prediction, over the limit of 10 ms"), "{error}");
    }
    assert_eq!(server.get(QUICK).await.status, 200);
    assert_eq!(server.get("/card.png?imageInfo").await.status, 200);
    assert_eq!(server.get("/card.png").await.status, 200, "objects as they are need no work");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_is_accepted_and_made() {
    // With a cache that keeps nothing of that size, too.
    for cache in ["", "[cache]\nmemory_bytes = \"1k\"\n"] {
        let settings = "[limits]\ninteractive_milliseconds = 10\n[delivery]\nover_budget = \"accept\"\n";
        let (server, free) = (server(&format!("{settings}{cache}")).await, server("").await);
        let accepted = server.get(SLOW).await;
        assert_eq!(accepted.status, 202);
        assert_eq!(accepted.header("location"), SLOW);
        assert_eq!(accepted.header("cache-control"), "no-store");
        assert_eq!((accepted.header("retry-after"), accepted.header("etag")), ("1", ""));
        assert_eq!(accepted.json()["accepted"], SLOW);
        assert!(accepted.json()["predicted_milliseconds"].as_u64() > Some(10));
        let made = finished(&server, SLOW).await;
        assert_eq!(made.image().size.width, 900);
        let alone = free.get(SLOW).await;
        assert!(made.body == alone.body, "the same bytes as without a limit");
        for header in ["cache-control", "content-type"] {
            assert_eq!(made.header(header), alone.header(header));
        }
        let unchanged = server.send(Method::GET, SLOW, &[("if-none-match", made.header("etag"))]).await;
        assert_eq!(unchanged.status, 304);
        let part = server.send(Method::GET, SLOW, &[("range", "bytes=0-9")]).await;
        assert_eq!((part.status.as_u16(), part.body.len()), (206, 10));
        assert_eq!(server.get(QUICK).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_and_failed_says_why() {
    let server = server("[limits]\ninteractive_milliseconds = 10\n[delivery]\nover_budget = \"accept\"\n").await;
    let path = "/broken.png?imageView2/2/w/900/format/webp";
    assert_eq!(server.get(path).await.status, 202);
    for _ in 0..2 {
        let failed = finished(&server, path).await;
        assert_eq!(failed.status, 400);
        assert!(failed.error().contains("png is broken"), "{}", failed.error());
    }
    // What cannot be predicted is not accepted.
    assert_eq!(server.get("/nosuch.png?imageView2/2/w/900").await.status, 404);
    assert_eq!(server.get("/card.png?imageView2/9").await.status, 400);
}

/// A result that another process stored is no work.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_is_answered() {
    let store = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(store.path()).unwrap();
    let limited = format!("[cache]\nstore = \"{url}\"\n[limits]\ninteractive_milliseconds = 10\n");
    let first = server(&limited).await;
    assert_eq!(first.get(SLOW).await.status, 400);
    let config = std::fs::read_to_string(first.folder.path().join("mogr.toml")).unwrap();
    let accepting = format!("{config}[delivery]\nover_budget = \"accept\"\n");
    std::fs::write(first.folder.path().join("mogr.toml"), accepting).unwrap();
    let second = first.restarted().await;
    assert_eq!(finished(&second, SLOW).await.status, 200);
    let begun = Instant::now();
    while walk(store.path()) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is stored");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::write(second.folder.path().join("mogr.toml"), config).unwrap();
    let third = second.restarted().await;
    let stored = third.get(SLOW).await;
    assert_eq!((stored.status.as_u16(), stored.header("server-timing")), (200, "cache;desc=store"));
}

/// Files below a folder.
fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}
