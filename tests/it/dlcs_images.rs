//! Registered pictures on the delivery listener: the links of their records lead to services of the IIIF Image API, and roles
//! decide how much of them is seen.

use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use mogr::geometry::Size;

use crate::dlcs_queue::{call, server};
use crate::server::{Answer, Server};

const CARD: &str = "s3://photos/in/card.jpg";

/// Registers a picture of 120x80 and gives its record.
async fn registered(server: &Server, id: &str, members: Value) -> Value {
    let mut document = json!({ "origin": CARD, "mediaType": "image/jpeg" });
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let made = call(server, Method::PUT, &format!("/customers/2/spaces/1/images/{id}"), &document).await;
    assert!(made.status.is_success(), "{}", made.text());
    made.json()
}

/// The path of an address of the delivery listener.
fn path<'a>(server: &Server, address: &'a str) -> &'a str {
    address.strip_prefix(&format!("http://{}", server.running.delivery)).unwrap_or_else(|| panic!("{address}"))
}

async fn size(server: &Server, path: &str) -> Size {
    server.get(path).await.image().size
}

fn status(answer: &Answer) -> u16 {
    answer.status.as_u16()
}

#[tokio::test]
async fn links_of_pictures_lead_to_services() {
    let server = server().await;
    let record = registered(&server, "a", json!({})).await;
    let service = record["imageService"].as_str().unwrap();
    let base = path(&server, service);
    assert_eq!(base, "/iiif-img/2/1/a");
    let to_document = server.get(base).await;
    assert_eq!((status(&to_document), to_document.header("location")), (303, format!("{service}/info.json").as_str()));
    let told = server.get(&format!("{base}/info.json")).await;
    let document = told.json();
    assert_eq!((&document["id"], &document["width"], &document["height"]), (&json!(service), &json!(120), &json!(80)));
    assert_eq!((&document["profile"], told.header("access-control-allow-origin")), (&json!("level2"), "*"));
    assert_eq!(size(&server, &format!("{base}/full/60,40/0/default.jpg")).await, Size::new(60, 40));
    assert_eq!(size(&server, &format!("{base}/60,40,30,20/max/90/gray.png")).await, Size::new(20, 30));
}

#[tokio::test]
async fn versions_are_pinned_and_asked_for() {
    let server = server().await;
    registered(&server, "a", json!({})).await;
    let origin = format!("http://{}", server.running.delivery);
    let second = server.get("/iiif-img/v2/2/1/a/info.json").await.json();
    assert_eq!(second["@id"], format!("{origin}/iiif-img/v2/2/1/a"));
    assert_eq!(size(&server, "/iiif-img/v2/2/1/a/full/full/0/default.jpg").await, Size::new(120, 80));
    let accept = "application/ld+json;profile=\"http://iiif.io/api/image/2/context.json\"";
    let asked = server.send(Method::GET, "/iiif-img/2/1/a/info.json", &[("accept", accept)]).await;
    assert_eq!((asked.json()["@id"].clone(), asked.header("vary")), (second["@id"].clone(), "Accept"));
    // The first version is where nothing is pinned.
    let pinned = server.get("/iiif-img/v3/2/1/a/full/max/0/default.jpg").await;
    let plain = format!("{origin}/iiif-img/2/1/a/full/max/0/default.jpg");
    assert_eq!((status(&pinned), pinned.header("location")), (303, plain.as_str()));
}

#[tokio::test]
async fn thumbs_are_served_in_their_sizes_alone() {
    let server = server().await;
    let record = registered(&server, "a", json!({})).await;
    let base = path(&server, record["thumbnailImageService"].as_str().unwrap()).to_owned();
    assert_eq!(base, "/thumbs/2/1/a");
    let document = server.get(&format!("{base}/info.json")).await.json();
    let sizes = json!([{ "width": 30, "height": 20 }, { "width": 60, "height": 40 }]);
    assert_eq!((&document["profile"], &document["sizes"]), (&json!("level0"), &sizes));
    assert!(document.get("tiles").is_none() && document.get("extraFormats").is_none(), "{document}");
    let stored = std::fs::read(server.objects().join("1/a/60.jpg")).unwrap();
    for asked in ["60,40", "60,", ",40", "!60,60", "max"] {
        assert_eq!(server.get(&format!("{base}/full/{asked}/0/default.jpg")).await.body, stored, "{asked}");
    }
    for asked in
        ["full/45,30/0/default.jpg", "full/max/90/default.jpg", "0,0,30,20/max/0/default.jpg", "full/max/0/gray.jpg"]
    {
        assert_eq!(status(&server.get(&format!("{base}/{asked}")).await), 404, "{asked}");
    }
    let second = server.get("/thumbs/v2/2/1/a/info.json").await.json();
    assert_eq!(second["profile"], json!(["http://iiif.io/api/image/2/level0.json"]));
}

#[tokio::test]
async fn roles_decide_how_much_is_seen() {
    let server = server().await;
    let role = "https://dlcs.example/roles/staff";
    for (id, members, open, image, part, thumb) in [
        ("free", json!({}), 200, 200, 200, 200),
        ("role", json!({ "roles": [role] }), 401, 401, 401, 404),
        ("shut", json!({ "maxUnauthorised": 0 }), 401, 401, 401, 404),
        ("some", json!({ "roles": [role], "maxUnauthorised": 70 }), 200, 401, 401, 200),
        ("less", json!({ "roles": [role], "maxUnauthorised": 50 }), 200, 401, 401, 400),
    ] {
        registered(&server, id, members).await;
        let ask = async |path: &str| status(&server.get(&path.replace("ID", &format!("2/1/{id}"))).await);
        assert_eq!(ask("/iiif-img/ID/info.json").await, open, "{id}");
        assert_eq!(ask("/iiif-img/ID/full/120,80/0/default.jpg").await, image, "{id}");
        assert_eq!(ask("/iiif-img/ID/0,0,30,20/max/0/default.jpg").await, part, "{id}");
        assert_eq!(ask("/thumbs/ID/full/60,40/0/default.jpg").await, thumb, "{id}");
    }
    assert_eq!(server.get("/iiif-img/2/1/some/info.json").await.json()["maxWidth"], 70);
    assert_eq!(size(&server, "/iiif-img/2/1/some/full/max/0/default.jpg").await, Size::new(70, 47));
    assert_eq!(status(&server.get("/iiif-img/2/1/some/full/70,47/0/default.jpg").await), 200);
    // What a picture is open for is looked up each time.
    registered(&server, "free", json!({ "roles": [role] })).await;
    assert_eq!(status(&server.get("/iiif-img/2/1/free/full/120,80/0/default.jpg").await), 401);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = server().await;
    registered(&server, "a", json!({})).await;
    registered(&server, "text", json!({ "origin": "s3://photos/in/note.txt" })).await;
    registered(&server, "file", json!({ "deliveryChannels": ["file"] })).await;
    for path in [
        "/iiif-img/2/1/none/info.json",
        "/iiif-img/2/9/a/info.json",
        "/iiif-img/3/1/a/info.json",
        "/iiif-img/2/1/text/info.json",
        "/iiif-img/2/1/file/info.json",
        "/thumbs/2/1/file/full/60,40/0/default.jpg",
        "/iiif-img/2/1/a/full/max",
    ] {
        assert_eq!(server.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(status(&server.get("/iiif-img/2/1/a/full/121,/0/default.jpg").await), 400);
}
