//! Every reply of Blitline's documents, field by field, and each error that they name.

use http::StatusCode;
use serde_json::{Value, json};

use crate::blitline_jobs::{CONFIG, JSON, done, job, post, saved, server, server_of, submit};

/// An answer with what differs from run to run taken out.
fn settled(mut results: Value) -> Value {
    let id = results["job_id"].take();
    let id = id.as_str().unwrap_or_default();
    assert!(id.len() == 23 && id.as_bytes()[0].is_ascii_digit(), "{id}");
    for image in results["images"].as_array_mut().into_iter().flatten() {
        if let Some(url) = image["s3_url"].as_str().map(str::to_owned) {
            let (_, path) = url.strip_prefix("http://127.0.0.1:").expect("this server").split_once('/').unwrap();
            image["s3_url"] = format!("http://host/{path}").into();
        }
    }
    results
}

/// Spec 6: one job, and an array of which one is refused.
#[tokio::test]
async fn jobs_are_taken_on() {
    let server = server().await;
    let one = job("card.jpg", json!([saved("no_op", json!({}), "key.jpg")]));
    let images = json!([{ "image_identifier": "key.jpg", "s3_url": "http://host/out/key.jpg" }]);
    let expected = json!({ "images": images, "job_id": null });
    assert_eq!(settled(submit(&server, &one).await), expected);
    let both = post(&server, JSON, json!({ "json": [one, { "application_id": "AK" }] }).to_string()).await;
    assert_eq!((both.status, both.header("content-type")), (StatusCode::OK, JSON));
    let results = both.json()["results"].clone();
    assert_eq!(settled(results[0].clone()), expected);
    assert_eq!(results[1].as_object().unwrap().keys().collect::<Vec<_>>(), ["error"]);
    let mut keyed = one.clone();
    keyed["functions"][0]["save"]["s3_destination"]["return_keys"] = true.into();
    assert_eq!(submit(&server, &keyed).await["images"][0]["s3_key"], "key.jpg");
}

/// Spec 6, errors: their statuses, and what they say.
#[tokio::test]
async fn errors_have_their_texts() {
    let server = server().await;
    let functions = json!([saved("no_op", json!({}), "a.jpg")]);
    let good = job("card.jpg", functions.clone());
    let without = |name: &str| {
        let mut job = good.clone();
        job.as_object_mut().unwrap().remove(name);
        job
    };
    let with = |name: &str, value: Value| {
        let mut job = good.clone();
        job[name] = value;
        job
    };
    for (job, status, said) in [
        (without("application_id"), 400, "An application ID is required to process any job"),
        (with("application_id", json!("nobody")), 401, "there is no application of this application_id"),
        (without("functions"), 400, "Functions are required to process a job"),
        (with("functions", json!([])), 400, "Functions are required to process a job"),
        (without("src"), 400, "src is missing; expected a URL or an S3 object"),
        (with("src_type", json!("zip")), 400, "Image processing failed. Unsupported src_type 'zip'"),
        (with("src_type", json!("burst_pdf")), 400, "Image processing failed. Unsupported src_type 'burst_pdf'"),
        (with("src_type", json!("multi_page")), 400, "src_type.pages is missing or wrong; expected 1 to 20 numbers"),
        (with("functions", json!([{ "name": "no_op", "save": {} }])), 400, "image_identifier is missing"),
        (with("functions", json!([{ "params": {} }])), 400, "a function has no name"),
        (with("note", json!("x".repeat(250_001))), 413, "a job has at most 250000 characters"),
        (with("hash", json!("phash_dct")), 400, "hash is \"phash_dct\"; expected md5, crc32 or sha256"),
    ] {
        let answer = post(&server, JSON, job.to_string()).await;
        let results = answer.json()["results"].clone();
        assert_eq!(answer.status.as_u16(), status, "{results}");
        assert_eq!(results.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{results}");
        assert!(results["error"].as_str().unwrap().starts_with(said), "{results}");
    }
    let cut = post(&server, JSON, r#"{"json":[{"application_id":"AK","src":"http://a.example/ü"#).await;
    assert!(cut.status == 400 && cut.json()["results"]["error"].as_str().unwrap().starts_with("json cannot be read"));
}

/// Spec 7: success, and failure with the text that clients look for.
#[tokio::test]
async fn ends_are_told() {
    let server = server().await;
    let results =
        done(&server, &job("card.jpg", json!([saved("resize_to_fit", json!({ "width": 60 }), "a.jpg")]))).await;
    let image = json!({ "image_identifier": "a.jpg", "s3_url": "http://host/out/a.jpg", "meta": { "width": 60, "height": 40 } });
    let expected = json!({ "original_meta": { "width": 120, "height": 80 }, "images": [image], "job_id": null });
    assert_eq!(settled(results), expected);
    let results = done(&server, &job("card.jpg", json!([saved("blu3r", json!({}), "a.jpg")]))).await;
    let expected = json!({
        "original_meta": { "width": 120, "height": 80 },
        "images": [],
        "errors": ["Image processing failed. Unknown function named 'blu3r'"],
        "failed_image_identifiers": ["a.jpg"],
        "job_id": null,
    });
    assert_eq!(settled(results), expected);
    let gone = settled(done(&server, &job("gone.jpg", json!([saved("no_op", json!({}), "a.jpg")]))).await);
    assert_eq!((&gone["original_meta"], &gone["failed_image_identifiers"]), (&json!({}), &json!(["a.jpg"])));
    let error = gone["errors"][0].as_str().unwrap();
    assert!(error.starts_with("Image processing failed. Failed to download file from photos/gone.jpg"), "{error}");
}

/// Spec 7: what is added where it is asked for.
#[tokio::test]
async fn originals_are_told_of_at_length() {
    let server = server().await;
    let mut asked = job("turned.jpg", json!([saved("no_op", json!({}), "a.jpg")]));
    for (name, value) in [("get_exif", json!(true)), ("extended_metadata", json!("true")), ("hash", json!("crc32"))] {
        asked[name] = value;
    }
    let results = done(&server, &asked).await;
    let original = &results["original_meta"];
    assert_eq!((&original["width"], &original["height"]), (&json!(80), &json!(120)), "as it is shown: {original}");
    assert_eq!(original["original_exif"]["Orientation"], "Right-top", "{original}");
    assert!(original["all_exif"].as_array().is_some_and(|all| all.contains(&json!(["Orientation", "Right-top"]))));
    assert!(original["filesize"].as_u64().is_some_and(|bytes| bytes > 500), "{original}");
    assert_eq!(original["hash"].as_str().map(str::len), Some(8), "{original}");
    assert!(results["images"][0]["meta"]["filesize"].as_u64().is_some_and(|bytes| bytes > 500), "{results}");
}

/// Spec 7: the long poll of a job that is told to a postback alone runs out of time.
#[tokio::test]
async fn listening_ends() {
    let server = server_of(&format!("{CONFIG}[blitline]\nlisten = \"100ms\"\n")).await;
    let mut told = job("card.jpg", json!([saved("no_op", json!({}), "a.jpg")]));
    told["postback_url"] = "http://127.0.0.1:9/".into();
    let id = submit(&server, &told).await["job_id"].clone();
    let answer = server.api(&format!("/listen/{}", id.as_str().unwrap())).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), json!({ "results": { "is_complete": false, "job_id": id } }));
}

/// Spec 2: what is not offered.
#[tokio::test]
async fn other_services_are_not_offered() {
    let server = server().await;
    for path in ["/convert", "/actions/image_to_vector"] {
        let answer = server.api(path).await;
        assert_eq!((answer.status, answer.json()["results"]["error"].is_string()), (StatusCode::NOT_IMPLEMENTED, true));
    }
    let unknown = server.api("/listen/4weK03Kd0j-D_ttohR7GTcg").await;
    assert_eq!((unknown.status, unknown.json()["results"]["error"].is_string()), (StatusCode::NOT_FOUND, true));
}
