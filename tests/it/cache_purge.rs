//! `POST /purge`: what was kept is served by no node once the answer has come.

use std::time::SystemTime;

use mogr::auth::{Key, KeyRing};
use mogr::jobs::model::JobId;
use mogr::settings::Secret;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection, Executor};

use crate::cache_origin::Origin;
use crate::cards;
use crate::server::{Answer, Server};

const STYLES: &str = "separators = [\"-\"]\n[styles]\nthumb = \"imageView2/2/w/32\"\nplain = \"imageInfo\"\n";

/// A server over this origin that believes for an hour what it knows, with more settings.
async fn over(origin: &Origin, settings: &str) -> Server {
    let config = format!(
        "{settings}\n[keys.AK]\nsecret = \"SK\"\n[keys.OTHER]\nsecret = \"OT\"\nbuckets = [\"other\"]\n\
         [buckets.photos]\nurl = \"http://{}/\"\ndomains = [\"img.example.com\"]\nfresh = \"1h\"\n\
         [buckets.other]\nurl = \"memory:\"\n[fetch]\nallow = [\"127.0.0.0/8\"]\n",
        origin.address
    );
    Server::configured(&config, STYLES, &[]).await
}

async fn purge_as(server: &Server, access_key: &str, body: String) -> Answer {
    let key = |secret| Key { secret: Secret::new(secret), buckets: Vec::new() };
    let keys = KeyRing::new([("AK".to_owned(), key("SK")), ("OTHER".to_owned(), key("OT"))]);
    let authorization = format!("QBox {}", keys.sign(access_key, "/purge\n").unwrap());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    server.api_send(Method::POST, "/purge", &headers, body).await
}

async fn purge(server: &Server, entries: &Value) {
    let answer = purge_as(server, "AK", entries.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(answer.json()["purge"].as_i64().unwrap() > 0);
}

fn card(width: u32, height: u32) -> Vec<u8> {
    cards::png(cards::quadrants(width, height))
}

const HOST: (&str, &str) = ("host", "img.example.com");

async fn get(server: &Server, path: &str) -> Answer {
    server.send(Method::GET, path, &[HOST]).await
}

fn timing(answer: &Answer) -> &str {
    answer.header("server-timing").split(',').next().unwrap()
}

#[tokio::test]
async fn what_is_purged_is_asked_for_and_made_again() {
    let origin = Origin::start().await;
    let server = over(&origin, "").await;
    let thumb = "/a/cat.png-thumb";
    let info = "/a/cat.png?imageInfo";
    let url = |path: &str| format!("https://img.example.com{path}");
    let rows = [
        // What is purged; whether that has the source asked for again, the thumb made again, its information made again.
        (json!({ "keys": ["photos:a/cat.png"] }), [true, true, true]),
        (json!({ "keys": ["photos:a/cat"] }), [false, false, false]),
        (json!({ "prefixes": ["photos:a/"] }), [true, true, true]),
        (json!({ "prefixes": ["photos:"] }), [true, true, true]),
        (json!({ "prefixes": ["other:"] }), [false, false, false]),
        (json!({ "styles": ["photos:thumb"] }), [false, true, false]),
        (json!({ "styles": ["photos:plain"] }), [false, false, true]),
        (json!({ "tags": ["photos:cats"] }), [true, true, true]),
        (json!({ "tags": ["photos:dogs"] }), [false, false, false]),
        (json!({ "urls": [url(thumb)] }), [true, true, false]),
        (json!({ "urls": [url("/a/cat.png?imageView2/2/w/32&e=1&token=x:y")] }), [true, true, false]),
        (json!({ "urls": [url(info)], "styles": ["photos:thumb"] }), [true, true, true]),
        (json!({ "urls": [url("/a/cat.png")] }), [true, false, false]),
        (json!({ "urls": [url("/iiif/3/a%2Fcat.png/full/32,/0/default.jpg")] }), [true, true, true]),
        (json!({ "urls": [url("/iiif/3/b%2Fcat.png/info.json")] }), [false, false, false]),
        (json!({ "urls": [url("/b/cat.png"), url("/a/cat.png?imageView2/2/w/33")] }), [true, false, false]),
    ];
    for (entries, [asks, makes_thumb, makes_info]) in rows {
        origin.put_with("/a/cat.png", &card(64, 48), Some("1"), "cache-tag: pets, cats\r\n");
        for path in [thumb, info, thumb, info] {
            assert_eq!(get(&server, path).await.status, 200);
        }
        origin.asked();
        purge(&server, &entries).await;
        let timing_of = async |path| get(&server, path).await;
        let (thumb, info) = (timing_of(thumb).await, timing_of(info).await);
        let made = |is_made| if is_made { "cache;desc=miss" } else { "cache;desc=hit" };
        assert_eq!((timing(&thumb), timing(&info)), (made(makes_thumb), made(makes_info)), "{entries}");
        assert_eq!(!origin.asked().is_empty(), asks, "{entries}");
    }
}

#[tokio::test]
async fn purges_outlive_the_server() {
    let origin = Origin::start().await;
    origin.put("/cat.png", &card(64, 48), Some("1"));
    let store = tempfile::tempdir().unwrap();
    let settings = format!("[cache]\nstore = \"{}\"\n", url::Url::from_directory_path(store.path()).unwrap());
    let server = over(&origin, &settings).await;
    let path = "/cat.png?imageView2/2/w/32";
    let first = get(&server, path).await;
    purge(&server, &json!({ "keys": ["photos:cat.png"] })).await;
    let second = get(&server, path).await;
    assert_ne!(first.header("etag"), second.header("etag"));
    let server = server.restarted().await;
    assert_eq!(get(&server, path).await.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn purges_are_signed_and_say_what_they_mean() {
    let origin = Origin::start().await;
    let server = over(&origin, "").await;
    let unsigned = server.api_send(Method::POST, "/purge", &[], "{}").await;
    assert_eq!(unsigned.status, StatusCode::UNAUTHORIZED);
    let forbidden = purge_as(&server, "OTHER", json!({ "keys": ["other:a", "photos:a"] }).to_string()).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    assert_eq!(purge_as(&server, "OTHER", json!({ "keys": ["other:a"] }).to_string()).await.status, 200);
    let rows = [
        ("", "the body is not as expected"),
        ("[]", "the body has 0 entries"),
        ("7", "the body is not as expected"),
        ("{}", "the body has 0 entries"),
        (r#"{"key": ["photos:a"]}"#, "unknown field `key`, expected one of `urls`"),
        (r#"{"keys": ["photos"]}"#, "keys: \"photos\" has no colon; expected bucket:name"),
        (r#"{"keys": ["photos:"]}"#, "keys: \"photos:\" names nothing"),
        (r#"{"tags": ["nosuch:a"]}"#, "is in no bucket of this server: \"nosuch\""),
        (r#"{"styles": ["photos:nosuch"]}"#, "there is no style \"nosuch\" in bucket \"photos\""),
        (r#"{"urls": ["/cat.png"]}"#, "it names no host"),
        (r#"{"urls": ["no url"]}"#, "it is no URL"),
        (r#"{"urls": ["http://elsewhere/nosuch/cat.png"]}"#, "no such bucket"),
        (r#"{"urls": ["http://img.example.com/cat.png?imageView2/9"]}"#, "imageView2"),
    ];
    for (body, problem) in rows {
        let answer = purge_as(&server, "AK", body.to_owned()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text());
        assert!(answer.error().contains(problem), "{body}: {}", answer.error());
    }
}

/// What this server writes is seen without a purge.
#[tokio::test]
async fn what_is_written_here_is_seen_at_once() {
    let server = Server::configured(
        "[cache]\nfresh = \"1h\"\nmissing = \"1h\"\n[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n",
        "",
        &[],
    )
    .await;
    let bucket = server.running.state.transformer.buckets().named("default").unwrap().clone();
    let path = "/cat.png?imageView2/2/w/32";
    assert_eq!(server.get(path).await.status, 404);
    for (height, scaled) in [(48, "png 32x24"), (64, "png 32x32")] {
        bucket.put("cat.png", card(64, height).into(), "image/png").await.unwrap();
        assert_eq!(server.get(path).await.summary(), scaled);
        assert_eq!(server.get("/cat.png").await.body, card(64, height));
    }
    bucket.copy("cat.png", &bucket, "dog.png", true, SystemTime::now()).await.unwrap();
    assert_eq!(server.get("/dog.png?imageView2/2/w/16").await.summary(), "png 16x16");
    bucket.delete("cat.png").await.unwrap();
    assert_eq!(server.get(path).await.status, 404);
    assert_eq!(server.get("/cat.png").await.status, 404);
}

/// A database of this test alone on the server of `TEST_POSTGRES_URL`, where there is one.
async fn postgres() -> Option<(String, String)> {
    let server = std::env::var("TEST_POSTGRES_URL").ok().filter(|server| !server.is_empty())?;
    let name = format!("mogr_test_{}", JobId::new(SystemTime::now()));
    administer(&server, &format!("CREATE DATABASE {name}")).await;
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    Some((url.into(), format!("DROP DATABASE {name} WITH (FORCE)")))
}

async fn administer(server: &str, sql: &str) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(server).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_node_serves_what_was_purged() {
    let Some((database, drop_database)) = postgres().await else { return };
    let origin = Origin::start().await;
    let store = tempfile::tempdir().unwrap();
    let store = url::Url::from_directory_path(store.path()).unwrap();
    let settings = format!("database = \"{database}\"\n[cache]\nstore = \"{store}\"\n");
    let nodes = [over(&origin, &settings).await, over(&origin, &settings).await];
    let path = "/cat.png?imageView2/2/w/32";
    for round in 1..=20_u32 {
        let height = 32 + 2 * round;
        // The entity tag stays: what was kept is of the same name but for the purge.
        origin.put("/cat.png", &card(64, height), Some("same"));
        purge(&nodes[round as usize % 2], &json!({ "keys": ["photos:cat.png"] })).await;
        for node in &nodes {
            assert_eq!(get(node, path).await.summary(), format!("png 32x{}", height / 2), "round {round}");
            assert_eq!(get(node, "/cat.png").await.body, card(64, height), "round {round}");
        }
    }
    assert_eq!(timing(&get(&nodes[0], path).await), "cache;desc=hit");
    // A node that is gone is waited for until its lease is over, and a node that is cut off trusts nothing it keeps.
    let [first, second] = nodes;
    administer(&std::env::var("TEST_POSTGRES_URL").unwrap(), &drop_database).await;
    origin.put("/cat.png", &card(64, 16), Some("same"));
    for node in [&first, &second] {
        for _ in 0..4000 {
            if get(node, path).await.summary() == "png 32x8" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(get(node, path).await.summary(), "png 32x8");
        let refused = purge_as(node, "AK", json!({ "keys": ["photos:cat.png"] }).to_string());
        assert_eq!(refused.await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
