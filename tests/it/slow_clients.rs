//! Clients that are slow, many, or still there when the server stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::cards;
use crate::server::Server;

const BUCKET: &str = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n[keys.AK]\nsecret = \"SK\"\n";
/// What nothing takes as long as, unless it hangs.
const LONG: Duration = Duration::from_secs(30);
const KEPT: &str = "GET /card.png HTTP/1.1\r\nhost: x\r\n\r\n";

async fn server(settings: &str) -> Server {
    let config = format!("{BUCKET}[server]\n{settings}");
    Server::configured(&config, "", &[("card.png", &cards::png(cards::quadrants(64, 48)))]).await
}

/// A connection on which this was sent.
async fn sent(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything that comes until the server closes, which it must.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end too.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut text)).await.expect("the server closes");
    String::from_utf8_lossy(&text).into_owned()
}

/// Asks until the answer has that status.
async fn until(address: SocketAddr, status: &str) {
    let asked = async {
        loop {
            let text = rest(sent(address, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await).await;
            if text.starts_with(&format!("HTTP/1.1 {status}")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, asked).await.unwrap_or_else(|_| panic!("no answer {status}"));
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let server = server("head_timeout = \"200ms\"\nidle_timeout = \"60s\"").await;
    for address in [server.running.delivery, server.running.api] {
        for head in ["G", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ", "PRI * HTTP/2.0\r\n"] {
            assert_eq!(rest(sent(address, head).await).await, "", "{head:?}");
        }
    }
    let server = self::server("head_timeout = \"60s\"\nidle_timeout = \"200ms\"").await;
    for address in [server.running.delivery, server.running.api] {
        assert_eq!(rest(sent(address, "").await).await, "");
        assert!(rest(sent(address, KEPT).await).await.starts_with("HTTP/1.1 "));
    }
}

#[tokio::test]
async fn a_connection_waits_longer_for_a_request_than_for_its_rest() {
    let server = server("head_timeout = \"100ms\"\nidle_timeout = \"60s\"").await;
    let mut stream = sent(server.running.delivery, KEPT).await;
    let mut answer = vec![0; 4096];
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    let silence = tokio::time::timeout(Duration::from_millis(500), async {
        // The picture's body may come in a piece of its own.
        while stream.read(&mut answer).await.unwrap() > 0 {}
    });
    assert!(silence.await.is_err(), "it is kept");
    stream.write_all(KEPT.as_bytes()).await.unwrap();
    assert!(stream.read(&mut answer).await.unwrap() > 0);
}

#[tokio::test]
async fn bodies_that_stop_are_given_up() {
    let server = server("body_timeout = \"100ms\"").await;
    for (line, kind) in [
        ("POST /", "multipart/form-data; boundary=b"),
        ("POST /pfop", "application/x-www-form-urlencoded"),
        ("POST /mkblk/1000", "application/octet-stream"),
        ("PUT /queues/q", "application/json"),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: 1000\r\n\r\n--b\r\n");
        let answer = rest(sent(server.running.api, &head).await).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{line}: {answer}");
    }
}

#[tokio::test]
async fn who_reads_nothing_loses_the_connection() {
    let server = server("write_timeout = \"100ms\"\nconnections = 1").await;
    // More than sockets hold.
    std::fs::write(server.objects().join("large"), vec![0; 64 << 20]).unwrap();
    let held = sent(server.running.delivery, "GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    held.readable().await.unwrap();
    until(server.running.delivery, "404").await;
    assert!(rest(held).await.len() < 64 << 20);
}

#[tokio::test]
async fn connections_have_a_limit() {
    for limit in ["connections = 2", "connections_per_address = 2"] {
        let server = server(limit).await;
        let address = server.running.delivery;
        let mut held = [sent(address, KEPT).await, sent(address, KEPT).await];
        for stream in &mut held {
            stream.readable().await.unwrap();
        }
        let refused = rest(sent(address, "").await).await;
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{limit}: {refused}");
        let [_kept, dropped] = held;
        drop(dropped);
        until(address, "404").await;
        assert_eq!(server.api("/healthz").await.status, 200, "the other listener has its own");
    }
}

#[tokio::test]
async fn heads_have_a_size() {
    let server = server("head_bytes = \"8KiB\"").await;
    let long = format!("GET /card.png?{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(20_000));
    for address in [server.running.delivery, server.running.api] {
        let answer = rest(sent(address, &long).await).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

/// An origin that answers every request with a picture once it may.
async fn patient_origin() -> (SocketAddr, Arc<Notify>, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, may) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (asks, waits) = (Arc::clone(&asked), Arc::clone(&may));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        asks.notify_one();
        waits.notified().await;
        let _ = stream.write_all(b"HTTP/1.1 404 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    });
    (address, asked, may)
}

#[tokio::test]
async fn a_stopping_server_says_so_and_ends_what_it_began() {
    let (origin, asked, may) = patient_origin().await;
    let config = format!(
        "[server]\ndrain_delay = \"1s\"\n[fetch]\nallow = [\"127.0.0.0/8\"]\ntimeout = \"60s\"\n\
         [buckets.remote]\nurl = \"http://{origin}/\"\ndomains = [\"*\"]\n"
    );
    let server = Server::configured(&config, "", &[]).await;
    let (delivery, api) = (server.running.delivery, server.running.api);
    assert_eq!(server.api("/readyz").await.json()["ready"], true);
    let open = sent(delivery, "GET /a.png HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut ready = sent(api, "").await;
    asked.notified().await;
    let stopping = tokio::spawn(server.running.stop());
    let mut answer = String::new();
    while !answer.contains("503 Service Unavailable") {
        let request = "GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n";
        ready.write_all(request.as_bytes()).await.unwrap();
        let mut piece = vec![0; 4096];
        let length = ready.read(&mut piece).await.unwrap();
        assert!(length > 0, "{answer}");
        answer = String::from_utf8_lossy(&piece[..length]).into_owned();
    }
    assert!(answer.contains("the server is stopping"), "{answer}");
    let refused = async {
        while TcpStream::connect(delivery).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, refused).await.expect("no more connections");
    assert!(!stopping.is_finished(), "a request is open");
    may.notify_one();
    let answer = rest(open).await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("connection: close"), "{answer}");
    tokio::time::timeout(LONG, stopping).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn draining_has_a_bound() {
    let (origin, asked, _never) = patient_origin().await;
    let config = format!(
        "[server]\ndrain_timeout = \"200ms\"\n[fetch]\nallow = [\"127.0.0.0/8\"]\ntimeout = \"60s\"\n\
         [buckets.remote]\nurl = \"http://{origin}/\"\ndomains = [\"*\"]\n"
    );
    let server = Server::configured(&config, "", &[]).await;
    let open = sent(server.running.delivery, "GET /a.png HTTP/1.1\r\nhost: x\r\n\r\n").await;
    asked.notified().await;
    tokio::time::timeout(LONG, server.running.stop()).await.expect("it ends");
    assert_eq!(rest(open).await, "");
}
