//! Blitline's API over the real server: all wrappings, the tree, promises kept, postbacks and polls by version, refusals.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cards;
use crate::server::{Answer, Server, assert_near};

pub(crate) const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
[keys.page]
secret = "87Hyu684720923"
[keys.PHOTOGRAPHER]
secret = "PH"
buckets = ["photos", "blitline"]
[buckets.photos]
url = "{folder}"
[buckets.out]
url = "memory:"
[buckets.blitline]
url = "memory:"
[fetch]
allow = ["127.0.0.0/8"]
"#;

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) async fn server_of(config: &str) -> Server {
    let card = cards::jpeg(&cards::quadrants(120, 80), 90);
    let disc = cards::png(cards::disc(40, cards::RED));
    let turned = cards::oriented(&card, 6);
    let files: [(&str, &[u8]); 4] =
        [("card.jpg", &card), ("turned.jpg", &turned), ("disc.png", &disc), ("note.txt", b"not a picture")];
    Server::configured(config, "", &files).await
}

pub(crate) async fn server() -> Server {
    server_of(CONFIG).await
}

/// A job of `AK` on an object of bucket photos.
pub(crate) fn job(key: &str, functions: Value) -> Value {
    let src = json!({ "name": "s3", "bucket": "photos", "key": key });
    let mut job = json!({ "application_id": "AK", "v": 1.22, "src": src });
    job["functions"] = functions;
    job
}

/// A function that saves to bucket out.
pub(crate) fn saved(name: &str, params: Value, key: &str) -> Value {
    let s3 = json!({ "bucket": "out", "key": key });
    let mut function = json!({ "name": name, "save": { "image_identifier": key, "s3_destination": s3 } });
    function["params"] = params;
    function
}

pub(crate) async fn post(server: &Server, media_type: &str, body: impl Into<String>) -> Answer {
    server.api_send(Method::POST, "/job", &[("content-type", media_type)], body.into()).await
}

pub(crate) async fn submit(server: &Server, job: &Value) -> Value {
    let answer = post(server, JSON, job.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["results"].clone()
}

/// What `/listen` answers once the job has ended.
pub(crate) async fn ended(server: &Server, results: &Value) -> Value {
    let path = format!("/listen/{}", results["job_id"].as_str().expect("a job was taken on"));
    let answer = tokio::time::timeout(PATIENCE, server.api(&path)).await.expect("the job ends");
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["results"].clone()
}

pub(crate) async fn done(server: &Server, job: &Value) -> Value {
    let submitted = submit(server, job).await;
    ended(server, &submitted).await
}

/// The path of a promised URL on the delivery listener.
pub(crate) fn path(url: &Value) -> String {
    url::Url::parse(url.as_str().unwrap()).unwrap().path().to_owned()
}

#[tokio::test]
async fn every_wrapping_is_the_same_job() {
    let server = server().await;
    let mut job = job("card.jpg", json!([saved("resize_to_fit", json!({ "width": "60" }), "a.jpg")]));
    job["note"] = "ümläut & more".into();
    let form = |text: &str| url::form_urlencoded::Serializer::new(String::new()).append_pair("json", text).finish();
    let text = job.to_string();
    for (media_type, body, is_array) in [
        (FORM, form(&text), false),
        (FORM, form(&format!("[{text}]")), true),
        (JSON, json!({ "json": [job] }).to_string(), true),
        (JSON, json!({ "json": text }).to_string(), false),
        (JSON, json!({ "json": job }).to_string(), false),
        (JSON, text.clone(), false),
    ] {
        let answer = post(&server, media_type, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.header("content-type"), JSON);
        let results = answer.json()["results"].clone();
        assert_eq!(results.is_array(), is_array, "{results}");
        let mut results = if is_array { results[0].clone() } else { results };
        let url = results["images"][0]["s3_url"].take();
        assert!(url.as_str().unwrap().starts_with("http://127.0.0.1:") && path(&url) == "/out/a.jpg", "{url}");
        let id = results["job_id"].take();
        assert_eq!(id.as_str().map(str::len), Some(23), "{id}");
        assert_eq!(results, json!({ "images": [{ "image_identifier": "a.jpg", "s3_url": null }], "job_id": null }));
    }
    // In the query, as one client has it.
    job.as_object_mut().unwrap().remove("application_id");
    let path = "/job?application_id=AK";
    let answer = server.api_send(Method::POST, path, &[("content-type", JSON)], job.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test]
async fn promises_are_kept() {
    let server = server().await;
    let child = saved("gray_colorspace", json!({}), "c.png");
    let mut parent = saved("resize_to_fill", json!({ "width": 50, "height": 50 }), "b.jpg");
    parent["functions"] = json!([child, saved("sepia_tone", json!({}), "d.jpg")]);
    let temporary =
        json!({ "name": "no_op", "save": { "image_identifier": "T", "extension": ".png", "quality": "90" } });
    let submitted = submit(&server, &job("card.jpg", json!([parent, temporary]))).await;
    let identifiers: Vec<_> =
        submitted["images"].as_array().unwrap().iter().map(|it| &it["image_identifier"]).collect();
    assert_eq!(identifiers, ["b.jpg", "c.png", "d.jpg", "T"], "parents before children, depth first");
    let results = ended(&server, &submitted).await;
    assert_eq!(results["original_meta"], json!({ "width": 120, "height": 80 }));
    assert_eq!((&results["job_id"], results.get("errors")), (&submitted["job_id"], None), "{results}");
    for (nth, (meta, fops)) in [
        ([50, 50], "size/fill/w/50/h/50|imageView2/2/format/jpg/q/80!"),
        ([50, 50], "size/fill/w/50/h/50|adjust/grayscale/1|imageView2/2/format/png"),
        ([50, 50], "size/fill/w/50/h/50|adjust/sepia/80|imageView2/2/format/jpg/q/80!"),
        ([120, 80], "imageView2/2/format/png"),
    ]
    .into_iter()
    .enumerate()
    {
        let image = &results["images"][nth];
        assert_eq!(image["s3_url"], submitted["images"][nth]["s3_url"]);
        assert_eq!(image["meta"], json!({ "width": meta[0], "height": meta[1] }));
        let stored = server.get(&path(&image["s3_url"])).await;
        let fresh = server.get(&format!("/photos/card.jpg?imageMogr2/auto-orient|{fops}")).await;
        assert_eq!((fresh.status, stored.body == fresh.body), (StatusCode::OK, true), "{image} {fops}");
    }
    assert!(path(&results["images"][3]["s3_url"]).starts_with("/blitline/2"), "{results}");
}

#[tokio::test]
async fn sources_come_from_urls_and_stand_upright() {
    let server = server().await;
    let promised = submit(&server, &job("card.jpg", json!([saved("no_op", json!({}), "x.jpg")]))).await;
    let base = promised["images"][0]["s3_url"].as_str().unwrap().replace("/out/x.jpg", "");
    let mut turned = job("", json!([saved("no_op", json!({}), "u.jpg")]));
    turned["src"] = format!("{base}/photos/turned.jpg").into();
    for (field, value) in [("get_exif", json!(true)), ("hash", json!("md5")), ("extended_metadata", json!("true"))] {
        turned[field] = value;
    }
    let results = done(&server, &turned).await;
    let original = &results["original_meta"];
    assert_eq!((&original["width"], &original["height"]), (&json!(80), &json!(120)), "{results}");
    assert!(original["original_exif"]["Orientation"].is_string(), "{results}");
    assert_eq!(
        (original["hash"].as_str().map(str::len), &original["all_exif"][0][0]),
        (Some(32), &json!("Orientation"))
    );
    assert_eq!(results["images"][0]["meta"]["width"], 80);
    assert!(results["images"][0]["meta"]["filesize"].as_u64() > Some(100), "{results}");
    assert_eq!(server.get("/out/u.jpg").await.summary(), "jpeg 80x120");
    turned["suppress_auto_orient"] = true.into();
    let results = done(&server, &turned).await;
    assert_eq!(results["original_meta"]["width"], 120);
    assert_eq!(server.get("/out/u.jpg").await.summary(), "jpeg 120x80");
}

#[tokio::test]
async fn layers_and_letters_are_painted() {
    let server = server().await;
    let disc = json!({ "name": "s3", "bucket": "photos", "key": "disc.png" });
    let functions = json!([
        saved("composite", json!({ "src": disc, "x": 60, "y": 10 }), "composite.png"),
        saved("tile", json!({ "src": disc, "scale": 0.5 }), "tile.png"),
        saved("pad", json!({ "size": 10, "color": "#00f" }), "pad.png"),
        saved("annotate", json!({ "text": "████", "color": "#fff", "point_size": 40 }), "text.png"),
        saved("crop", json!({ "x": 60, "y": 0, "width": 30, "height": 30 }), "crop.png"),
        saved("rotate", json!({ "amount": 90 }), "rotate.png"),
        saved("blur", json!({ "sigma": 2 }), "blur.png"),
    ]);
    let results = done(&server, &job("card.jpg", functions)).await;
    assert_eq!(results.get("errors"), None, "{results}");
    let pixels = async |key: &str| server.get(&format!("/out/{key}")).await.pixels();
    assert_near(&pixels("composite.png").await, (80, 30), cards::RED, 3);
    assert_near(&pixels("tile.png").await, (110, 70), cards::RED, 3);
    assert_near(&pixels("pad.png").await, (5, 50), [0, 0, 255], 0);
    assert_near(&pixels("crop.png").await, (15, 15), cards::GREEN, 6);
    assert_near(&pixels("rotate.png").await, (20, 20), cards::BLUE, 6);
    assert_eq!(server.get("/out/rotate.png").await.summary(), "png 80x120");
}

/// An unknown function fails what is under it, and nothing else (spec 7 and 8).
#[tokio::test]
async fn failures_are_told_by_version() {
    let server = server().await;
    let mut broken = json!({ "name": "blu3r" });
    broken["functions"] = json!([saved("no_op", json!({}), "bad.jpg")]);
    let functions = json!([saved("no_op", json!({}), "good.jpg"), broken]);
    let error = "Image processing failed. Unknown function named 'blu3r'";
    for (version, among) in [
        (json!("1.22"), None),
        (json!(1.2), None),
        (json!(1.19), Some(json!([{ "error": error, "failed_image_identifiers": ["bad.jpg"] }]))),
        (json!("1.18"), Some(json!([{ "error": error, "failed_image_identifiers": ["bad.jpg"] }]))),
        (json!(1.17), Some(json!([{ "error": error }, { "failed_image_identifiers": ["bad.jpg"] }]))),
        (json!(null), Some(json!([{ "error": error }, { "failed_image_identifiers": ["bad.jpg"] }]))),
    ] {
        let mut job = job("card.jpg", functions.clone());
        job["v"] = version.clone();
        let results = done(&server, &job).await;
        let is_text = matches!(version.as_str(), Some("1.18")) || version == json!(1.17) || version.is_null();
        assert_eq!(results.is_string(), is_text, "{version} {results}");
        let results = if is_text { serde_json::from_str(results.as_str().unwrap()).unwrap() } else { results };
        let images = results["images"].as_array().unwrap();
        assert_eq!(images[0]["image_identifier"], "good.jpg");
        match among {
            None => {
                assert_eq!(images.len(), 1, "{results}");
                assert_eq!(
                    (&results["errors"], &results["failed_image_identifiers"]),
                    (&json!([error]), &json!(["bad.jpg"]))
                );
            }
            Some(among) => assert_eq!(&images[1..], among.as_array().unwrap().as_slice(), "{version} {results}"),
        }
        let is_old = version == json!(1.17) || version.is_null();
        assert_eq!(results["error"], if is_old { json!("true") } else { Value::Null }, "{version} {results}");
    }
    assert_eq!(server.get("/out/good.jpg").await.status, 200);
    assert_eq!(server.get("/out/bad.jpg").await.status, 404);
}

#[tokio::test]
async fn sources_that_fail_say_why() {
    let server = server().await;
    for (key, start) in [
        ("gone.jpg", "Image processing failed. Failed to download file from photos/gone.jpg: "),
        ("note.txt", "Image processing failed. "),
    ] {
        let results = done(&server, &job(key, json!([saved("no_op", json!({}), "x.jpg")]))).await;
        assert_eq!((&results["original_meta"], &results["images"]), (&json!({}), &json!([])), "{results}");
        assert!(results["errors"][0].as_str().unwrap().starts_with(start), "{results}");
        assert_eq!(results["failed_image_identifiers"], json!(["x.jpg"]));
    }
    let params = json!({ "width": 99_999 });
    let results = done(&server, &job("card.jpg", json!([saved("resize", params, "x.jpg")]))).await;
    assert_eq!(
        results["errors"][0],
        "Image processing failed. size: w is \"99999\"; expected an integer from 1 to 9999"
    );
}

/// Takes whatever is posted, and answers these statuses, then 200.
async fn receiver(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<(HeaderMap, Bytes)>) {
    type Shared = Arc<(mpsc::UnboundedSender<(HeaderMap, Bytes)>, std::sync::Mutex<std::vec::IntoIter<u16>>)>;
    let (sender, received) = mpsc::unbounded_channel();
    let shared: Shared = Arc::new((sender, std::sync::Mutex::new(statuses.into_iter())));
    let take = async move |State(shared): State<Shared>, headers: HeaderMap, body: Bytes| {
        shared.0.send((headers, body)).unwrap();
        StatusCode::from_u16(shared.1.lock().unwrap().next().unwrap_or(200)).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/done", listener.local_addr().unwrap());
    let routes = Router::new().fallback(take).with_state(shared);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, received)
}

#[tokio::test]
async fn postbacks_are_forms_or_json_by_version() {
    let server = server().await;
    for (version, extra, is_form) in [
        (json!(1.17), json!({}), true),
        (json!(null), json!({}), true),
        (json!(1.17), json!({ "content_type_json": true }), false),
        (json!("1.18"), json!({}), false),
        (json!(1.22), json!({}), false),
    ] {
        let (url, mut received) = receiver(vec![]).await;
        let mut job = job("card.jpg", json!([saved("no_op", json!({}), "p.jpg")]));
        job["v"] = version.clone();
        job["postback_url"] = url.into();
        job["postback_headers"] = json!({ "X-Mine": "yes" });
        job.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let submitted = submit(&server, &job).await;
        let (headers, body) = tokio::time::timeout(PATIENCE, received.recv()).await.expect("a message").unwrap();
        assert_eq!(
            (headers["content-type"].to_str().unwrap(), headers["x-mine"].to_str().unwrap()),
            (if is_form { FORM } else { JSON }, "yes"),
            "{version}"
        );
        let results = match is_form {
            true => {
                let (name, text) = url::form_urlencoded::parse(&body).next().unwrap();
                assert_eq!(name, "results");
                serde_json::from_str::<Value>(&text).unwrap()
            }
            false => serde_json::from_slice::<Value>(&body).unwrap()["results"].clone(),
        };
        assert_eq!((&results["job_id"], &results["images"][0]["meta"]["width"]), (&submitted["job_id"], &json!(120)));
        // What is told by postback is not in the poll store.
        let poll = format!("/poll?job_id={}", submitted["job_id"].as_str().unwrap());
        assert_eq!(server.api(&poll).await.json(), json!({ "is_complete": false, "job_id": submitted["job_id"] }));
    }
}

#[tokio::test]
async fn postbacks_are_tried_again_where_that_is_asked_for() {
    let server = server().await;
    let (url, mut received) = receiver(vec![500]).await;
    let mut job = job("card.jpg", json!([saved("no_op", json!({}), "p.jpg")]));
    job["postback_url"] = url.into();
    job["retry_postback"] = "true".into();
    job["force_longpoll_cache"] = true.into();
    let results = done(&server, &job).await;
    for _ in 0..2 {
        let (_, body) = tokio::time::timeout(PATIENCE, received.recv()).await.expect("a message").unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "results": results }));
    }
    // Only failures are told, and this is none.
    let (url, mut received) = receiver(vec![]).await;
    job["postback_url"] = url.into();
    job["postback_error_only"] = true.into();
    done(&server, &job).await;
    job["functions"] = json!([saved("blu3r", json!({}), "p.jpg")]);
    let failed = done(&server, &job).await;
    let (_, body) = tokio::time::timeout(PATIENCE, received.recv()).await.expect("a message").unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "results": failed }));
}

#[tokio::test]
async fn jobs_are_polled_for() {
    let server = server().await;
    let submitted = submit(&server, &job("card.jpg", json!([saved("no_op", json!({}), "p.jpg")]))).await;
    let results = ended(&server, &submitted).await;
    let id = submitted["job_id"].as_str().unwrap();
    let expected = json!({ "is_complete": true, "job_id": id, "results": results });
    for path in [format!("/poll?job_id={id}"), format!("/poll/{id}")] {
        assert_eq!(server.api(&path).await.json(), expected, "{path}");
    }
    for path in ["/listen/4weK03Kd0j-D_ttohR7GTcg", "/poll/0AAAAAAAAAAAAAAAAAAAAAA", "/poll?job_id=x"] {
        let answer = server.api(path).await;
        assert_eq!(
            (answer.status, answer.json()),
            (StatusCode::NOT_FOUND, json!({ "results": { "error": "there is no job of this id" } }))
        );
    }
    assert_eq!(server.api("/poll").await.status, 400);
    for path in ["/convert", "/actions/image_to_vector"] {
        assert_eq!(server.api(path).await.status, 501, "{path}");
    }
}

#[tokio::test]
async fn refusals_have_the_vendors_shape_and_leave_nothing() {
    let server = server().await;
    let good = || job("card.jpg", json!([saved("no_op", json!({}), "r.jpg")]));
    let with = |field: &str, value: Value| {
        let mut job = good();
        job[field] = value;
        job.to_string()
    };
    let mut nested = saved("no_op", json!({}), "r.jpg");
    for _ in 0..31 {
        nested = json!({ "name": "no_op", "functions": [nested] });
    }
    let own = |bucket: &str| json!([{ "name": "no_op", "save": { "image_identifier": "x", "s3_destination": { "bucket": bucket, "key": "r.jpg" } } }]);
    let painted = saved("composite", json!({ "src": { "name": "s3", "bucket": "gone", "key": "k" } }), "r.jpg");
    for (body, status, text) in [
        (String::new(), 400, "json cannot be read"),
        (good().to_string()[..90].to_owned(), 400, "json cannot be read"),
        ("[]".to_owned(), 400, "json is an empty array"),
        ("[7]".to_owned(), 400, "a job is an object"),
        (with("application_id", json!("")), 400, "An application ID is required"),
        (with("application_id", json!("nobody")), 401, "there is no application"),
        (with("functions", json!([])), 400, "Functions are required"),
        (with("functions", json!([{ "params": {} }])), 400, "a function has no name"),
        (with("functions", json!([nested])), 400, "functions nest deeper than 30"),
        (with("functions", json!([{ "name": "no_op", "save": {} }])), 400, "image_identifier is missing"),
        (with("functions", own("gone")), 400, "there is no bucket named \"gone\""),
        (with("functions", json!([painted])), 400, "there is no bucket named \"gone\""),
        (with("src", json!(null)), 400, "src is missing"),
        (with("src", json!("file:///etc/passwd")), 400, "src is no http or https URL"),
        (
            with("src_type", json!("screen_shot_url")),
            400,
            "Image processing failed. Unsupported src_type 'screen_shot_url'",
        ),
        (with("postback_url", json!({ "save": {} })), 400, "postback_url is no URL"),
        (with("hash", json!("phash_dct")), 400, "hash is \"phash_dct\""),
        (with("note", json!("x".repeat(250_000))), 413, "a job has at most 250000 characters"),
        (with("note", json!("x".repeat(5 << 20))), 413, "the request has more than"),
    ] {
        let answer = post(&server, JSON, body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{text}: {:.200}", answer.text());
        let results = &answer.json()["results"];
        let results = if results.is_array() { &results[0] } else { results };
        assert!(results["error"].as_str().unwrap().contains(text), "{text}: {results}");
    }
    // A key for some buckets does not see the others.
    let mut others = good();
    others["application_id"] = "PHOTOGRAPHER".into();
    assert!(post(&server, JSON, others.to_string()).await.text().contains("there is no bucket named \\\"out\\\""));
    // One good job among bad ones is taken on.
    let mixed = post(
        &server,
        JSON,
        json!({ "json": [with("functions", json!([])).parse::<Value>().unwrap(), good()] }).to_string(),
    )
    .await;
    assert_eq!(mixed.status, StatusCode::OK);
    let results = &mixed.json()["results"];
    assert!(results[0]["error"].is_string() && results[1]["job_id"].is_string(), "{results}");
    ended(&server, &results[1]).await;
    let signature = super_signature("/jobs?api=blitline\n");
    let jobs = server.api_send(Method::GET, "/jobs?api=blitline", &[("authorization", &signature)], "").await;
    assert_eq!(jobs.json()["jobs"].as_array().map(Vec::len), Some(1), "{}", jobs.text());
}

fn super_signature(text: &str) -> String {
    use mogr::auth::{Key, KeyRing};
    let key = Key { secret: mogr::settings::Secret::new("SK"), buckets: vec!["*".to_owned()] };
    format!("QBox {}", KeyRing::new([("AK".to_owned(), key)]).sign("AK", text).unwrap())
}

#[tokio::test]
async fn temporary_results_need_their_bucket() {
    let server =
        server_of(&CONFIG.replace("[buckets.blitline]\nurl = \"memory:\"\n", "").replace(", \"blitline\"", "")).await;
    let temporary = json!([{ "name": "no_op", "save": { "image_identifier": "T" } }]);
    let answer = post(&server, JSON, job("card.jpg", temporary).to_string()).await;
    let error = "a save without a destination needs a bucket named blitline on this server";
    assert_eq!((answer.status.as_u16(), answer.json()), (400, json!({ "results": { "error": error } })));
}

#[tokio::test]
async fn signed_jobs_write_to_keys_of_their_pattern() {
    use sha1::{Digest, Sha1};
    let server = server().await;
    let signed = |key: &str, expires: &str| {
        let mut job = job("card.jpg", json!([saved("no_op", json!({}), key)]));
        let digest = Sha1::digest(format!("87Hyu684720923{expires}^myfolder"));
        job.as_object_mut().unwrap().remove("application_id");
        job["public_token"] = "page".into();
        job["expires"] = expires.into();
        job["key_transform"] = "^myfolder".into();
        job["signature"] = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        job
    };
    let good = signed("myfolder/a.jpg", "Sun, 12 Oct 2064 00:00:00 +0000");
    assert_eq!(done(&server, &good).await.get("errors"), None);
    let elsewhere = signed("other/a.jpg", "Sun, 12 Oct 2064 00:00:00 +0000");
    let expired = signed("myfolder/a.jpg", "Sun, 12 Oct 2014 00:00:00 +0000");
    let mut forged = good.clone();
    forged["key_transform"] = "^".into();
    for (job, status) in [(elsewhere, 400), (expired, 401), (forged, 401)] {
        assert_eq!(post(&server, JSON, job.to_string()).await.status.as_u16(), status, "{job}");
    }
}
