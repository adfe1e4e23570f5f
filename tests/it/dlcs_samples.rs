//! Every document of the DLCS manual's pages, member by member, and each error that they name.

use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cards;
use crate::dlcs_queue::{CONFIG, call, collection, finished, get, member, path, server};
use crate::server::Server;

const API: &str = "https://api.dlcs.example";
const VOCABULARY: &str = "https://dlcs.github.io/vocab/context/future.json";
const HYDRA: &str = "http://www.w3.org/ns/hydra/context.jsonld";
const CARD: &str = "s3://photos/in/card.jpg";
const IMAGE: &str = "/customers/2/spaces/1/images/a";

/// Puts `null` where a date was, which has to be one.
fn undated(mut document: Value, names: &[&str]) -> Value {
    for name in names {
        let date = document[*name].take();
        let date = date.as_str().unwrap_or_else(|| panic!("{name} of {document}"));
        assert!(date.len() == 28 && date.ends_with('Z') && date.as_bytes()[19] == b'.', "{name}: {date}");
        assert!(chrono::DateTime::parse_from_rfc3339(date).is_ok(), "{name}: {date}");
    }
    document
}

async fn posted(server: &Server, members: &[Value]) -> Value {
    let answer = call(server, Method::POST, "/customers/2/queue", &collection(members)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()
}

/// Spec 4: both queues, and everybody's.
#[tokio::test]
async fn queues() {
    let server = server().await;
    for (address, of) in [("queue", "queue"), ("queue/priority", "queue/priority")] {
        let base = format!("{API}/customers/2/queue");
        let expected = json!({
            "@context": VOCABULARY, "@id": format!("{API}/customers/2/{of}"), "@type": "vocab:CustomerQueue",
            "size": 0, "batchesWaiting": 0, "imagesWaiting": 0,
            "batches": format!("{base}/batches"), "images": format!("{base}/images"), "active": format!("{base}/active"),
            "recent": format!("{base}/recent"), "priority": format!("{base}/priority"),
        });
        assert_eq!(get(&server, &format!("/customers/2/{address}")).await, expected);
    }
    let expected = json!({
        "@context": VOCABULARY, "@id": format!("{API}/queue"), "@type": "vocab:QueueSummary", "incoming": 0, "priority": 0,
        "timebased": 0, "transcodeComplete": 0, "file": 0, "success": 0, "failed": 0,
    });
    assert_eq!(server.api("/queue").await.json(), expected);
}

/// Spec 4 and 5: a batch as it is posted and as it ends; and the collections that it is in.
#[tokio::test]
async fn batches() {
    let server = server().await;
    let batch = posted(&server, &[member("a", CARD), member("b", "s3://photos/in/note.txt")]).await;
    let id = batch["@id"].as_str().unwrap().to_owned();
    assert!(id.strip_prefix(&format!("{API}/customers/2/queue/batches/")).unwrap().parse::<u64>().is_ok(), "{id}");
    assert!(batch.get("finished").is_none(), "{batch}");
    let expected = |completed: u32, errors: u32| {
        json!({
            "@context": VOCABULARY, "@id": id, "@type": "vocab:Batch", "submitted": null, "count": 2, "completed": completed,
            "errors": errors, "superseded": false, "images": format!("{id}/images"), "assets": format!("{id}/assets"),
            "test": format!("{id}/test"),
        })
    };
    let (completed, errors) = (batch["completed"].clone(), batch["errors"].clone());
    let mut first = expected(0, 0);
    // Work may have begun before the answer was made.
    (first["completed"], first["errors"]) = (completed, errors);
    assert_eq!(undated(batch.clone(), &["submitted"]), first);
    let ended = finished(&server, &batch).await;
    let mut last = expected(2, 1);
    last["finished"] = Value::Null;
    assert_eq!(undated(ended.clone(), &["submitted", "finished"]), last);
    for (list, members) in [("batches", vec![ended.clone()]), ("recent", vec![ended]), ("active", vec![])] {
        let expected = json!({
            "@context": HYDRA, "@id": format!("{API}/customers/2/queue/{list}"), "@type": "Collection",
            "totalItems": members.len(), "pageSize": 100, "member": members,
        });
        assert_eq!(get(&server, &format!("/customers/2/queue/{list}")).await, expected, "{list}");
    }
    let tested = call(&server, Method::POST, &path(&json!(format!("{id}/test"))), &json!({})).await;
    assert_eq!((tested.status, tested.json()), (StatusCode::OK, json!({ "success": false })));
}

/// Spec 2: the view of a page in the middle.
#[tokio::test]
async fn pages() {
    let server = server().await;
    let batch = posted(&server, &["a", "b", "c"].map(|id| member(id, CARD))).await;
    finished(&server, &batch).await;
    let list = get(&server, "/customers/2/spaces/1/images?page=2&pageSize=1&orderBy=id").await;
    let id = format!("{API}/customers/2/spaces/1/images");
    let link = |page: u32| format!("{id}?page={page}&pageSize=1&orderBy=id");
    assert_eq!((&list["@id"], &list["totalItems"], &list["pageSize"]), (&json!(id), &json!(3), &json!(1)));
    let expected = json!({
        "@id": link(2), "@type": "PartialCollectionView", "first": link(1), "previous": link(1), "next": link(3),
        "last": link(3), "page": 2, "pageSize": 1, "totalPages": 3,
    });
    assert_eq!(list["view"], expected);
    let behind = get(&server, "/customers/2/spaces/1/images?page=9&pageSize=1").await;
    assert_eq!((&behind["member"], behind["view"].get("next")), (&json!([]), None));
}

/// Spec 4: a picture, what is stored of it, and its space.
#[tokio::test]
async fn pictures() {
    let server = server().await;
    let document = json!({
        "origin": CARD, "mediaType": "image/jpeg", "string1": "b123", "number1": 1, "tags": ["a"], "roles": [],
        "deliveryChannels": [{ "channel": "iiif-img", "policy": "default" }], "manifests": ["m"], "maxUnauthorised": 400,
    });
    let made = call(&server, Method::PUT, IMAGE, &document).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let id = format!("{API}{IMAGE}");
    let image = undated(get(&server, IMAGE).await, &["created", "queued", "dequeued", "finished"]);
    let expected = json!({
        "@context": VOCABULARY, "@id": id, "@type": "vocab:Image", "id": "a", "space": 1, "origin": CARD,
        "mediaType": "image/jpeg", "family": "I", "tags": ["a"], "roles": [], "string1": "b123", "string2": "", "string3": "",
        "number1": 1, "number2": 0, "number3": 0, "manifests": ["m"], "maxUnauthorised": 400, "ingesting": false, "error": "",
        "width": 120, "height": 80, "duration": 0, "created": null, "queued": null, "dequeued": null, "finished": null,
        "deliveryChannels": [{ "@type": "vocab:DeliveryChannel", "channel": "iiif-img", "policy": "default" }],
        "imageService": format!("http://{}/iiif-img/2/1/a", server.running.delivery),
        "metadata": format!("{id}/metadata"), "storage": format!("{id}/storage"),
    });
    assert_eq!(image, expected);
    let bytes = std::fs::metadata(server.objects().join("1/a/original")).unwrap().len();
    let storage = undated(get(&server, &format!("{IMAGE}/storage")).await, &["lastChecked"]);
    let expected = json!({
        "@context": VOCABULARY, "@id": format!("{id}/storage"), "@type": "vocab:ImageStorage", "size": bytes,
        "thumbnailSize": 0, "lastChecked": null, "checkingInProgress": false,
    });
    assert_eq!(storage, expected);
    let space = undated(get(&server, "/customers/2/spaces/1").await, &["created"]);
    let id = format!("{API}/customers/2/spaces/1");
    let expected = json!({
        "@context": VOCABULARY, "@id": id, "@type": "vocab:Space", "id": 1, "name": "one", "created": null,
        "approximateNumberOfImages": 1, "images": format!("{id}/images"), "defaultRoles": [], "defaultTags": [],
        "defaultDeliveryChannels": format!("{id}/defaultDeliveryChannels"), "storage": format!("{id}/storage"),
        "metadata": format!("{id}/metadata"),
    });
    assert_eq!(space, expected);
}

/// Spec 2: every code of the table that a request can have, in its whole shape.
#[tokio::test]
async fn errors() {
    let card = cards::jpeg(&cards::quadrants(120, 80), 90);
    let config = CONFIG
        .replace("bucket = \"photos\"\n[dlcs.customers.3]", "bucket = \"photos\"\nmax_images = 2\n[dlcs.customers.3]");
    assert_ne!(config, CONFIG);
    let server = Server::configured(&config, "", &[("in/card.jpg", &card)]).await;
    call(&server, Method::POST, "/customers/2/spaces", &json!({ "name": "one" })).await;
    let three = collection(&["a", "b", "c"].map(|id| member(id, CARD)));
    let unknown = collection(&[json!({ "id": "a", "space": 7, "origin": CARD, "mediaType": "image/jpeg" })]);
    let queue = "/customers/2/queue";
    for (method, path, body, status, title, detail) in [
        (Method::POST, queue, json!({}), 400, "Bad request", "members cannot be empty"),
        (
            Method::POST,
            queue,
            unknown,
            400,
            "Create batch: Validation failed",
            "the following spaces could not be found: 7",
        ),
        (Method::GET, "/customers/2/queue/batches/9", Value::Null, 404, "Not Found", "there is no such batch"),
        (
            Method::POST,
            "/customers/2/spaces/1/images",
            json!({}),
            405,
            "Method not allowed",
            "this is not offered here",
        ),
        (
            Method::POST,
            queue,
            three,
            507,
            "Create batch: Storage limit exceeded",
            "0 images are registered and 3 more were posted; the customer may have 2",
        ),
    ] {
        let answer = call(&server, method, path, &body).await;
        let expected = json!({
            "@type": "Error", "statusCode": status, "title": title, "status": status, "description": detail, "detail": detail,
            "instance": format!("{API}{path}"),
        });
        assert_eq!((answer.status.as_u16(), answer.json()), (status, expected), "{path}");
    }
    assert_eq!(get(&server, "/customers/2/allImages").await["totalItems"], 0, "nothing is stored");
    // Two there is room for, also when they come once more.
    let two = [member("a", CARD), member("b", CARD)];
    for _ in 0..2 {
        finished(&server, &posted(&server, &two).await).await;
    }
    let one_more = call(
        &server,
        Method::PUT,
        IMAGE.replace("/a", "/c").as_str(),
        &json!({ "origin": CARD, "mediaType": "image/jpeg" }),
    )
    .await;
    assert_eq!(one_more.status.as_u16(), 507, "{}", one_more.text());
    let headers = [("authorization", "Basic QUs6U0s="), ("content-type", "text/csv")];
    let wrong = server.api_send(Method::POST, queue, &headers, "a,b").await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["title"]), (415, &json!("Unsupported media type")));
}

/// Spec 7: what may be changed for many, and what not.
#[tokio::test]
async fn changes_of_many() {
    let server = server().await;
    finished(&server, &posted(&server, &[member("a", CARD), member("b", CARD)]).await).await;
    let images = "/customers/2/spaces/1/images";
    let changed = collection(&[json!({ "id": "a", "string2": "x" }), json!({ "id": "b", "string2": "x" })]);
    let answer = call(&server, Method::PATCH, images, &changed).await;
    let document = answer.json();
    assert!(document["@id"].as_str().unwrap().starts_with(&format!("{API}{images}?patch_")), "{document}");
    assert_eq!((&document["totalItems"], &document["member"][1]["string2"]), (&json!(2), &json!("x")));
    for (member, sense) in [
        (json!({ "id": "a", "origin": CARD }), "origin cannot be changed"),
        (json!({ "id": "a", "maxUnauthorised": 5 }), "maxUnauthorised cannot be changed"),
        (json!({ "id": "a", "deliveryChannels": ["thumbs"] }), "deliveryChannels cannot be changed"),
        (json!({ "id": "a", "width": 5 }), "width must not be supplied"),
        (json!({ "string1": "x" }), "every member needs its id"),
    ] {
        let refused =
            call(&server, Method::PATCH, images, &collection(&[json!({ "id": "b", "string2": "y" }), member])).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.json()["detail"].as_str().unwrap().contains(sense), "{}", refused.text());
    }
    assert_eq!(get(&server, &format!("{images}/b")).await["string2"], "x", "all of them or none");
}
