//! The documents of the API's pages and of its published clients, with what they read of the answers; and each number that a
//! refusal may have.

use mogr::jobs::records::projects::Projects;
use reqwest::Method;
use serde_json::{Value, json};

use crate::altizure_client::{CONFIG, User, oss, picture, queue, server, sha1, stored};
use crate::server::Server;

/// Whether an answer is as it was expected: members that nobody expects are a mistake. Texts in angle brackets stand for texts of
/// a form.
fn is_like(found: &Value, expected: &Value) -> bool {
    let of = |text: &Value, length: usize, holds: fn(char) -> bool| {
        text.as_str().is_some_and(|text| text.len() == length && text.chars().all(holds))
    };
    match expected {
        Value::String(form) if form == "<id>" => of(found, 24, |it| it.is_ascii_hexdigit()),
        Value::String(form) if form == "<time>" => {
            // Clients parse exactly this.
            let text = found.as_str().unwrap_or_default();
            chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").is_ok()
        }
        Value::String(form) if form == "<text>" => found.as_str().is_some_and(|text| !text.is_empty()),
        Value::Object(members) => found.as_object().is_some_and(|object| {
            object.len() == members.len()
                && members.iter().all(|(name, value)| object.get(name).is_some_and(|found| is_like(found, value)))
        }),
        Value::Array(entries) => found.as_array().is_some_and(|array| {
            array.len() == entries.len() && array.iter().zip(entries).all(|(found, entry)| is_like(found, entry))
        }),
        exact => found == exact,
    }
}

async fn check(user: &User<'_>, query: &str, variables: &Value, expected: &Value) -> Value {
    let data = user.ask(query, variables.clone()).await;
    assert!(is_like(&data, expected), "{query}\n{data}\n{expected}");
    data
}

/// Section 2 and 4: what is asked for without a project.
#[tokio::test]
async fn questions_about_the_service() {
    let server = server(&[("a.jpg", &picture(1))]).await;
    let user = User::new(&server, "AK");
    let api = format!("http://{}", server.running.api);
    let bucket = |cloud: &str| json!({ "bucket": "Local", "display": "Local", "cloud": cloud });
    let buckets = ["S3", "OSS", "MINIO"].map(bucket);
    let names = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Value>();
    let rows = [
        ("{ hello }", json!({ "hello": "Hello" })),
        ("{ versions { api } }", json!({ "versions": { "api": "2.7.4" } })),
        (
            "{ getGeoIPInfo { id nearestBuckets { bucket display cloud } nearestModelBuckets { bucket } nearestMetaBuckets { bucket } } }",
            json!({ "getGeoIPInfo": { "id": "<text>", "nearestBuckets": buckets, "nearestModelBuckets": [],
                "nearestMetaBuckets": [] } }),
        ),
        (
            "{ support { supportedCloud(kind: image) systemMode endpoints { api web } } }",
            json!({ "support": { "supportedCloud": ["S3", "OSS", "MINIO"], "systemMode": "Normal",
                "endpoints": { "api": format!("{api}/graphql"), "web": api } } }),
        ),
        ("{ support { supportedCloud(kind: model) } }", json!({ "support": { "supportedCloud": [] } })),
        (
            "{ support { errorCodeInfo(code: TaskFailed, lang: zh_cn) { code description solution } } }",
            json!({ "support": { "errorCodeInfo": { "code": "TaskFailed", "description": "<text>", "solution": "<text>" } } }),
        ),
        (
            "{ utility { sizeToGigaPixel(width: 4000, height: 3000, numImg: 10) } }",
            json!({ "utility": { "sizeToGigaPixel": 0.12 } }),
        ),
        // An image counts two megapixels at least.
        (
            "{ utility { sizeToGigaPixel(width: 10, height: 10, numImg: 1) } }",
            json!({ "utility": { "sizeToGigaPixel": 0.002 } }),
        ),
        (
            "{ my { self { email name username } allProjects(first: 10) { totalCount edges { node { id } } } } }",
            json!({ "my": { "self": { "email": "AK", "name": "AK", "username": "AK" },
                "allProjects": { "totalCount": 0, "edges": [] } } }),
        ),
        (
            "{ __type(name: \"BucketS3\") { enumValues { name } } }",
            json!({ "__type": { "enumValues": names(&["Local"]) } }),
        ),
        (
            "{ __type(name: \"IMAGE_TYPE\") { enumValues { name } } }",
            json!({ "__type": { "enumValues": names(&["JPEG", "PNG", "TIFF"]) } }),
        ),
        (
            "{ __type(name: \"PROJECT_VISIBILITY\") { enumValues { name } } }",
            json!({ "__type": { "enumValues": names(&["public", "unlisted", "private"]) } }),
        ),
        (
            "{ __type(name: \"IMPORTED_MODEL_TYPE\") { enumValues { name } } }",
            json!({ "__type": { "enumValues": names(&["CAD", "PHOTOGRAMMETRY", "PTCLOUD"]) } }),
        ),
    ];
    for (query, expected) in rows {
        check(&user, query, &json!({}), &expected).await;
    }
    let url = format!("http://{}/photos/a.jpg", server.running.delivery);
    let query = "query ($url: String!) { support { networkTest(url: $url) } }";
    check(&user, query, &json!({ "url": url }), &json!({ "support": { "networkTest": "Success" } })).await;
    for url in ["http://192.168.0.1/", "ftp://example.com/", ""] {
        let data = user.ask(query, json!({ "url": url })).await;
        let told = data["support"]["networkTest"].as_str().unwrap();
        assert!(!told.is_empty() && told != "Success", "{url}: {told}");
    }
}

/// Section 2: the forms of a request.
#[tokio::test]
async fn requests_come_as_json_and_as_forms() {
    let server = server(&[]).await;
    let json = json!({ "query": "query A { hello } query B { versions { api } }", "operationName": "A" }).to_string();
    let (hello, versions) = (json!({ "hello": "Hello" }), json!({ "versions": { "api": "2.7.4" } }));
    let form = "query=query+V(%24u%3A+Boolean!)+%7B+hello+%40include(if%3A+%24u)+%7D&variables=%7B%22u%22%3Atrue%7D";
    for (media_type, accept, body, data) in [
        ("application/json", "application/json", json.as_str(), &hello),
        ("application/json; charset=utf-8", "application/graphql-response+json, application/json", &json, &hello),
        ("application/x-www-form-urlencoded", "*/*", "query=%7B+versions+%7B+api+%7D+%7D", &versions),
        ("application/x-www-form-urlencoded; charset=utf-8", "*/*", form, &hello),
    ] {
        let headers = [("key", "AK"), ("content-type", media_type), ("accept", accept)];
        let answer = server.api_send(Method::POST, "/graphql", &headers, body.to_owned()).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"), "{media_type}");
        assert_eq!(answer.json(), json!({ "data": data }), "{media_type}");
    }
}

/// Section 3, in the order of its steps and with the documents of alti-cli and of the two published examples.
#[tokio::test]
async fn the_flow_of_an_upload() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let create = "mutation { createProject(name: \"pictures\", type: free, visibility: private, imported: false) { id name \
                  isImported importedState projectType numImage gigaPixel taskState date cloudPath { key } } }";
    let made = json!({ "createProject": { "id": "<id>", "name": "pictures", "isImported": false, "importedState": "Native",
        "projectType": "free", "numImage": 0, "gigaPixel": 0.0, "taskState": null, "date": "<time>", "cloudPath": [] } });
    let pid = check(&user, create, &json!({}), &made).await["createProject"]["id"].clone();
    let [one, two, three] = [1, 2, 3].map(picture);
    let has = "mutation ($pid: ID!, $sum: String!) { hasImage(pid: $pid, checksum: $sum) { id name } }";
    let sums = |bytes: &[u8]| json!({ "pid": pid, "sum": sha1(bytes) });
    check(&user, has, &sums(&one), &json!({ "hasImage": null })).await;

    // Values of enums stand in the document.
    let s3 = "mutation ($pid: ID!, $sum: String) { uploadImageS3(pid: $pid, bucket: Local, filename: \"a.jpg\", type: JPEG, \
              checksum: $sum) { url image { id name filename state error checksum } } }";
    let image = |name: &str, state: &str, sum: Value| json!({ "id": "<id>", "name": name, "filename": "<text>", "state": state, "error": [], "checksum": sum });
    let expected =
        json!({ "uploadImageS3": { "url": "<text>", "image": image("a.jpg", "Pending", sha1(&one).into()) } });
    let upload = check(&user, s3, &sums(&one), &expected).await["uploadImageS3"].clone();
    let started = "mutation ($id: ID!) { startImageUpload(id: $id) { id state } }";
    let uploading = |id: &Value| json!({ "startImageUpload": { "id": id, "state": "Uploading" } });
    let id = &upload["image"]["id"];
    check(&user, started, &json!({ "id": id }), &uploading(id)).await;
    let url = url::Url::parse(upload["url"].as_str().unwrap()).unwrap();
    let put = user.put(&format!("{}?{}", url.path(), url.query().unwrap()), &one).await;
    assert_eq!((put.status.as_u16(), put.text()), (200, ""));

    // Variables of the type of an enum; `url` alone registers too.
    let minio = "mutation ($pid: ID!, $bucket: BucketMinio!, $type: IMAGE_TYPE) { uploadImageMinio(pid: $pid, bucket: $bucket, \
                 filename: \"b.jpg\", type: $type) { url } }";
    let variables = json!({ "pid": pid, "bucket": "Local", "type": "JPEG" });
    let expected = json!({ "uploadImageMinio": { "url": "<text>" } });
    let upload = check(&user, minio, &variables, &expected).await["uploadImageMinio"].clone();
    let url = url::Url::parse(upload["url"].as_str().unwrap()).unwrap();
    assert!(url.path().ends_with("/b.jpg"), "{url}");
    assert_eq!(user.put(&format!("{}?{}", url.path(), url.query().unwrap()), &two).await.status, 200);

    let sts = "mutation ($pid: ID!) { uploadImageOSS(pid: $pid, bucket: Local, filename: \"x\") { sts { id secret token bucket \
               endpoint expire } } }";
    let expected = json!({ "uploadImageOSS": { "sts": { "id": "<text>", "secret": "<text>", "token": "<text>",
        "bucket": "photos", "endpoint": format!("http://{}", server.running.api), "expire": "<time>" } } });
    let sts = check(&user, sts, &json!({ "pid": pid }), &expected).await["uploadImageOSS"]["sts"].clone();
    let third = "mutation ($pid: ID!, $sum: String) { uploadImageOSS(pid: $pid, bucket: Local, filename: \"c.jpg\", type: JPEG, \
                 checksum: $sum) { image { id filename } } }";
    let expected = json!({ "uploadImageOSS": { "image": { "id": "<id>", "filename": "<text>" } } });
    let image = check(&user, third, &sums(&three), &expected).await["uploadImageOSS"]["image"].clone();
    let id = &image["id"];
    check(&user, started, &json!({ "id": id }), &uploading(id)).await;
    let path = format!("/photos/{}/{}", pid.as_str().unwrap(), image["filename"].as_str().unwrap());
    assert_eq!(oss(&server, &sts, Method::PUT, &path, &three).await.status, 200);
    let done = "mutation ($id: ID!) { doneImageUpload(id: $id) { id state } }";
    check(&user, done, &json!({ "id": id }), &json!({ "doneImageUpload": { "id": id, "state": "Uploaded" } })).await;

    let ask = "query ($pid: ID!) { project(id: $pid) { numImage gigaPixel allImages(first: 50, filter: All) { totalCount \
               pageInfo { hasPreviousPage hasNextPage startCursor endCursor } edges { cursor node { id name state error \
               grounded } } } imageByFilename(filename: \"b.jpg\") { name state } hasMetaFile(checksum: \"x\") { id } } }";
    let all_ready = |data: &Value| data["project"]["gigaPixel"] == json!(0.006);
    let found = user.until(async || user.ask(ask, json!({ "pid": pid })).await, all_ready).await;
    let edge = |name: &str| json!({ "cursor": "<text>", "node": { "id": "<id>", "name": name, "state": "Ready", "error": [], "grounded": false } });
    let expected = json!({ "project": { "numImage": 3, "gigaPixel": 0.006, "allImages": { "totalCount": 3,
        "pageInfo": { "hasPreviousPage": false, "hasNextPage": false, "startCursor": "<text>", "endCursor": "<text>" },
        "edges": [edge("a.jpg"), edge("b.jpg"), edge("c.jpg")] },
        "imageByFilename": { "name": "b.jpg", "state": "Ready" }, "hasMetaFile": null } });
    assert!(is_like(&found, &expected), "{found}\n{expected}");
    check(&user, has, &sums(&one), &json!({ "hasImage": { "id": "<id>", "name": "a.jpg" } })).await;

    let task = json!({ "id": "<id>", "taskType": "Native", "state": "Pending", "queueing": 3, "step": 0, "totalSteps": 3,
        "startDate": "<time>", "endDate": null });
    let beside = queue(&server).await;
    beside.set_paused("altizure", true).await.unwrap();
    let start = "mutation ($pid: ID!) { startReconstructionWithError(id: $pid, options: { taskType: Native, coupons: [] }) { \
                 error { code message } task { id taskType state queueing step totalSteps startDate endDate } } }";
    let expected = json!({ "startReconstructionWithError": { "error": null, "task": task } });
    check(&user, start, &json!({ "pid": pid }), &expected).await;
    let stop = "mutation ($pid: ID!) { stopReconstruction(id: $pid) { id state } }";
    let expected = json!({ "stopReconstruction": { "id": "<id>", "state": "Stopped" } });
    check(&user, stop, &json!({ "pid": pid }), &expected).await;
    beside.close().await;

    let search = "query ($pid: String) { search { projectID(id: $pid, limit: 1, myProject: true) { id name } } }";
    let expected = json!({ "search": { "projectID": [{ "id": pid, "name": "pictures" }] } });
    check(&user, search, &json!({ "pid": pid }), &expected).await;
    let remove = "mutation ($pid: ID!) { removeProject(id: $pid) { id } }";
    check(&user, remove, &json!({ "pid": pid }), &json!({ "removeProject": { "id": pid } })).await;
    check(&user, search, &json!({ "pid": pid }), &json!({ "search": { "projectID": [] } })).await;
    let pid = pid.as_str().unwrap();
    user.until(async || json!(stored(&server, pid)), |files| *files == json!([])).await;
}

/// Each number of ProjectError that this server gives; both start calls give the same.
#[tokio::test]
async fn refusals_have_their_numbers() {
    let config = CONFIG.replace("[jobs]", "[jobs]\nmax_waiting = 1");
    let server = Server::configured(&config, "", &[]).await;
    let (user, narrow) = (User::new(&server, "AK"), User::new(&server, "NARROW"));
    let beside = queue(&server).await;
    let made = Projects::over(&beside).create("NARROW", "x", "{}", "photos", std::time::SystemTime::now()).await;
    let (closed, empty) = (made.unwrap().unwrap().id.to_string(), user.project().await);
    let (waiting, full, running) = (user.project().await, user.project().await, user.project().await);
    user.register(&waiting, "a.jpg", None).await;
    for (pid, number) in [(&full, 1), (&full, 2), (&running, 3)] {
        let id = user.upload(pid, "a.jpg", &picture(number)).await;
        assert_eq!(user.settled(pid, &id).await["state"], "Ready");
    }
    beside.set_paused("altizure", true).await.unwrap();
    let start =
        |call: &str| format!("mutation ($id: ID!) {{ {call}(id: $id) {{ error {{ code message }} task {{ id }} }} }}");
    let call = "startReconstructionWithError";
    assert!(user.ask(&start(call), json!({ "id": running })).await[call]["task"]["id"].is_string());
    for (who, pid, code) in [
        (&user, empty.as_str(), 2),
        (&user, &waiting, 3),
        (&user, &running, 4),
        (&user, "5f1c2e8b38b9f324e8a1b2c3", 5),
        (&user, "no id", 5),
        (&narrow, &empty, 5),
        (&narrow, &closed, 6),
        (&user, &full, 9),
    ] {
        for call in ["startReconstructionWithError", "preStartReconstruction"] {
            // That waits for the images.
            if (call, code) == ("preStartReconstruction", 3) {
                continue;
            }
            let expected = json!({ "error": { "code": code, "message": "<text>" }, "task": null });
            check(who, &start(call), &json!({ "id": pid }), &json!({ call: expected })).await;
        }
    }
    // Kinds of tasks are an enum, so that another kind is no request at all.
    let wrong =
        "mutation ($id: ID!) { startReconstructionWithError(id: $id, options: { taskType: Other }) { task { id } } }";
    let told = user.answer(wrong, json!({ "id": empty })).await;
    assert!(told["errors"][0]["message"].as_str().unwrap().contains("expected one of Native, Dense"), "{told}");
    beside.close().await;
}
