//! More is asked than can be done.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::cards;
use crate::server::Server;

const ONE_WORKER: &str =
    "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n[limits]\nworkers = 1\ntime = \"900s\"\n";

/// Takes a while, and another while for every number.
fn slow(number: usize) -> String {
    format!("/card.png?imageMogr2/thumbnail/500x/blur/30x{}", number + 5)
}

async fn server(config: &str) -> Server {
    Server::configured(config, "", &[("card.png", &cards::png(cards::quadrants(600, 400)))]).await
}

/// A client with an address of its own.
async fn status_from(server: &Server, address: [u8; 4], path_and_query: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().local_address(IpAddr::from(address)).build().unwrap();
    let url = format!("http://{}{path_and_query}", server.running.delivery);
    client.get(url).send().await.unwrap().status().as_u16()
}

async fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(300), "it does not come true");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_take_more_memory_than_there_is_is_refused() {
    let config = format!("{ONE_WORKER}memory_bytes = \"2MiB\"\n");
    let server = server(&config).await;
    let answer = server.get("/card.png?imageMogr2/thumbnail/!300p").await;
    assert_eq!(answer.status, 400);
    let error = answer.error();
    assert!(error.starts_with("the request would take ") && error.ends_with(" over the limit of 1572864"), "{error}");
    assert_eq!(server.get("/card.png?imageView2/2/w/30").await.status, 200);
}

/// What is cached, and health, need no turn.
#[tokio::test(flavor = "multi_thread")]
async fn hits_do_not_wait() {
    let server = server(ONE_WORKER).await;
    let small = "/card.png?imageView2/2/w/30";
    assert_eq!(server.get(small).await.status, 200);
    let waiting = || server.running.state.transformer.waiting();
    let misses = futures::future::join_all((0..6).map(|number| server_get(&server, number)));
    let hits = async {
        until(|| waiting() >= 3).await;
        let hit = server.get(small).await;
        assert_eq!((hit.status.as_u16(), hit.header("server-timing")), (200, "cache;desc=hit"));
        assert_eq!(server.api("/healthz").await.status, 200);
        assert!(waiting() > 0, "others still wait");
    };
    let (statuses, ()) = tokio::join!(misses, hits);
    assert_eq!(statuses, [200; 6]);
}

async fn server_get(server: &Server, number: usize) -> u16 {
    server.get(&slow(number)).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawler_does_not_keep_others_waiting() {
    let server = server(ONE_WORKER).await;
    let waiting = || server.running.state.transformer.waiting();
    let crawler = futures::future::join_all((0..10).map(|number| server_get(&server, number)));
    let other = async {
        until(|| waiting() >= 7).await;
        assert_eq!(status_from(&server, [127, 0, 0, 2], &slow(100)).await, 200);
        assert!(waiting() >= 2, "the crawler's requests still wait");
    };
    let (statuses, ()) = tokio::join!(crawler, other);
    assert_eq!(statuses, [200; 10]);
}

/// Clients behind a proxy are as many as they are, and the proxy is told of in the log alone.
#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_a_proxy_are_told_apart() {
    let server = server(&format!("{ONE_WORKER}[server]\ntrusted_proxies = [\"127.0.0.1\"]\n")).await;
    let waiting = || server.running.state.transformer.waiting();
    let from = async |address: &str, number| {
        let headers = [("x-forwarded-for", address)];
        server.send(reqwest::Method::GET, &slow(number), &headers).await.status.as_u16()
    };
    let crawler = futures::future::join_all((0..10).map(|number| from("203.0.113.7", number)));
    let other = async {
        until(|| waiting() >= 7).await;
        assert_eq!(from("203.0.113.7, 198.51.100.1", 100).await, 200);
        assert!(waiting() >= 2, "the crawler's requests still wait");
    };
    let (statuses, ()) = tokio::join!(crawler, other);
    assert_eq!(statuses, [200; 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_not_worked_for() {
    let server = server(ONE_WORKER).await;
    let waiting = || server.running.state.transformer.waiting();
    let busy = futures::future::join_all((0..3).map(|number| server_get(&server, number)));
    let left = async {
        until(|| waiting() == 1).await;
        let mut raw = tokio::net::TcpStream::connect(server.running.delivery).await.unwrap();
        let request = format!("GET {} HTTP/1.1\r\nhost: a\r\n\r\n", slow(50));
        tokio::io::AsyncWriteExt::write_all(&mut raw, request.as_bytes()).await.unwrap();
        until(|| waiting() == 2).await;
        drop(raw);
        until(|| waiting() <= 1).await;
    };
    let (statuses, ()) = tokio::join!(busy, left);
    assert_eq!(statuses, [200; 3]);
    assert!(server.get(&slow(50)).await.header("server-timing").starts_with("cache;desc=miss"), "nobody asked for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_of_one_picture_cost_one() {
    let server = server(ONE_WORKER).await;
    let url = slow(0);
    let answers = futures::future::join_all((0..200).map(|_| server.get(&url))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let misses = answers.iter().filter(|answer| answer.header("server-timing").starts_with("cache;desc=miss")).count();
    assert_eq!(misses, 1);
}
