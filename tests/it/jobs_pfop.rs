//! Pfop over the real server: submit, run, store, tell the owner; and everything that is refused.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use http::{HeaderMap, StatusCode};
use mogr::auth::{Key, KeyRing, notification};
use mogr::settings::Secret;
use mogr::store::qetag::qetag;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cards;
use crate::media;
use crate::server::{Answer, Server};

const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
[keys.PHOTOGRAPHER]
secret = "PH"
buckets = ["photos"]
[buckets.photos]
url = "{folder}"
[buckets.out]
url = "memory:"
[fetch]
allow = ["127.0.0.0/8"]
"#;

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

async fn server() -> Server {
    let card = cards::jpeg(&cards::quadrants(120, 80), 90);
    Server::configured(CONFIG, "", &[("card.jpg", &card), ("note.txt", b"not a picture")]).await
}

fn keys() -> KeyRing {
    let key = |secret, bucket: &str| Key { secret: Secret::new(secret), buckets: vec![bucket.to_owned()] };
    KeyRing::new([("AK".to_owned(), key("SK", "*")), ("PHOTOGRAPHER".to_owned(), key("PH", "photos"))])
}

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

async fn pfop_as(server: &Server, access_key: &str, fields: &[(&str, &str)]) -> Answer {
    let body = form(fields);
    let signature = keys().sign(access_key, &format!("/pfop\n{body}")).unwrap();
    post_form(server, &format!("QBox {signature}"), body).await
}

async fn post_form(server: &Server, authorization: &str, body: String) -> Answer {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(Some(("authorization", authorization)).filter(|(_, value)| !value.is_empty()));
    server.api_send(Method::POST, "/pfop", &headers, body).await
}

async fn pfop(server: &Server, fields: &[(&str, &str)]) -> Answer {
    pfop_as(server, "AK", fields).await
}

/// The job's document once it has ended.
async fn ended(server: &Server, submitted: &Answer) -> Value {
    assert_eq!(submitted.status, StatusCode::OK, "{}", submitted.text());
    let path = format!("/status/get/prefop?id={}", submitted.json()["persistentId"].as_str().unwrap());
    let poll = async {
        loop {
            let document = server.api(&path).await.json();
            if !matches!(document["code"].as_i64(), Some(1 | 2)) {
                return document;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.expect("the job ends")
}

async fn signed(server: &Server, method: Method, path: &str, access_key: &str) -> Answer {
    signed_with(server, method, path, access_key, "").await
}

async fn signed_with(server: &Server, method: Method, path: &str, access_key: &str, json: &'static str) -> Answer {
    let signature = keys().sign(access_key, &format!("{path}\n")).unwrap();
    let authorization = format!("QBox {signature}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    server.api_send(method, path, &headers, json).await
}

fn saveas(entry: &str) -> String {
    format!("saveas/{}", URL_SAFE.encode(entry))
}

#[tokio::test]
async fn results_are_stored_as_asked() {
    let server = server().await;
    let saved = format!("imageView2/2/w/60|{}", saveas("out:a/b.jpg"));
    let fops = format!("imageView2/2/w/50;{saved};imageInfo;{}", saveas("photos:copy.jpg"));
    let document =
        ended(&server, &pfop(&server, &[("bucket", "photos"), ("key", "card.jpg"), ("fops", &fops)]).await).await;
    assert_eq!((&document["code"], &document["pipeline"]), (&json!(0), &json!("0.default")), "{document}");
    let items = document["items"].as_array().unwrap();
    let source = std::fs::read(server.objects().join("card.jpg")).unwrap();
    assert!(items[0]["key"].as_str().unwrap().ends_with(&format!("=/{}", qetag(&source))), "{document}");
    assert_eq!((&items[1]["key"], &items[1]["cmd"]), (&json!("a/b.jpg"), &json!(saved)));
    assert_eq!(items[2]["result"]["format"], "jpeg");
    assert_eq!((&items[3]["hash"], &items[3]["returnOld"]), (&json!(qetag(&source)), &json!(0)));
    // What was stored is what the same operators answer on delivery.
    let key = items[0]["key"].as_str().unwrap();
    let stored = std::fs::read(server.objects().join(key)).unwrap();
    assert_eq!(stored, server.get("/photos/card.jpg?imageView2/2/w/50").await.body);
    assert_eq!(items[0]["hash"], qetag(&stored));
    assert_eq!(server.get("/out/a/b.jpg").await.image().size.width, 60);
}

#[tokio::test]
async fn what_exists_is_made_again_only_by_force() {
    let server = server().await;
    let fields = [("bucket", "photos"), ("key", "card.jpg"), ("fops", "imageView2/2/w/40")];
    let old = |document: &Value| document["items"][0]["returnOld"].clone();
    assert_eq!(old(&ended(&server, &pfop(&server, &fields).await).await), 0);
    assert_eq!(old(&ended(&server, &pfop(&server, &fields).await).await), 1);
    let forced = [fields.as_slice(), &[("force", "1")]].concat();
    assert_eq!(old(&ended(&server, &pfop(&server, &forced).await).await), 0);
}

/// The key is known only once the result is, so that nothing could be looked up before.
#[tokio::test]
async fn what_a_template_names_is_not_replaced_either() {
    let server = server().await;
    let fops = |width: u32| {
        let template = URL_SAFE.encode("fixed.jpg");
        format!("imageView2/2/w/{width}|{}/saveKey/{template}", saveas("out"))
    };
    let made = async |width, force| {
        let fields = [("bucket", "photos"), ("key", "card.jpg"), ("fops", &*fops(width)), ("force", force)];
        let document = ended(&server, &pfop(&server, &fields).await).await;
        let old = document["items"][0]["returnOld"].clone();
        (old, server.get("/out/fixed.jpg").await.image().size.width)
    };
    assert_eq!(made(60, "0").await, (json!(0), 60));
    assert_eq!(made(60, "0").await, (json!(0), 60));
    assert_eq!(made(50, "0").await, (json!(1), 60));
    assert_eq!(made(50, "1").await, (json!(0), 50));
}

#[tokio::test]
async fn a_failing_command_harms_no_other() {
    let server = server().await;
    let fields = [("bucket", "photos"), ("key", "note.txt"), ("fops", "imageView2/2/w/40;saveas/cGhvdG9zOmNvcHkudHh0")];
    let document = ended(&server, &pfop(&server, &fields).await).await;
    assert_eq!(document["code"], 3, "{document}");
    let error = document["items"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("execute fop cmd failed: "), "{error}");
    assert_eq!((&document["items"][1]["code"], &document["items"][1]["key"]), (&json!(0), &json!("copy.txt")));
}

#[tokio::test]
async fn bad_requests_are_refused_and_nothing_is_stored() {
    let server = server().await;
    let good = [("bucket", "photos"), ("key", "card.jpg"), ("fops", "imageInfo")];
    let with = |name: &str, value: &'static str| -> Vec<(&str, &str)> {
        good.iter().map(|(field, old)| (*field, if *field == name { value } else { *old })).collect()
    };
    let and = |name: &'static str, value: &'static str| [good.as_slice(), &[(name, value)]].concat();
    for (fields, status, error) in [
        (with("bucket", "nowhere"), 631, "no such bucket"),
        (with("key", "missing.jpg"), 612, "no such file or directory"),
        (with("key", ""), 400, "key is missing; expected the source's key"),
        (with("fops", ""), 400, "fops is missing; expected commands joined by ;"),
        (with("fops", "nosuchfop"), 400, "fops: command 1: unsupported fop: nosuchfop"),
        (and("force", "yes"), 400, "force is \"yes\"; expected 0 or 1"),
        (and("pipeline", "a b"), 400, "pipeline is \"a b\"; expected 1 to 64 letters, digits, - _ or ."),
        (and("notifyURL", "ftp://x"), 400, "notifyURL is \"ftp://x\"; expected an http or https URL"),
        (and("workflowTemplateID", "w"), 400, "workflowTemplateID: workflows are not done; expected fops"),
        (with("fops", "imageInfo|saveas/bm93aGVyZTph"), 631, "no such bucket"),
    ] {
        let answer = pfop(&server, &fields).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, error), "{fields:?}");
        assert_eq!(answer.header("x-reqid").len(), 16);
    }
    // Signed by another secret, by nobody, over another body; and a key that does not open the destination.
    let body = form(&good);
    let other = keys().sign("PHOTOGRAPHER", &format!("/pfop\n{body}")).unwrap().replace("PHOTOGRAPHER", "AK");
    for (authorization, error) in
        [("", "token not specified"), ("QBox x", "bad token"), (&format!("QBox {other}"), "bad token")]
    {
        let answer = post_form(&server, authorization, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, error), "{authorization}");
    }
    let elsewhere = with("fops", "imageInfo|saveas/b3V0OmE=");
    let answer = pfop_as(&server, "PHOTOGRAPHER", &elsewhere).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (403, "not allowed"));
    // `out:secret.png` as a watermark: its picture would be read on behalf of a key that does not open its bucket.
    let painted = format!("watermark/1/image/{}", URL_SAFE.encode("kodo://out/secret.png"));
    for fops in [painted.clone(), format!("vframe/jpg/offset/0|{painted}")] {
        let answer = pfop_as(&server, "PHOTOGRAPHER", &[good[0], good[1], ("fops", &*fops)]).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (403, "not allowed"), "{fops}");
    }
    let unknown = server.api("/status/get/prefop?id=z0.000000000000000000000000").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.error().as_str()),
        (612, "there is no job \"z0.000000000000000000000000\"")
    );
    let jobs = signed(&server, Method::GET, "/jobs", "AK").await.json();
    assert_eq!(jobs["jobs"], json!([]));
}

/// The commands that the project's first document names.
#[tokio::test]
async fn sound_and_film_are_made_by_programs() {
    if !media::is_installed() {
        return;
    }
    let files = [("tone.wav", media::wav()), ("film.gif", media::film())];
    let server = Server::configured(CONFIG, "", &files.each_ref().map(|(name, body)| (*name, body.as_slice()))).await;
    let fops = "avthumb/mp3/aq/6/ar/16000;avthumb/mp3/ar/44100/ab/32k;avinfo";
    let document =
        ended(&server, &pfop(&server, &[("bucket", "photos"), ("key", "tone.wav"), ("fops", fops)]).await).await;
    let hash = qetag(&media::wav());
    // The folders are those of the vendor's own examples.
    for (item, folder) in [(0, "1G8-OWwP3jPLvi7O3qOf7yCl4YI="), (1, "sFhZ4dSjB1zvL3De1UBX2qZ_VR0=")] {
        let item = &document["items"][item];
        assert_eq!(item["key"], format!("{folder}/{hash}"), "{document}");
        let stored = std::fs::read(server.objects().join(item["key"].as_str().unwrap())).unwrap();
        assert_eq!(item["hash"], qetag(&stored));
    }
    assert_eq!(document["items"][2]["result"]["streams"][0]["sample_rate"], "22050");
    let frame = format!("vframe/png/offset/0|imageView2/2/w/20|{}", saveas("out:frame.png"));
    let fields = [("bucket", "photos"), ("key", "film.gif"), ("fops", &*frame)];
    assert_eq!(ended(&server, &pfop(&server, &fields).await).await["code"], 0);
    assert_eq!(server.get("/out/frame.png").await.image().size.width, 20);
    let broken = [("bucket", "photos"), ("key", "film.gif"), ("fops", "avthumb/mp3")];
    let error = ended(&server, &pfop(&server, &broken).await).await["items"][0]["error"].clone();
    assert!(error.as_str().unwrap().starts_with("execute fop cmd failed: avthumb failed: "), "{error}");
}

/// A receiver that answers with the statuses it is given, and then with 200, and so many bytes.
async fn receiver(statuses: Vec<u16>, bytes: usize) -> (String, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    type Shared = Arc<(mpsc::UnboundedSender<(HeaderMap, Bytes)>, std::sync::Mutex<std::vec::IntoIter<u16>>)>;
    let (sender, received) = mpsc::unbounded_channel();
    let shared: Shared = Arc::new((sender, std::sync::Mutex::new(statuses.into_iter())));
    let take = async move |State(shared): State<Shared>, headers: HeaderMap, body: Bytes| {
        shared.0.send((headers, body)).unwrap();
        let status = shared.1.lock().unwrap().next().unwrap_or(200);
        (StatusCode::from_u16(status).unwrap(), vec![b'x'; bytes])
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/done?from=mogr", listener.local_addr().unwrap());
    let routes = Router::new().fallback(take).with_state(shared);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, received)
}

#[tokio::test]
async fn owners_are_told_until_they_take_it() {
    let server = server().await;
    let (url, mut received) = receiver(vec![503], 0).await;
    let fields = [("bucket", "photos"), ("key", "card.jpg"), ("fops", "imageView2/2/w/30"), ("notifyURL", &url)];
    let document = ended(&server, &pfop(&server, &fields).await).await;
    for _ in 0..2 {
        let (headers, body) = tokio::time::timeout(PATIENCE, received.recv()).await.expect("a message").unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), document);
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("authorization"), notification::vendor(&keys(), "AK", &url).unwrap());
        let signature = header("x-mogr-signature");
        let seconds = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(signature, notification::general(&keys(), "AK", seconds, &body).unwrap());
    }
}

/// What a receiver says behind its status is no matter.
#[tokio::test]
async fn owners_may_talk() {
    let server = server().await;
    let (url, mut received) = receiver(vec![200; 3], 3 << 20).await;
    let fields = [("bucket", "photos"), ("key", "card.jpg"), ("fops", "imageInfo"), ("notifyURL", &url)];
    ended(&server, &pfop(&server, &fields).await).await;
    tokio::time::timeout(PATIENCE, received.recv()).await.expect("a message").unwrap();
    let delivered = async {
        loop {
            let list = signed(&server, Method::GET, "/notifications?state=delivered", "AK").await.json();
            if list["notifications"].as_array().is_some_and(|list| !list.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, delivered).await.expect("it counts as delivered");
}

#[tokio::test]
async fn results_expire() {
    let server = server().await;
    let fops = format!(
        "imageView2/2/w/50|{0}/deleteAfterDays/2;{1}/deleteAfterDays/2",
        saveas("out:a.jpg"),
        saveas("photos:b.jpg")
    );
    let document =
        ended(&server, &pfop(&server, &[("bucket", "photos"), ("key", "card.jpg"), ("fops", &fops)]).await).await;
    assert_eq!(document["code"], 0, "{document}");
    for (bucket, key) in [("out", "a.jpg"), ("photos", "b.jpg")] {
        let bucket = server.running.state.transformer.buckets().named(bucket).unwrap();
        let expires = bucket.stat(key).await.unwrap().facts.expires.unwrap();
        assert!(expires > crate::upload::now() + 2 * 86_400, "{expires}");
        assert_eq!(bucket.sweep_expired(std::time::UNIX_EPOCH + Duration::from_secs(expires)).await.unwrap(), 1);
        assert!(bucket.stat(key).await.is_err());
    }
    assert_eq!(server.get("/photos/card.jpg").await.status, 200);
}

#[tokio::test]
async fn closed_addresses_are_not_told() {
    let server = Server::configured(
        &CONFIG.replace("127.0.0.0/8", "192.0.2.0/24"),
        "",
        &[("card.jpg", &cards::jpeg(&cards::quadrants(120, 80), 90))],
    )
    .await;
    let (url, mut received) = receiver(Vec::new(), 0).await;
    let fields = [("bucket", "photos"), ("key", "card.jpg"), ("fops", "imageInfo"), ("notifyURL", &url)];
    ended(&server, &pfop(&server, &fields).await).await;
    let told = async {
        loop {
            let list = signed(&server, Method::GET, "/notifications", "AK").await.json();
            if let Some(problem) = list["notifications"][0]["last_problem"].as_str() {
                return problem.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let problem = tokio::time::timeout(PATIENCE, told).await.expect("an attempt");
    assert!(problem.contains("may not be fetched"), "{problem}");
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn paused_queues_hold_their_jobs() {
    let server = server().await;
    assert_eq!(
        signed_with(&server, Method::PUT, "/queues/slow", "AK", r#"{"paused":true}"#).await.status,
        StatusCode::OK
    );
    let fields = [("bucket", "photos"), ("key", "card.jpg"), ("fops", "imageInfo"), ("pipeline", "slow")];
    let (held, cancelled) = (pfop(&server, &fields).await, pfop(&server, &fields).await);
    let id = cancelled.json()["persistentId"].as_str().unwrap().replace("z0.", "");
    let answer = signed(&server, Method::POST, &format!("/jobs/{id}/cancel"), "PHOTOGRAPHER").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "another's job");
    let answer = signed(&server, Method::POST, &format!("/jobs/{id}/cancel"), "AK").await;
    assert_eq!(answer.json()["state"], "cancelled");
    assert_eq!(ended(&server, &cancelled).await["items"][0]["error"], "cancelled by its owner");
    let queues = signed(&server, Method::GET, "/queues", "AK").await.json();
    assert_eq!(queues["queues"][0]["waiting"], 1, "{queues}");
    let refused = signed(&server, Method::POST, "/queues/slow/resume", "PHOTOGRAPHER").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    signed(&server, Method::POST, "/queues/slow/resume", "AK").await;
    assert_eq!(ended(&server, &held).await["code"], 0);
    let events = signed(&server, Method::GET, &format!("/jobs/{id}/events"), "AK").await;
    assert!(events.text().starts_with("event: end\ndata: {"), "{}", events.text());
}
