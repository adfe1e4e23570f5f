//! DLCS pictures one by one, and spaces, over the real server.

use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::dlcs_queue::{call, collection, finished, get, member, server};

const CARD: &str = "s3://photos/in/card.jpg";
const IMAGE: &str = "/customers/2/spaces/1/images/a";

#[tokio::test]
async fn a_picture_is_put_changed_read_again_and_deleted() {
    let server = server().await;
    let made = call(&server, Method::PUT, IMAGE, &json!({ "origin": CARD, "mediaType": "image/jpeg" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let image = made.json();
    assert_eq!((&image["ingesting"], &image["width"]), (&json!(false), &json!(120)), "it was waited for");
    assert!(image.get("batch").is_none());
    let again = call(&server, Method::PUT, IMAGE, &json!({ "origin": CARD, "mediaType": "image/jpeg" })).await;
    assert_eq!(again.status, StatusCode::OK);
    let changed = call(&server, Method::PATCH, IMAGE, &json!({ "string1": "new", "tags": ["t"] })).await;
    let changed = changed.json();
    assert_eq!(
        (&changed["string1"], &changed["tags"], &changed["origin"]),
        (&json!("new"), &json!(["t"]), &json!(CARD))
    );
    assert_eq!(changed["queued"], again.json()["queued"], "it was not read again");
    let moved = call(&server, Method::PATCH, IMAGE, &json!({ "origin": "s3://photos/in/note.txt" })).await.json();
    assert_ne!(moved["error"], json!(""), "{moved}");
    call(&server, Method::PATCH, IMAGE, &json!({ "origin": CARD })).await;
    let reingested = call(&server, Method::POST, &format!("{IMAGE}/reingest"), &json!({})).await;
    assert_eq!((reingested.status, reingested.json()["error"].clone()), (StatusCode::OK, json!("")));
    assert!(server.objects().join("1/a/original").exists());
    assert_eq!(call(&server, Method::DELETE, IMAGE, &Value::Null).await.status, StatusCode::NO_CONTENT);
    assert!(!server.objects().join("1/a/original").exists() && !server.objects().join("1/a/60.jpg").exists());
    for method in [Method::GET, Method::DELETE, Method::PATCH] {
        assert_eq!(call(&server, method, IMAGE, &json!({})).await.status, StatusCode::NOT_FOUND);
    }
    let wrong = call(&server, Method::PUT, IMAGE, &json!({ "origin": CARD })).await;
    assert!(wrong.text().contains("media type must be specified"), "{}", wrong.text());
}

#[tokio::test]
async fn pictures_are_found_by_their_owners_keys() {
    let server = server().await;
    let numbered = |number: i64| {
        let mut one = member(&format!("i{number}"), CARD);
        (one["number1"], one["string2"]) = (json!(number), json!(if number % 2 == 0 { "even" } else { "odd" }));
        one["manifests"] = json!([format!("m{number}"), "all_of"]);
        one
    };
    let members: Vec<Value> = (1..=4).map(numbered).collect();
    let posted = call(&server, Method::POST, "/customers/2/queue", &collection(&members)).await;
    finished(&server, &posted.json()).await;
    let ids = async |query: &str| {
        let found = get(&server, &format!("/customers/2/spaces/1/images?{query}")).await;
        let ids = found["member"].as_array().unwrap().iter().map(|image| image["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>().join(" ")
    };
    for (query, found) in [
        ("orderBy=number1", "i1 i2 i3 i4"),
        ("orderByDescending=number1", "i4 i3 i2 i1"),
        ("string2=even&orderBy=id", "i2 i4"),
        ("q=%7B%22number1%22%3A3%7D", "i3"),
        ("manifests=m2", "i2"),
        ("manifests=all_of&orderBy=id", "i1 i2 i3 i4"),
        ("manifests=allXof", ""),
        ("orderBy=number1&page=2&pageSize=3", "i4"),
        ("page=9&pageSize=3", ""),
    ] {
        assert_eq!(ids(query).await, found, "{query}");
    }
    let wrong = call(&server, Method::GET, "/customers/2/spaces/1/images?q=%7B", &Value::Null).await;
    assert_eq!(
        (wrong.status, wrong.json()["detail"].clone()),
        (StatusCode::BAD_REQUEST, json!("Could not parse query"))
    );
    let wanted = collection(&[json!({ "id": "2/1/i1" }), json!({ "id": "2/1/nosuch" })]);
    assert_eq!(call(&server, Method::POST, "/customers/2/allImages", &wanted).await.json()["totalItems"], 1);
    let changes = collection(&[json!({ "id": "i1", "string3": "x" }), json!({ "id": "gone", "string3": "x" })]);
    let changed = call(&server, Method::PATCH, "/customers/2/spaces/1/images", &changes).await.json();
    assert_eq!((&changed["totalItems"], &changed["member"][0]["string3"]), (&json!(1), &json!("x")));
    let changes = collection(&[json!({ "id": "i1", "origin": CARD })]);
    let refused = call(&server, Method::PATCH, "/customers/2/spaces/1/images", &changes).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let deleted = call(&server, Method::POST, "/customers/2/deleteImages", &wanted).await;
    assert_eq!(deleted.json(), json!({ "message": "images deleted" }));
    assert_eq!(get(&server, "/customers/2/allImages").await["totalItems"], 3);
}

#[tokio::test]
async fn spaces_are_made_changed_and_deleted() {
    let server = server().await;
    let made =
        call(&server, Method::PUT, "/customers/2/spaces/5", &json!({ "name": "five", "defaultTags": ["t"] })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let mut five = member("a", CARD);
    five["space"] = json!(5);
    let posted = call(&server, Method::POST, "/customers/2/queue", &collection(&[five])).await;
    finished(&server, &posted.json()).await;
    assert_eq!(get(&server, "/customers/2/spaces/5/images/a").await["tags"], json!(["t"]));
    let space = call(&server, Method::PATCH, "/customers/2/spaces/5", &json!({ "name": "5" })).await.json();
    assert_eq!((&space["name"], &space["approximateNumberOfImages"]), (&json!("5"), &json!(1)));
    assert_eq!(space["defaultTags"], json!(["t"]));
    assert_eq!(get(&server, "/customers/2/spaces").await["totalItems"], 2);
    let full = call(&server, Method::DELETE, "/customers/2/spaces/5", &Value::Null).await;
    assert_eq!((full.status, full.json()["title"].clone()), (StatusCode::CONFLICT, json!("Delete space: Conflict")));
    call(&server, Method::DELETE, "/customers/2/spaces/5/images/a", &Value::Null).await;
    assert_eq!(
        call(&server, Method::DELETE, "/customers/2/spaces/5", &Value::Null).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(call(&server, Method::GET, "/customers/2/spaces/5", &Value::Null).await.status, StatusCode::NOT_FOUND);
    let nameless = call(&server, Method::POST, "/customers/2/spaces", &json!({})).await;
    assert_eq!(nameless.status, StatusCode::BAD_REQUEST);
    let next = call(&server, Method::POST, "/customers/2/spaces", &json!({ "name": "two" })).await.json();
    assert_eq!(next["id"], 2);
}
