//! DLCS queues and batches over the real server: the shapes of the specification, its checks, and what is stored.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cards;
use crate::server::{Answer, Server};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
buckets = ["photos"]
[keys.OTHER]
secret = "OT"
buckets = ["others"]
[buckets.photos]
url = "{folder}"
domains = ["*"]
[buckets.others]
url = "memory:"
[dlcs]
url = "https://api.dlcs.example"
thumbs = [60, 30]
max_batch = 5
[dlcs.customers.2]
key = "AK"
bucket = "photos"
[dlcs.customers.3]
key = "OTHER"
bucket = "others"
"#;

/// A server with a picture at `s3://photos/in/card.jpg`, and space 1.
pub(crate) async fn server() -> Server {
    let card = cards::jpeg(&cards::quadrants(120, 80), 90);
    let server = Server::configured(CONFIG, "", &[("in/card.jpg", &card), ("in/note.txt", b"no picture")]).await;
    let made = call(&server, Method::POST, "/customers/2/spaces", &json!({ "name": "one" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    server
}

pub(crate) async fn call(server: &Server, method: Method, path: &str, body: &Value) -> Answer {
    call_as(server, "AK:SK", method, path, body).await
}

pub(crate) async fn call_as(server: &Server, pair: &str, method: Method, path: &str, body: &Value) -> Answer {
    let authorization = format!("Basic {}", STANDARD.encode(pair));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.api_send(method, path, &headers, body).await
}

pub(crate) async fn get(server: &Server, path: &str) -> Value {
    let answer = call(server, Method::GET, path, &Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

pub(crate) fn member(id: &str, origin: &str) -> Value {
    json!({ "id": id, "space": 1, "origin": origin, "mediaType": "image/jpeg", "string1": "b123", "number1": 1 })
}

pub(crate) fn collection(members: &[Value]) -> Value {
    json!({ "@context": "http://www.w3.org/ns/hydra/context.jsonld", "@type": "Collection", "member": members })
}

/// The path of a URL of the API's.
pub(crate) fn path(url: &Value) -> String {
    url.as_str().unwrap().strip_prefix("https://api.dlcs.example").unwrap().to_owned()
}

/// The batch once it has ended.
pub(crate) async fn finished(server: &Server, batch: &Value) -> Value {
    let poll = async {
        loop {
            let batch = get(server, &path(&batch["@id"])).await;
            if batch.get("finished").is_some() {
                return batch;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.expect("the batch ends")
}

const CARD: &str = "s3://photos/in/card.jpg";

#[tokio::test]
async fn a_batch_is_fetched_checked_stored_and_counted() {
    let server = server().await;
    let members = [member("a", CARD), member("b", "s3://photos/in/note.txt"), member("c", "s3://photos/in/gone.jpg")];
    let posted = call(&server, Method::POST, "/customers/2/queue", &collection(&members)).await;
    assert_eq!(posted.status, StatusCode::CREATED, "{}", posted.text());
    let batch = posted.json();
    assert_eq!(posted.header("location"), batch["@id"].as_str().unwrap());
    assert_eq!(
        (&batch["@type"], &batch["count"], &batch["superseded"]),
        (&json!("vocab:Batch"), &json!(3), &json!(false))
    );
    let batch = finished(&server, &batch).await;
    assert_eq!((&batch["completed"], &batch["errors"]), (&json!(3), &json!(2)), "{batch}");
    let images = get(&server, &path(&batch["images"])).await;
    assert_eq!((&images["totalItems"], images["view"].is_null()), (&json!(3), true));
    let image = get(&server, "/customers/2/spaces/1/images/a").await;
    for (name, value) in [
        ("@id", json!("https://api.dlcs.example/customers/2/spaces/1/images/a")),
        ("@type", json!("vocab:Image")),
        ("width", json!(120)),
        ("height", json!(80)),
        ("error", json!("")),
        ("ingesting", json!(false)),
        ("family", json!("I")),
        ("string1", json!("b123")),
        ("maxUnauthorised", json!(-1)),
        ("imageService", json!(format!("http://{}/iiif-img/2/1/a", server.running.delivery))),
        ("thumbnailImageService", json!(format!("http://{}/thumbs/2/1/a", server.running.delivery))),
        ("batch", batch["@id"].clone()),
    ] {
        assert_eq!(image[name], value, "{name}");
    }
    for failed in ["b", "c"] {
        let image = get(&server, &format!("/customers/2/spaces/1/images/{failed}")).await;
        assert_ne!(image["error"], json!(""), "{image}");
    }
    // What is stored is what delivery makes by the same operators.
    let source = std::fs::read(server.objects().join("in/card.jpg")).unwrap();
    assert!(std::fs::read(server.objects().join("1/a/original")).unwrap() == source);
    for edge in [60, 30] {
        let stored = std::fs::read(server.objects().join(format!("1/a/{edge}.jpg"))).unwrap();
        let made = server.get(&format!("/in/card.jpg?imageView2/2/w/{edge}/h/{edge}/format/jpg")).await;
        assert!(stored == made.body, "{edge}");
    }
    let queue = get(&server, "/customers/2/queue").await;
    assert_eq!((&queue["size"], &queue["batchesWaiting"], &queue["imagesWaiting"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(queue["@type"], "vocab:CustomerQueue");
    let everybodys = server.api("/queue").await.json();
    assert_eq!((&everybodys["@type"], &everybodys["incoming"]), (&json!("vocab:QueueSummary"), &json!(0)));
}

#[tokio::test]
async fn pictures_go_to_their_last_batch() {
    let server = server().await;
    let post = async |members: &[Value]| {
        let batch = call(&server, Method::POST, "/customers/2/queue", &collection(members)).await;
        finished(&server, &batch.json()).await
    };
    let first = post(&[member("a", CARD), member("b", CARD)]).await;
    let second = post(&[member("a", CARD)]).await;
    let total = async |url: &Value| get(&server, &path(url)).await["totalItems"].clone();
    assert_eq!((total(&first["images"]).await, total(&first["assets"]).await), (json!(1), json!(2)));
    let test = async |batch: &Value| {
        let answer = call(&server, Method::POST, &path(&batch["test"]), &json!({})).await;
        answer.json()["success"].as_bool().unwrap()
    };
    assert!(test(&first).await, "its count is not what it has");
    assert!(!test(&first).await, "nothing is left to be changed");
    let recounted = get(&server, &path(&first["@id"])).await;
    assert_eq!((&recounted["count"], &recounted["completed"]), (&json!(1), &json!(1)), "{recounted}");
    post(&[member("b", CARD)]).await;
    assert!(test(&first).await);
    assert_eq!(get(&server, &path(&first["@id"])).await["superseded"], true);
    assert!(!test(&second).await);
    let recent = get(&server, "/customers/2/queue/recent").await;
    assert_eq!(recent["totalItems"], 2, "superseded ones are left out");
    let all = get(&server, "/customers/2/queue/batches?pageSize=2").await;
    assert_eq!((&all["totalItems"], all["member"].as_array().unwrap().len()), (&json!(3), 2));
    assert_eq!(all["view"]["totalPages"], 2);
    assert!(path(&all["member"][0]["@id"]) > path(&all["member"][1]["@id"]), "the newest first");
}

#[tokio::test]
async fn whatever_is_wrong_rejects_the_whole_post() {
    let server = server().await;
    let good = member("good", CARD);
    let with = |name: &str, value: Value| {
        let mut one = member("x", CARD);
        one[name] = value;
        one
    };
    for (members, sense) in [
        (vec![], "members cannot be empty"),
        (vec![member("d", CARD), member("d", CARD)], "Id:d,Space:1"),
        ((0..6).map(|n| member(&n.to_string(), CARD)).collect(), "at most 5"),
        (vec![with("mediaType", Value::Null)], "media type must be specified"),
        (vec![with("space", json!(0))], "space cannot be empty"),
        (vec![with("id", json!("  "))], "asset id cannot be empty"),
        (vec![with("id", json!("a/b"))], "asset id has /"),
        (vec![with("deliveryChannels", json!([]))], "cannot be an empty array"),
        (vec![with("deliveryChannels", json!(["nosuch"]))], "unknown channel"),
        (vec![with("deliveryChannels", json!(["none", "thumbs"]))], "stands alone"),
        (vec![with("deliveryChannels", json!(["thumbs", {"channel": "thumbs"}]))], "twice"),
        (vec![with("deliveryChannels", json!(["iiif-av"]))], "needs video"),
        (vec![with("thumbnailPolicy", json!("default"))], "no longer allowed"),
        (vec![with("width", json!(5))], "width must not be supplied"),
        (vec![with("space", json!(77))], "spaces could not be found: 77"),
        (vec![with("origin", Value::Null)], "asset origin must be supplied"),
        (vec![with("origin", json!("ftp://a/b"))], "expected an http, https or s3 URL"),
        (vec![with("origin", json!("s3://others/secret.jpg"))], "no such bucket"),
    ] {
        let posted = [vec![good.clone()], members.clone()].concat();
        let posted = if members.is_empty() { members } else { posted };
        let refused = call(&server, Method::POST, "/customers/2/queue", &collection(&posted)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{sense}: {}", refused.text());
        let error = refused.json();
        assert!(error["detail"].as_str().unwrap().contains(sense), "{sense}: {error}");
        assert_eq!((&error["@type"], &error["statusCode"]), (&json!("Error"), &json!(400)));
        assert_eq!((&error["description"], &error["status"]), (&error["detail"], &error["statusCode"]));
    }
    let film = json!({ "id": "f", "space": 1, "origin": CARD, "mediaType": "video/mp4" });
    let refused = call(&server, Method::POST, "/customers/2/queue/priority", &collection(&[film])).await;
    assert!(refused.text().contains("only takes image assets"), "{}", refused.text());
    assert_eq!(get(&server, "/customers/2/allImages").await["totalItems"], 0, "nothing is stored");
    assert_eq!(get(&server, "/customers/2/queue/batches").await["totalItems"], 0);
    for (body, status) in [("{", 400), ("", 400), ("[1]", 400)] {
        let headers = [("authorization", &*format!("Basic {}", STANDARD.encode("AK:SK")))];
        let answer = server.api_send(Method::POST, "/customers/2/queue", &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn only_a_customers_key_opens_what_is_the_customers() {
    let server = server().await;
    let paths = ["/customers/2/queue", "/customers/9/queue", "/customers/x/queue", "/customers/2/spaces/1/images/a"];
    for pair in ["OTHER:OT", "AK:wrong", "nobody:x", ""] {
        for path in paths {
            let answer = call_as(&server, pair, Method::GET, path, &Value::Null).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{pair} {path}");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"DLCS-API\"");
            assert_eq!(answer.json()["title"], "Unauthorized");
        }
    }
    assert_eq!(call(&server, Method::GET, "/customers/3/queue", &Value::Null).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.api("/customers/2/queue").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.api("/ping").await.status, StatusCode::OK);
    let missing = call(&server, Method::GET, "/customers/2/queue/batches/77", &Value::Null).await;
    assert_eq!((missing.status, missing.json()["title"].clone()), (StatusCode::NOT_FOUND, json!("Not Found")));
    let wrong = call(&server, Method::DELETE, "/customers/2/queue", &Value::Null).await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED, "{}", wrong.text());
}

#[tokio::test]
async fn the_priority_queue_counts_for_itself() {
    let server = server().await;
    let posted = call(&server, Method::POST, "/customers/2/queue/priority", &collection(&[member("p", CARD)])).await;
    let batch = finished(&server, &posted.json()).await;
    assert_eq!((&batch["completed"], &batch["errors"]), (&json!(1), &json!(0)));
    let queue = get(&server, "/customers/2/queue/priority").await;
    assert_eq!(queue["@id"], "https://api.dlcs.example/customers/2/queue/priority");
    assert_eq!(queue["size"], 0);
}
