//! Images of Altizure projects, from their registration to Ready or Invalid (spec 3, 5, 7).

use std::time::{Duration, SystemTime};

use mogr::auth::put_url;
use mogr::jobs::records::projects::Projects;
use mogr::jobs::records::projects::image::SILENCE;
use reqwest::Method;
use serde_json::{Value, json};

use crate::altizure_client::{CONFIG, User, oss, oss_as, picture, queue, server, sha1, stored};
use crate::cards;
use crate::server::Server;
use crate::upload::spooled;

/// The test script of spec 8, one to five.
#[tokio::test]
async fn images_come_by_every_way() {
    let fetched = picture(9);
    let server = server(&[("origin.jpg", &fetched)]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let asked = user
        .ask(
            "{ __type(name: \"BucketS3\") { enumValues { name } } getGeoIPInfo { nearestBuckets { bucket cloud } } }",
            json!({}),
        )
        .await;
    let buckets = asked["getGeoIPInfo"]["nearestBuckets"].as_array().unwrap();
    let s3 = buckets.iter().find(|bucket| bucket["cloud"] == "S3").unwrap();
    assert_eq!(asked["__type"]["enumValues"], json!([{ "name": s3["bucket"] }]));

    let png = cards::png(cards::quadrants(50, 30));
    let mut ids = Vec::new();
    for (name, bytes) in [("a.jpg", picture(1)), ("b.jpg", picture(2)), ("c.png", png)] {
        ids.push(user.upload(&pid, name, &bytes).await);
    }
    ids.push(by_credentials(&user, &pid, &picture(3)).await);
    let url = format!("http://{}/photos/origin.jpg", server.running.delivery);
    let query = "mutation ($pid: ID!, $url: String!) { uploadImageURL(pid: $pid, url: $url) { id name state } }";
    let image = user.ask(query, json!({ "pid": pid, "url": url })).await["uploadImageURL"].clone();
    assert_eq!((&image["name"], &image["state"]), (&json!("origin.jpg"), &json!("Uploading")));
    ids.push(image["id"].as_str().unwrap().to_owned());
    for id in &ids {
        let image = user.settled(&pid, id).await;
        assert_eq!((&image["state"], &image["error"]), (&json!("Ready"), &json!([])), "{image}");
        let file = image["filename"].as_str().unwrap();
        assert!(server.objects().join(&pid).join(file).exists(), "{image}");
    }
    let query =
        "query ($pid: ID!) { project(id: $pid) { numImage gigaPixel allImages { totalCount edges { node { id } } } } }";
    let project = user.ask(query, json!({ "pid": pid })).await["project"].clone();
    assert_eq!((&project["numImage"], &project["gigaPixel"]), (&json!(5), &json!(0.01)));
    assert_eq!(project["allImages"]["totalCount"], 5);
    let listed: Vec<Value> = ids.iter().map(|id| json!({ "node": { "id": id } })).collect();
    assert_eq!(project["allImages"]["edges"], json!(listed));

    assert_eq!(has_image(&user, &pid, &sha1(&picture(1))).await, json!({ "id": ids[0] }));
    assert_eq!(has_image(&user, &pid, &sha1(&picture(1)).to_uppercase()).await, json!({ "id": ids[0] }));
    assert_eq!(has_image(&user, &pid, &sha1(&fetched)).await, json!({ "id": ids[4] }));
    assert_eq!(has_image(&user, &pid, &sha1(b"unknown")).await, Value::Null);
    assert_eq!(has_image(&user, &pid, "no checksum").await, Value::Null);
    assert_eq!(spooled(&server), 0);
}

async fn has_image(user: &User<'_>, pid: &str, checksum: &str) -> Value {
    let query = "mutation ($pid: ID!, $sum: String!) { hasImage(pid: $pid, checksum: $sum) { id } }";
    user.ask(query, json!({ "pid": pid, "sum": checksum })).await["hasImage"].clone()
}

async fn register_with_credentials(user: &User<'_>, pid: &str, checksum: &str) -> (String, String) {
    let query = "mutation ($pid: ID!, $sum: String) { uploadImageOSS(pid: $pid, bucket: Local, filename: \"d.jpg\", \
                 type: JPEG, checksum: $sum) { image { id filename } } }";
    let image = user.ask(query, json!({ "pid": pid, "sum": checksum })).await["uploadImageOSS"]["image"].clone();
    let text = |name: &str| image[name].as_str().unwrap().to_owned();
    (text("id"), text("filename"))
}

async fn done(user: &User<'_>, id: &str) -> Value {
    let query = "mutation ($id: ID!) { doneImageUpload(id: $id) { state error } }";
    user.ask(query, json!({ "id": id })).await["doneImageUpload"].clone()
}

async fn by_credentials(user: &User<'_>, pid: &str, bytes: &[u8]) -> String {
    let sts = user.credentials(pid).await;
    let (id, file) = register_with_credentials(user, pid, &sha1(bytes)).await;
    assert_eq!(user.start(&id).await, "Uploading");
    let answer = oss(user.server, &sts, Method::PUT, &format!("/photos/{pid}%2F{file}"), bytes).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
    assert_eq!(user.image(pid, &id).await["state"], "Uploading");
    assert_eq!(done(user, &id).await["state"], "Uploaded");
    id
}

/// Script 4, and what else makes an image invalid.
#[tokio::test]
async fn what_is_not_as_promised_is_invalid_until_it_is_sent_again() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let (right, wrong) = (picture(1), picture(2));
    let (id, target) = user.register(&pid, "a.jpg", Some(&sha1(&right))).await;
    assert_eq!(user.put(&target, &wrong).await.status, 200);
    let image = user.settled(&pid, &id).await;
    let expected = format!("checksum mismatch: the SHA-1 is {}; expected {}", sha1(&wrong), sha1(&right));
    assert_eq!((&image["state"], &image["error"]), (&json!("Invalid"), &json!([expected])));
    assert_eq!(has_image(&user, &pid, &sha1(&right)).await, Value::Null);
    assert!(stored(&server, &pid).is_empty());
    let (again, target) = user.register(&pid, "a.jpg", Some(&sha1(&right))).await;
    assert_eq!((again.as_str(), &user.image(&pid, &id).await["state"]), (id.as_str(), &json!("Pending")));
    assert_eq!(user.put(&target, &right).await.status, 200);
    assert_eq!(user.settled(&pid, &id).await["state"], "Ready");
    // Sent once more, registered or not, nothing changes.
    assert_eq!(user.put(&target, &right).await.status, 200);
    assert_eq!(user.register(&pid, "a.jpg", Some(&sha1(&right))).await.0, id);
    assert_eq!(user.image(&pid, &id).await["state"], "Ready");
    assert_eq!(stored(&server, &pid).len(), 1);

    let gif = cards::encoded(cards::quadrants(9, 9), image::ImageFormat::Gif);
    let broken = &right[..right.len() / 4];
    for (name, bytes, problem) in [
        ("text.jpg", &b"no picture"[..], "the image cannot be decoded"),
        ("anim.gif", &gif[..], "the format is \"gif\"; expected one of jpeg, png, tiff"),
        ("half.jpg", broken, "the image cannot be decoded"),
        ("empty.jpg", b"", "the image cannot be decoded"),
    ] {
        let id = user.upload(&pid, name, bytes).await;
        let image = user.settled(&pid, &id).await;
        let error = image["error"][0].as_str().unwrap_or_default();
        assert!(image["state"] == "Invalid" && error.starts_with(problem), "{name}: {image}");
    }
}

#[tokio::test]
async fn what_an_owner_says_is_done_must_be_there() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let (id, _) = register_with_credentials(&user, &pid, &sha1(b"x")).await;
    assert_eq!(done(&user, &id).await, json!({ "state": "Invalid", "error": ["object not found"] }));
    let url = format!("http://{}/photos/missing.jpg", server.running.delivery);
    let query =
        "mutation ($pid: ID!, $url: String!) { uploadImageURL(pid: $pid, url: $url, filename: \"x.jpg\") { id } }";
    for url in [url.as_str(), "http://192.168.0.1/a.jpg"] {
        let told = user.ask(query, json!({ "pid": pid, "url": url })).await;
        let image = user.settled(&pid, told["uploadImageURL"]["id"].as_str().unwrap()).await;
        let error = image["error"][0].as_str().unwrap();
        assert!(image["state"] == "Invalid" && error.starts_with("the image could not be fetched"), "{image}");
    }
    let told = user.answer(query, json!({ "pid": pid, "url": "file:///etc/passwd" })).await;
    assert!(told["errors"][0]["message"].as_str().unwrap().contains("expected an http or https URL"), "{told}");
}

/// Script 5: credentials are for no image and write nothing but images of their project.
#[tokio::test]
async fn credentials_write_registered_images_of_their_project_only() {
    let server = server(&[("cat.jpg", &picture(1))]).await;
    let user = User::new(&server, "AK");
    let (pid, other) = (user.project().await, user.project().await);
    let sts = user.credentials(&pid).await;
    let query = "query ($id: ID!) { project(id: $id) { numImage } }";
    assert_eq!(user.ask(query, json!({ "id": pid })).await["project"]["numImage"], 0);
    assert_eq!(
        (&sts["bucket"], sts["endpoint"].as_str()),
        (&json!("photos"), Some(&*format!("http://{}", server.running.api)))
    );
    let expire = chrono::DateTime::parse_from_rfc3339(sts["expire"].as_str().unwrap()).unwrap();
    assert!(
        sts["expire"].as_str().unwrap().ends_with('Z')
            && expire.timestamp() as u64 > mogr::http::target::unix_now() + 3500
    );
    let (_, file) = register_with_credentials(&user, &pid, &sha1(b"x")).await;
    let (_, foreign) = register_with_credentials(&user, &other, &sha1(b"x")).await;
    for (method, path, status) in [
        (Method::PUT, format!("/photos/{other}/{foreign}"), 403),
        (Method::PUT, format!("/photos/{pid}/not-registered.jpg"), 403),
        (Method::PUT, format!("/elsewhere/{pid}/{file}"), 403),
        (Method::GET, format!("/photos/{pid}/{file}"), 501),
        (Method::POST, format!("/{pid}/{file}?uploads"), 501),
        (Method::PUT, format!("/{pid}/{file}?partNumber=1&uploadId=x"), 501),
        (Method::PUT, format!("/{other}/{foreign}"), 403),
        (Method::PUT, "/photos/cat.jpg".to_owned(), 404),
        (Method::PUT, format!("/photos/{pid}/{file}"), 200),
    ] {
        let answer = oss(&server, &sts, method, &path, b"x").await;
        assert_eq!(answer.status, status, "{path} {}", answer.text());
        let code = [(403, "<Code>AccessDenied</Code>"), (501, "<Code>NotImplemented</Code>"), (404, ""), (200, "")];
        let code = code.into_iter().find(|(of, _)| *of == status).unwrap().1;
        assert!(answer.text().contains(code), "{}", answer.text());
        let id = format!("<RequestId>{}</RequestId>", answer.header("x-request-id"));
        assert_eq!(answer.text().contains(&id), matches!(status, 403 | 501), "{}", answer.text());
    }
    let mut forged = sts.clone();
    forged["secret"] = json!("guessed");
    assert_eq!(oss(&server, &forged, Method::PUT, &format!("/photos/{pid}/{file}"), b"y").await.status, 403);
    assert_eq!(std::fs::read(server.objects().join(&pid).join(&file)).unwrap(), b"x");
    assert!(stored(&server, &other).is_empty());
}

/// Script 7: URLs are good for three hours, and for what was signed.
#[tokio::test]
async fn signed_urls_are_good_for_one_object_and_three_hours() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let (_, target) = user.register(&pid, "a.jpg", None).await;
    let (path, query) = target.split_once('?').unwrap();
    let expires: u64 = query.split(['=', '&']).nth(1).unwrap().parse().unwrap();
    let life = expires - mogr::http::target::unix_now();
    assert!((3 * 3600 - 60..=3 * 3600).contains(&life), "{life}");
    let old = put_url::sign(path, mogr::http::target::unix_now() - 1, "SK");
    let (_, other) = user.register(&pid, "b.jpg", None).await;
    let foreign = format!("{}?{query}", other.split_once('?').unwrap().0);
    for (target, text) in [
        (old.as_str(), "the signed URL has expired"),
        (&target.replace("expires=", "expires=9"), "bad signature of the URL"),
        (&foreign, "bad signature of the URL"),
        (&put_url::sign(path, expires, "OS"), "bad signature of the URL"),
        (&put_url::sign(&format!("/photos/{pid}/none.jpg"), expires, "SK"), "not allowed"),
        (&put_url::sign(&format!("/elsewhere/{pid}/a.jpg"), expires, "SK"), "not allowed"),
    ] {
        let answer = user.put(target, b"x").await;
        assert!(answer.status == 403 && answer.text().contains(text), "{target}: {}", answer.text());
    }
    let large = user.put(&target, &vec![0; (1 << 20) + 1]).await;
    assert!(large.status == 413 && large.text().contains("<Code>EntityTooLarge</Code>"), "{}", large.text());
    assert!(stored(&server, &pid).is_empty());
    let preflight =
        server.api_send(Method::OPTIONS, &target, &[("access-control-request-headers", "content-type")], "").await;
    assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-headers")), (204, "content-type"));
    assert_eq!(preflight.header("access-control-allow-methods"), "PUT, OPTIONS");
    assert_eq!(spooled(&server), 0);
}

/// A body that stops half way leaves nothing, and the image waits.
#[tokio::test]
async fn half_an_upload_is_none() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let bytes = picture(1);
    let (id, target) = user.register(&pid, "a.jpg", Some(&sha1(&bytes))).await;
    user.start(&id).await;
    let mut stream = tokio::net::TcpStream::connect(server.running.api).await.unwrap();
    let head = format!("PUT {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&bytes[..100]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ended = stream.read_to_end(&mut rest).await;
    let cleaned = user.until(async || json!(spooled(&server)), |files| *files == 0).await;
    assert_eq!((cleaned, stored(&server, &pid).len()), (json!(0), 0));
    assert_eq!(user.image(&pid, &id).await["state"], "Uploading");
    assert_eq!(user.put(&target, &bytes).await.status, 200);
    assert_eq!(user.settled(&pid, &id).await["state"], "Ready");
}

/// Script 7: 65 minutes of silence.
#[tokio::test]
async fn silence_ends_an_upload() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let (id, target) = user.register(&pid, "a.jpg", None).await;
    user.start(&id).await;
    let queue = queue(&server).await;
    let projects = Projects::over(&queue);
    projects.end_silent(SystemTime::now() + SILENCE - Duration::from_secs(60)).await.unwrap();
    assert_eq!(user.image(&pid, &id).await["state"], "Uploading");
    projects.end_silent(SystemTime::now() + SILENCE).await.unwrap();
    let image = user.image(&pid, &id).await;
    assert_eq!((&image["state"], &image["error"][0]), (&json!("Invalid"), &json!("nothing happened for 65 minutes")));
    assert_eq!(user.put(&target, &picture(1)).await.status, 200);
    assert_eq!(user.settled(&pid, &id).await["state"], "Ready");
    queue.close().await;
}

/// On MinIO the caller's name is kept, unless it is taken or none.
#[tokio::test]
async fn names_are_kept_where_they_can_be() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let query = "mutation ($pid: ID!, $name: String!) { uploadImageMinio(pid: $pid, bucket: Local, filename: $name, \
                 type: PNG) { url image { id name filename } } }";
    let mut files = Vec::new();
    for name in ["猫 1.png", "猫 1.png", "../x", "猫 1.png"] {
        let told = user.ask(query, json!({ "pid": pid, "name": name })).await["uploadImageMinio"].clone();
        assert_eq!(told["image"]["name"], name);
        files.push((told["url"].as_str().unwrap().to_owned(), told["image"]["filename"].as_str().unwrap().to_owned()));
    }
    assert_eq!(files[0].1, "猫 1.png");
    assert!(files[1].1.ends_with("-猫 1.png") && files[1].1 != files[3].1, "{files:?}");
    assert!(files[2].1.ends_with(".png") && !files[2].1.contains('/'), "{files:?}");
    let url = url::Url::parse(&files[0].0).unwrap();
    let target = format!("{}?{}", url.path(), url.query().unwrap());
    assert_eq!(user.put(&target, &picture(1)).await.status, 200);
    assert_eq!(stored(&server, &pid), ["猫 1.png"]);
}

/// A PUT whose project is removed while it is on its way leaves no object.
#[tokio::test]
async fn what_arrives_for_a_removed_project_is_not_kept() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    for of in ["removeProject(id: $id) { id }", "removeImages(ids: [$image]) { id }"] {
        let (pid, bytes) = (user.project().await, picture(1));
        let (id, target) = user.register(&pid, "a.jpg", None).await;
        let mut stream = tokio::net::TcpStream::connect(server.running.api).await.unwrap();
        let head =
            format!("PUT {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", bytes.len());
        stream.write_all(&[head.as_bytes(), &bytes[..100]].concat()).await.unwrap();
        // Once it is on the disk, the request has been let in.
        user.until(async || json!(spooled(&server)), |files| *files == 1).await;
        let query =
            format!("mutation ($id: ID!, $image: ID!) {{ a: hasImage(pid: $id, checksum: $image) {{ id }} {of} }}");
        user.ask(&query, json!({ "id": pid, "image": id })).await;
        stream.write_all(&bytes[100..]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{of}: {answer}");
        assert!(stored(&server, &pid).is_empty(), "{of}");
        user.until(async || json!(spooled(&server)), |files| *files == 0).await;
    }
}

/// A project whose server dies before its objects are deleted.
#[tokio::test]
async fn the_next_server_deletes_what_is_left() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let (pid, kept) = (user.project().await, user.project().await);
    for pid in [&pid, &kept] {
        let id = user.upload(pid, "a.jpg", &picture(1)).await;
        user.settled(pid, &id).await;
    }
    let beside = queue(&server).await;
    let projects = Projects::over(&beside);
    let id = mogr::jobs::model::JobId::parse(&pid).unwrap();
    assert!(projects.remove(&id, "AK", SystemTime::now()).await.unwrap());
    assert!(!projects.remove(&id, "AK", SystemTime::now()).await.unwrap(), "it is there no more");
    assert_eq!((projects.find(&id).await.unwrap(), stored(&server, &pid).len()), (None, 1));
    let server = server.restarted().await;
    let user = User::new(&server, "AK");
    user.until(async || json!(projects.removed().await.unwrap().len()), |removed| *removed == 0).await;
    assert_eq!((stored(&server, &pid).len(), stored(&server, &kept).len()), (0, 1));
    let query = "{ my { allProjects { totalCount } } }";
    assert_eq!(user.ask(query, json!({})).await["my"]["allProjects"]["totalCount"], 1);
    beside.close().await;
}

/// A bucket in the host, as `ali-oss` writes it, or nowhere.
#[tokio::test]
async fn buckets_of_credentials_may_stand_in_the_host() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let (sts, bytes) = (user.credentials(&pid).await, picture(1));
    let (id, file) = register_with_credentials(&user, &pid, &sha1(&bytes)).await;
    let answer =
        oss_as(&server, &sts, Method::PUT, (&format!("/{pid}/{file}"), &format!("/photos/{pid}/{file}")), &bytes).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
    assert!(!answer.header("x-oss-request-id").is_empty());
    done(&user, &id).await;
    assert_eq!(user.settled(&pid, &id).await["state"], "Ready");
    // The signature holds for one bucket.
    let answer =
        oss_as(&server, &sts, Method::PUT, (&format!("/{pid}/{file}"), &format!("/elsewhere/{pid}/{file}")), b"x")
            .await;
    assert_eq!(answer.status, 403);
    assert_eq!(std::fs::read(server.objects().join(&pid).join(&file)).unwrap(), bytes);
}

/// Everybody may have an image where its bucket is served, once it is there.
#[tokio::test]
async fn images_have_addresses() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let (pid, bytes) = (user.project().await, picture(1));
    let query = "query ($pid: ID!, $id: ID!) { project(id: $pid) { image(id: $id) { url } } }";
    let url =
        async |id: &str| user.ask(query, json!({ "pid": pid, "id": id })).await["project"]["image"]["url"].clone();
    let (waiting, _) = user.register(&pid, "b.jpg", None).await;
    assert_eq!(url(&waiting).await, Value::Null);
    let id = user.upload(&pid, "a.jpg", &bytes).await;
    let url = url(&id).await;
    let base = format!("http://{}", server.running.delivery);
    let target = url.as_str().unwrap().strip_prefix(&base).unwrap_or_else(|| panic!("{url} is below {base}"));
    assert_eq!(server.get(target).await.body, bytes);
}

/// Limits of the configuration, with the API's number for them.
#[tokio::test]
async fn there_are_as_many_things_as_the_configuration_says() {
    let config = CONFIG.replace("[altizure]", "[altizure]\nmax_projects = 1\nmax_images = 1");
    let server = Server::configured(&config, "", &[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    user.register(&pid, "a.jpg", None).await;
    for (document, problem) in [
        ("mutation { createProject(name: \"x\") { id } }", "too many projects of this user; expected at most 1"),
        (
            "mutation ($pid: ID!) { uploadImageS3(pid: $pid, bucket: Local, filename: \"b\") { url } }",
            "too many images in the project; expected at most 1",
        ),
        (
            "mutation ($pid: ID!) { uploadImageOSS(pid: $pid, bucket: Local, filename: \"b\") { image { id } } }",
            "too many images in the project; expected at most 1",
        ),
        (
            "mutation ($pid: ID!) { uploadImageURL(pid: $pid, url: \"http://127.0.0.1/x\") { id } }",
            "too many images in the project; expected at most 1",
        ),
    ] {
        let told = user.answer(document, json!({ "pid": pid })).await;
        let error = &told["errors"][0];
        assert_eq!(
            (&error["extensions"]["code"], error["message"].as_str().unwrap().ends_with(problem)),
            (&json!(9), true),
            "{told}"
        );
    }
}
