//! Buckets whose URLs must be signed.

use mogr::auth::{Key, KeyRing, signed_url};
use mogr::http::target::unix_now;
use mogr::settings::Secret;
use reqwest::Method;

use crate::cards;
use crate::server::{Answer, Server};

const CONFIG: &str = r#"
[keys.OLD]
secret = "old"
[keys.NEW]
secret = "new"
[keys.ELSEWHERE]
secret = "elsewhere"
buckets = ["open"]
[buckets.photos]
url = "{folder}"
domains = ["photos.example.com"]
signed = true
[buckets.twin]
url = "{folder}"
domains = ["twin.example.com"]
signed = true
[buckets.open]
url = "{folder}"
"#;
const STYLES: &str = "separators = [\"-\"]\n[styles]\nthumb = \"imageView2/1/w/20/h/20\"\n";
const HOST: (&str, &str) = ("host", "photos.example.com");

async fn server() -> Server {
    let card = cards::png(cards::quadrants(64, 48));
    Server::configured(CONFIG, STYLES, &[("cat.png", &card), ("中 文.png", &card)]).await
}

fn signed(uri: &str, key: &str, seconds: i64) -> String {
    let key_of = |secret: &str| Key { secret: Secret::new(secret), buckets: vec!["*".to_owned()] };
    let secrets = [("OLD", "old"), ("NEW", "new"), ("ELSEWHERE", "elsewhere"), ("STRANGER", "stranger")];
    let keys = KeyRing::new(secrets.map(|(name, secret)| (name.to_owned(), key_of(secret))));
    signed_url::sign("photos", uri, key, &keys, unix_now().saturating_add_signed(seconds)).unwrap()
}

async fn get(server: &Server, uri: &str) -> Answer {
    server.send(Method::GET, uri, &[HOST]).await
}

#[tokio::test]
async fn what_is_signed_is_served() {
    let server = server().await;
    for (uri, expected) in [
        ("/cat.png?imageView2/2/w/32", "png 32x24"),
        ("/cat.png?imageView2/2/w/32|imageMogr2/crop/10x10", "png 10x10"),
        ("/cat.png?imageView2/2/w/32%7CimageMogr2/crop/10x10&v=1", "png 10x10"),
        ("/cat.png-thumb", "png 20x20"),
        ("/%E4%B8%AD%20%e6%96%87.png?imageView2/2/w/16", "png 16x12"),
        ("/cat.png", "png 64x48"),
        ("/cat.png?attname=kitten.png", "png 64x48"),
    ] {
        for key in ["OLD", "NEW"] {
            let url = signed(uri, key, 100);
            assert_eq!(get(&server, &url).await.summary(), expected, "{url}");
        }
        let refused = get(&server, uri).await;
        assert_eq!((refused.status.as_u16(), refused.error().contains("mogr sign")), (401, true), "{uri}");
    }
    let url = signed("/cat.png?attname=kitten.png", "OLD", 100);
    assert!(get(&server, &url).await.header("content-disposition").contains("kitten.png"));
    let head = server.send(Method::HEAD, &url, &[HOST]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(server.get("/open/cat.png?imageView2/2/w/32").await.summary(), "png 32x24");
    let url = format!("{}|explain", signed("/cat.png-thumb", "OLD", 100));
    let explained = server.api_send(Method::GET, &url, &[HOST], "").await;
    assert_eq!(explained.json()["bucket"], "photos");
}

#[tokio::test]
async fn whatever_was_not_signed_is_refused() {
    let server = server().await;
    let url = signed("/cat.png?imageView2/2/w/32", "OLD", 100);
    for (changed, error) in [
        (url.replace("w/32", "w/33"), "bad signature"),
        (url.replace("cat", "c%61t"), "bad signature"),
        (url.replace("/cat", "//cat"), "bad signature"),
        (format!("{url}&imageView2/2/w/9"), "bad signature"),
        (format!("{url}|imageInfo"), "bad signature"),
        (url.replace("OLD", "NEW"), "bad signature"),
        (signed("/cat.png", "STRANGER", 100), "bad signature"),
        (signed("/cat.png", "OLD", -100), "expired"),
    ] {
        let answer = get(&server, &changed).await;
        assert!(answer.status == 401 && answer.error().contains(error), "{changed}: {}", answer.text());
        assert!(!answer.text().contains("mogr-signature="), "{}", answer.text());
    }
    let answer = get(&server, &signed("/cat.png", "ELSEWHERE", 100)).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (403, "not allowed"));
    let twin = server.send(Method::GET, &url, &[("host", "twin.example.com")]).await;
    assert_eq!(twin.status, 401, "a signature is for one bucket");
    // What is signed is no way around: a picture out of the bucket is refused as it is for private ones.
    use base64::Engine;
    let mark = base64::engine::general_purpose::URL_SAFE.encode("kodo://photos/cat.png");
    assert_eq!(server.get(&format!("/open/cat.png?watermark/1/image/{mark}")).await.status, 401);
}

#[tokio::test]
async fn answers_are_kept_no_longer_than_the_url_is_good() {
    let server = server().await;
    for uri in ["/cat.png?imageView2/2/w/32", "/cat.png"] {
        let answer = get(&server, &signed(uri, "OLD", 1000)).await;
        let age: u64 = answer.header("cache-control").split("max-age=").nth(1).unwrap().parse().unwrap();
        assert!((500..=1000).contains(&age), "{age}");
        let longer = get(&server, &signed(uri, "OLD", 1 << 40)).await;
        assert_eq!(longer.header("cache-control"), "public, max-age=2592000");
        assert_eq!(longer.header("etag"), answer.header("etag"), "the signature is no part of the result");
    }
}
