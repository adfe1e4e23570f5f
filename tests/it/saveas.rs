//! `saveas` on delivery: only signed, and then the result is an object (spec 4.12).

use mogr::auth;

use crate::cards;
use crate::server::Server;

const CONFIG: &str = r#"
[keys.MY_ACCESS_KEY]
secret = "MY_SECRET_KEY"
buckets = ["default", "results"]
[buckets.default]
url = "{folder}"
domains = ["*"]
[buckets.results]
url = "{folder}results"
[buckets.other]
url = "memory:"
"#;

async fn server() -> Server {
    let folder = [("cat.png", cards::png(cards::quadrants(640, 427))), ("results/.keep", Vec::new())];
    let files: Vec<(&str, &[u8])> = folder.iter().map(|(name, body)| (*name, body.as_slice())).collect();
    Server::configured(CONFIG, "", &files).await
}

fn entry(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE.encode(text)
}

fn signed(server: &Server, path: &str) -> String {
    let host = server.running.delivery.to_string();
    let url = auth::saveas::sign(&format!("http://{host}{path}"), "MY_ACCESS_KEY", &server.running.state.keys).unwrap();
    url.strip_prefix("http://").unwrap().strip_prefix(&host).unwrap().to_owned()
}

#[tokio::test]
async fn a_signed_saveas_stores_the_result() {
    let server = server().await;
    for bar in ["|", "%7C"] {
        let entry = entry("results:thumbs/cat 猫.png");
        let path = signed(&server, &format!("/cat.png?imageView2/2/w/100{bar}saveas/{entry}"));
        let answer = server.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let stored = std::fs::read(server.objects().join("results/thumbs/cat 猫.png")).unwrap();
        assert_eq!(answer.json()["hash"], mogr::store::qetag::qetag(&stored));
        assert_eq!(answer.json()["key"], "thumbs/cat 猫.png");
        assert_eq!(stored, server.get("/cat.png?imageView2/2/w/100").await.body);
        std::fs::remove_file(server.objects().join("results/thumbs/cat 猫.png")).unwrap();
    }
}

/// Only where the signature covers it: whoever has the URL could have the object deleted.
#[tokio::test]
async fn results_expire_where_that_is_signed() {
    let server = server().await;
    let stored = format!("/cat.png?imageView2/2/w/100|saveas/{}", entry("results:x.png"));
    let bucket = server.running.state.transformer.buckets().named("results").unwrap();
    let expires = async || bucket.stat("x.png").await.unwrap().facts.expires;
    assert_eq!(server.get(&signed(&server, &stored)).await.status, 200);
    assert_eq!(expires().await, None);
    let behind = server.get(&(signed(&server, &stored) + "/deleteAfterDays/1")).await;
    assert_eq!(behind.status, 400);
    assert!(behind.error().contains("stands behind the signature"), "{}", behind.error());
    assert_eq!(expires().await, None);
    assert_eq!(server.get(&signed(&server, &format!("{stored}/deleteAfterDays/1"))).await.status, 200);
    assert!(expires().await.unwrap() > crate::upload::now() + 86_400);
}

#[tokio::test]
async fn without_a_good_signature_nothing_is_stored() {
    let server = server().await;
    let stored = entry("results:x.png");
    let unsigned = format!("/cat.png?imageView2/2/w/100|saveas/{stored}");
    let good = signed(&server, &unsigned);
    let elsewhere = signed(&server, &format!("/cat.png?imageView2/2/w/100|saveas/{}", entry("other:x.png")));
    for (path, status) in [
        (unsigned.clone(), 401),
        (format!("{unsigned}/sign/MY_ACCESS_KEY:AAAAAAAAAAAAAAAAAAAAAAAAAAA="), 400),
        (good.replace("w/100", "w/101"), 400),
        (good.replace("MY_ACCESS_KEY", "NOBODY"), 400),
        (elsewhere, 403),
        (signed(&server, "/cat.png?saveas/bm8="), 400),
        (signed(&server, "/cat.png?saveas/$$"), 400),
        (signed(&server, &format!("/cat.png?saveas/{stored}|imageView2/2/w/5")), 400),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
        assert!(!server.objects().join("results/x.png").exists(), "{path}");
    }
}
