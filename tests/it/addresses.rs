//! Closed addresses stay closed, however they are written and on whichever way they are reached: nothing connects to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use http::HeaderMap;
use mogr::error::ErrorKind;
use mogr::store::guard::AddressGuard;
use mogr::store::origin::Origin;
use mogr::store::{Bucket, Remote, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::cards;
use crate::server::Server;

/// Hosts that are this machine, or come to addresses that may be. `PORT` is where somebody listens.
const HOSTILE: &[&str] = &[
    // IPv4 in all the notations of `inet_aton`.
    "127.0.0.1:PORT",
    "127.0.0.1.:PORT",
    "127.1:PORT",
    "127.0.1:PORT",
    "2130706433:PORT",
    "0x7f000001:PORT",
    "0X7F.0.0.0x1:PORT",
    "0177.0.0.01:PORT",
    "017700000001:PORT",
    "0x7f.1:PORT",
    "0:PORT",
    "0.0.0.0:PORT",
    "000000000.0:PORT",
    "127.000.000.001:PORT",
    "%31%32%37.0.0.1:PORT",
    // Digits and stops of other scripts.
    "①②⑦.⓪.⓪.①:PORT",
    "127。0。0。1:PORT",
    "１２７．０．０．１:PORT",
    // IPv6, and IPv4 inside it: mapped, compatible, translated, NAT64 (both prefixes), 6to4, Teredo, ISATAP.
    "[::1]:PORT",
    "[::]:PORT",
    "[0:0:0:0:0:0:0:1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::ffff:7f00:1]:PORT",
    "[0:0:0:0:0:ffff:7f00:0001]:PORT",
    "[::127.0.0.1]:PORT",
    "[::ffff:0:127.0.0.1]:PORT",
    "[64:ff9b::127.0.0.1]:PORT",
    "[64:ff9b:1::7f00:1]:PORT",
    "[2002:7f00:1::]:PORT",
    "[2002:7f00:1::1]:PORT",
    "[2001:0:7f00:1::]:PORT",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]:PORT",
    "[fe80::5efe:127.0.0.1]:PORT",
    "[2600::5efe:127.0.0.1]:PORT",
    "[2600::200:5efe:7f00:1]:PORT",
    "[fe80::1]:PORT",
    "[fc00::1]:PORT",
    "[fec0::1]:PORT",
    "[ff02::1]:PORT",
    "[2001:db8::1]:PORT",
    // Zones are no part of a URL.
    "[::1%25lo]:PORT",
    "[::1%lo]:PORT",
    "[fe80::1%25eth0]:PORT",
    // Names.
    "localhost:PORT",
    "LOCALHOST:PORT",
    "localhost.:PORT",
    // Who a URL seems to be for, and is not.
    "example.com@127.0.0.1:PORT",
    "user:example.com@127.0.0.1:PORT",
    "127.0.0.1:PORT\\@example.com",
    "127.0.0.1:PORT#@example.com",
    "127.0.0.1:PORT?@example.com",
    "\t127.0.0.1:PORT",
    // Elsewhere that is nobody's business.
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.0.8",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
];

const SCHEMES: &[&str] =
    &["file:///etc/passwd", "ftp://example.com/x", "gopher://example.com/", "data:,x", "ws://example.com/"];

/// Where nobody may come; how often somebody did.
async fn canary() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, visits)
}

fn hostile(port: u16) -> impl Iterator<Item = String> {
    let urls = HOSTILE.iter().map(move |host| format!("http://{}/x.png", host.replace("PORT", &port.to_string())));
    urls.chain(SCHEMES.iter().map(|url| (*url).to_owned()))
}

#[tokio::test]
async fn nothing_connects_to_closed_addresses() {
    mogr::app::install_tls();
    let (canary, visits) = canary().await;
    let remote = Remote::new(AddressGuard::default(), Timeouts::default());
    for url in hostile(canary.port()) {
        let error = remote.fetch(&url, 1000).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound), "{url}: {error}");
        // Callbacks and notifications go this way, origins of buckets the other.
        let Ok(parsed) = url::Url::parse(&url) else { continue };
        // Not every machine knows this name.
        let may_be_unknown = |kind| kind == ErrorKind::Upstream && url.contains("localhost.");
        let error = remote.post(&parsed, HeaderMap::new(), Bytes::new(), 1000).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Forbidden || may_be_unknown(error.kind()), "{url}: {error}");
        if parsed.cannot_be_a_base() {
            continue;
        }
        let origin = Origin::new(remote.clone(), parsed);
        let error = Bucket::over_origin("b", origin, Timeouts::default()).head("key").await.unwrap_err();
        assert!(error.kind() == ErrorKind::Forbidden || may_be_unknown(error.kind()), "{url}: {error}");
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

/// An origin that redirects to what its path spells in Base64.
async fn redirector() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 8192];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let path = head.split([' ', '/']).nth(2).unwrap_or_default();
                let target = URL_SAFE.decode(path).unwrap_or_default();
                let answer = [
                    b"HTTP/1.1 302 x\r\ncontent-length: 0\r\nconnection: close\r\nlocation: ".as_slice(),
                    &target,
                    b"\r\n\r\n",
                ];
                let _ = stream.write_all(&answer.concat()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn redirects_lead_to_no_closed_address() {
    let (canary, visits) = canary().await;
    let redirector = redirector().await;
    let config = format!(
        "[buckets.default]\nurl = \"{{folder}}\"\n[buckets.remote]\nurl = \"http://{redirector}/\"\n\
         domains = [\"remote.example\"]\n[fetch]\nallow = [\"127.0.0.2/32\"]\ntimeout = \"5s\"\n"
    );
    let server = Server::configured(&config, "", &[("cat.png", &cards::png(cards::quadrants(64, 48)))]).await;
    for url in hostile(canary.port()) {
        let path = format!("/{}", URL_SAFE.encode(&url));
        let answer = server.send(reqwest::Method::GET, &path, &[("host", "remote.example")]).await;
        assert!(matches!(answer.status.as_u16(), 403 | 404 | 502), "{url}: {} {}", answer.status, answer.text());
        let mark = URL_SAFE.encode(format!("http://{redirector}{path}"));
        let answer = server.get(&format!("/default/cat.png?watermark/1/image/{mark}")).await;
        assert_eq!(answer.status, 404, "{url}: {}", answer.text());
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn watermarks_are_fetched_from_no_closed_address() {
    let (canary, visits) = canary().await;
    let server = Server::over(&[("cat.png", &cards::png(cards::quadrants(64, 48)))]).await;
    for url in hostile(canary.port()) {
        let answer = server.get(&format!("/cat.png?watermark/1/image/{}", URL_SAFE.encode(&url))).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{url}: {}", answer.text());
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

/// A few forms of the listener's address, for ways that take longer.
fn few(port: u16) -> Vec<String> {
    let hosts = ["127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "①②⑦.⓪.⓪.①", "a@127.1"];
    hosts.iter().map(|host| format!("http://{host}:{port}/told")).collect()
}

const WITH_KEY: &str = "[keys.MY_ACCESS_KEY]\nsecret = \"MY_SECRET_KEY\"\n[buckets.photos]\nurl = \"{folder}\"\n";

#[tokio::test]
async fn callbacks_are_sent_to_no_closed_address() {
    let (canary, visits) = canary().await;
    let server = Server::configured(WITH_KEY, "", &[]).await;
    for url in few(canary.port()) {
        let policy = serde_json::json!({ "callbackUrl": url, "callbackBody": "key=$(key)" });
        let token = crate::upload::token(&server, "photos", policy);
        let part =
            |head: &str, content: &str| format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{content}\r\n");
        let file = part("name=\"file\"; filename=\"a.txt\"", "content");
        let body = format!("{}{file}--b--\r\n", part("name=\"token\"", &token));
        let kind = ("content-type", "multipart/form-data; boundary=b");
        let answer = server.api_send(reqwest::Method::POST, "/", &[kind], body).await;
        assert_eq!(answer.status.as_u16(), 579, "{url}: {}", answer.text());
        assert!(answer.error().contains("closed range"), "{url}: {}", answer.text());
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn notifications_are_sent_to_no_closed_address() {
    let (canary, visits) = canary().await;
    let server = Server::configured(WITH_KEY, "", &[("a.png", &cards::png(cards::quadrants(8, 8)))]).await;
    let keys = &server.running.state.keys;
    let urls = few(canary.port());
    for url in &urls {
        let fields =
            [("bucket", "photos"), ("key", "a.png"), ("fops", "imageInfo"), ("notifyURL", url), ("force", "1")];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let signature = format!("QBox {}", keys.sign("MY_ACCESS_KEY", &format!("/pfop\n{body}")).unwrap());
        let headers = [("authorization", signature.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let answer = server.api_send(reqwest::Method::POST, "/pfop", &headers, body).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    }
    let signature = format!("QBox {}", keys.sign("MY_ACCESS_KEY", "/notifications\n").unwrap());
    let refused = async {
        loop {
            let headers = [("authorization", signature.as_str())];
            let told = server.api_send(reqwest::Method::GET, "/notifications", &headers, "").await.json();
            let told = told["notifications"].as_array().unwrap().clone();
            let problems: Vec<_> =
                told.iter().filter_map(|it| it["last_problem"].as_str().map(str::to_owned)).collect();
            if problems.len() == urls.len() {
                return problems;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let problems = tokio::time::timeout(std::time::Duration::from_secs(60), refused).await.expect("all are tried");
    assert!(problems.iter().all(|problem| problem.contains("closed range")), "{problems:?}");
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}
