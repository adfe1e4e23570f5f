//! The log: a line a request with its id, and never a secret.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use mogr::auth::{Key, KeyRing, download, signed_url};
use mogr::settings::Secret;

use crate::cards;
use crate::process::Process;

const SECRET: &str = "hunter2-secret";

fn folder(log: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    std::fs::create_dir(&objects).unwrap();
    std::fs::write(objects.join("card.png"), cards::png(cards::quadrants(64, 48))).unwrap();
    std::fs::write(objects.join("broken.png"), b"\x89PNG\r\n\x1a\n broken").unwrap();
    let url = url::Url::from_directory_path(&objects).unwrap();
    let config = format!(
        "database = \"sqlite::memory:\"\n[log]\nformat = {log:?}\n[keys.AK]\nsecret = {SECRET:?}\n\
         [buckets.private]\nurl = \"{url}\"\nprivate = true\n[buckets.signed]\nurl = \"{url}\"\nsigned = true\n\
         [buckets.open]\nurl = \"{url}\"\n[fetch]\nallow = [\"127.0.0.0/8\"]\n"
    );
    std::fs::write(folder.path().join("mogr.toml"), config).unwrap();
    folder
}

fn keys() -> KeyRing {
    KeyRing::new([("AK".to_owned(), Key { secret: Secret::new(SECRET), buckets: vec!["*".to_owned()] })])
}

/// Requests of all kinds that carry what must not be written down; answers the parts that must not.
async fn talk(folder: &Path, server: &Process) -> Vec<String> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = format!("http://{}", server.delivery);
    let private =
        download::sign(&format!("{base}/private/card.png?imageView2/2/w/9"), "AK", &keys(), u64::MAX).unwrap();
    let token = private.split("token=AK:").nth(1).unwrap().to_owned();
    let signed = signed_url::sign("signed", "/signed/card.png?imageView2/2/w/9", "AK", &keys(), u64::MAX).unwrap();
    let signature = signed.split("mogr-signature=").nth(1).unwrap().to_owned();
    let mark = URL_SAFE.encode("http://user:userpassword@127.0.0.1:1/x.png?watermarktoken=1");
    for url in [
        private.clone(),
        private.replace("w/9", "w/8"),
        format!("{base}{signed}"),
        format!("{base}{}", signed.replace("w/9", "w/8")),
        format!("{base}/open/card.png?watermark/1/image/{mark}"),
        format!("{base}/open/card.png?watermark/1/image/{mark}/ignore-error/1"),
        format!("{base}/open/card.png?v=querytoken"),
        format!("{base}/open/nosuch.png?v=querytoken"),
        format!("{base}/open/broken.png?imageView2/2/w/9"),
    ] {
        let answer = client.get(&url).header("x-request-id", "my-request").header("cookie", "cookietoken").send().await;
        assert!(answer.unwrap().status().as_u16() < 500, "{url}");
    }
    for (path, header) in [("/pfop", "QBox AK:authorizationtoken"), ("/stat/x", "Qiniu AK:authorizationtoken")] {
        let call = client.post(format!("http://{}{path}", server.api)).header("authorization", header);
        call.header("x-request-id", "my-request").body("body=bodytoken").send().await.unwrap();
    }
    assert!(folder.join("log").exists());
    let hidden =
        [SECRET, "querytoken", "watermarktoken", "userpassword", "cookietoken", "authorizationtoken", "bodytoken"];
    hidden.iter().map(ToString::to_string).chain([token, signature]).collect()
}

#[track_caller]
fn assert_hidden(log: &str, hidden: &[String]) {
    for secret in hidden {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn json_names_the_request_and_hides_secrets() {
    let folder = folder("json");
    let mut server = Process::start(folder.path(), &[("MOGR_LOG", "mogr=debug")]);
    let hidden = talk(folder.path(), &server).await;
    server.wait_for(|log| log.matches("\"message\":\"request\"").count() >= 11);
    let log = server.stop();
    assert_hidden(&log, &hidden);
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(requests.len(), 11, "{log}");
    for line in &requests {
        assert_eq!(line["span"]["request_id"], "my-request", "{line}");
        assert!(line["status"].is_u64() && line["ms"].is_f64() && line["path"].is_string(), "{line}");
    }
    let ignored = lines.iter().find(|line| line["message"] == "answering with the source").unwrap();
    assert_eq!(ignored["span"]["request_id"], "my-request", "what is said on the way names the request");
}

#[tokio::test]
async fn text_is_for_people() {
    let folder = folder("text");
    let mut server = Process::start(folder.path(), &[]);
    let hidden = talk(folder.path(), &server).await;
    server.wait_for(|log| log.matches("path=").count() >= 11);
    let log = server.stop();
    assert_hidden(&log, &hidden);
    let line = log.lines().find(|line| line.contains("path=\"/signed/card.png\"")).unwrap();
    assert!(line.contains("request{request_id=\"my-request\"}") && line.contains("status=200"), "{line}");
    assert!(!log.contains('\u{1b}'), "no colours in a file");
}
