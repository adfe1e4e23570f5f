//! Altizure's GraphQL: who may ask what, and what is told (spec 2, 4).

use mogr::auth::user_token;
use reqwest::Method;
use serde_json::{Value, json};

use crate::altizure_client::{User, picture, server, stored};

#[tokio::test]
async fn applications_have_keys_and_users_have_tokens() {
    let server = server(&[]).await;
    let ask = async |headers: &[(&str, &str)], body: &str| {
        let answer = server.api_send(Method::POST, "/graphql", headers, body.to_owned()).await;
        (answer.status.as_u16(), answer.json())
    };
    let json_type = ("content-type", "application/json");
    let query =
        json!({ "query": "{ versions { api } support { systemMode supportedCloud(kind: image) } hello }" }).to_string();
    for headers in [&[json_type][..], &[json_type, ("key", "nobody")]] {
        let (status, body) = ask(headers, &query).await;
        let message = json!([{ "message": "key is missing or unknown; expected an application's key" }]);
        assert_eq!((status, &body), (401, &json!({ "errors": message })));
    }
    let key = ("key", "AK");
    let told = json!({ "data": { "versions": { "api": "2.7.4" }, "hello": "Hello",
        "support": { "systemMode": "Normal", "supportedCloud": ["S3", "OSS", "MINIO"] } } });
    assert_eq!(ask(&[json_type, key], &query).await, (200, told));
    let form = [("content-type", "application/x-www-form-urlencoded"), key];
    assert_eq!(ask(&form, "query=%7B+hello+%7D").await, (200, json!({ "data": { "hello": "Hello" } })));

    let mine = json!({ "query": "{ my { self { email } } }" }).to_string();
    let old = user_token::issue("AK", 1, &server.running.state.keys).unwrap();
    for token in ["", "x", &old] {
        let (status, body) = ask(&[json_type, key, ("altitoken", token)], &mine).await;
        let message = &body["errors"][0]["message"];
        assert_eq!(
            (status, &body["data"], message.as_str()),
            (200, &json!({ "my": null }), Some("altitoken is missing, wrong or expired; expected a user's token"))
        );
    }
    let sign_in = |password: &str| {
        let query = format!("mutation {{ getUserToken(email: \"OTHER\", password: \"{password}\", fresh: true) }}");
        json!({ "query": query }).to_string()
    };
    assert_eq!(ask(&[json_type, key], &sign_in("wrong")).await, (200, json!({ "data": { "getUserToken": null } })));
    let (_, body) = ask(&[json_type, key], &sign_in("OS")).await;
    let token = body["data"]["getUserToken"].as_str().unwrap().to_owned();
    let (_, body) = ask(&[json_type, key, ("altitoken", &token)], &mine).await;
    assert_eq!(body, json!({ "data": { "my": { "self": { "email": "OTHER" } } } }));
}

#[tokio::test]
async fn what_is_malformed_is_refused() {
    let server = server(&[]).await;
    let headers = [("key", "AK"), ("content-type", "application/json")];
    for (body, status, problem) in [
        ("".to_owned(), 400, "no JSON object"),
        ("{\"query\":1}".to_owned(), 400, "query is no text"),
        (json!({ "query": "{" }).to_string(), 200, "unexpected end of the document"),
        (json!({ "query": "{ no }" }).to_string(), 200, "there is no field"),
        (json!({ "query": "{ hello ".repeat(30) }).to_string(), 200, "nested more than 20 deep"),
        (" ".repeat(300 << 10), 413, "more than 262144 bytes"),
    ] {
        let answer = server.api_send(Method::POST, "/graphql", &headers, body).await;
        let told = answer.json();
        let message = told["errors"][0]["message"].as_str().unwrap();
        assert!(answer.status == status && message.contains(problem), "{} {told}", answer.status);
        assert!(told.get("data").is_none(), "{told}");
    }
    let page = server.api("/graphql").await;
    assert!(
        page.status == 200
            && page.text().contains("uploadImageS3")
            && page.header("content-type").starts_with("text/html")
    );
    let asked = [("access-control-request-headers", "altitoken,content-type,key")];
    let preflight = server.api_send(Method::OPTIONS, "/graphql", &asked, "").await;
    assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-headers")), (204, asked[0].1));
}

#[tokio::test]
async fn the_schema_is_introspected() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    for (name, values) in [
        ("BucketS3", &["Local"][..]),
        ("BucketOSS", &["Local"]),
        ("BucketMinio", &["Local"]),
        ("TASK_TYPE", &["Native", "Dense"]),
        ("PROJECT_ERROR_CODE", &["TaskFailed"]),
    ] {
        let query = "query ($name: String!) { __type(name: $name) { enumValues { name } } }";
        let found = user.ask(query, json!({ "name": name })).await["__type"]["enumValues"].clone();
        let expected: Vec<Value> = values.iter().map(|value| json!({ "name": value })).collect();
        assert_eq!(found, json!(expected), "{name}");
    }
}

/// Other people's projects and images look like what is not there.
#[tokio::test]
async fn nobody_sees_what_is_not_theirs() {
    let server = server(&[]).await;
    let (user, other) = (User::new(&server, "AK"), User::new(&server, "OTHER"));
    let pid = user.project().await;
    let id = user.upload(&pid, "a.jpg", &picture(1)).await;
    user.settled(&pid, &id).await;
    let none = "5f1c2e8b38b9f324e8a1b2c3";
    for (document, field) in [
        ("query ($id: ID!) { project(id: $id) { name } }", "project"),
        ("mutation ($id: ID!) { removeProject(id: $id) { id } }", "removeProject"),
        ("mutation ($id: ID!) { stopReconstruction(id: $id) { id } }", "stopReconstruction"),
        (
            "mutation ($id: ID!) { hasImage(pid: $id, checksum: \"da39a3ee5e6b4b0d3255bfef95601890afd80709\") { id } }",
            "hasImage",
        ),
        ("mutation ($id: ID!) { uploadImageS3(pid: $id, bucket: Local, filename: \"a\") { url } }", "uploadImageS3"),
        (
            "mutation ($id: ID!) { uploadImageMinio(pid: $id, bucket: Local, filename: \"a\") { url } }",
            "uploadImageMinio",
        ),
        (
            "mutation ($id: ID!) { uploadImageOSS(pid: $id, bucket: Local, filename: \"a\") { sts { id } image { id } } }",
            "uploadImageOSS",
        ),
        ("mutation ($id: ID!) { uploadImageURL(pid: $id, url: \"http://127.0.0.1/a\") { id } }", "uploadImageURL"),
        ("mutation ($id: ID!) { startImageUpload(id: $id) { id } }", "startImageUpload"),
        ("mutation ($id: ID!) { doneImageUpload(id: $id) { id } }", "doneImageUpload"),
    ] {
        let target = if field.ends_with("ImageUpload") { &id } else { &pid };
        for wrong in [target.as_str(), none, "no id"] {
            let found = other.ask(document, json!({ "id": wrong })).await;
            assert_eq!(found[field], Value::Null, "{field} {wrong}");
        }
    }
    let removed =
        other.ask("mutation ($ids: [ID!]!) { removeImages(ids: $ids) { id } }", json!({ "ids": [id, none] })).await;
    assert_eq!(removed["removeImages"], json!([null, null]));
    let started = "mutation ($id: ID!) { startReconstructionWithError(id: $id) { error { code } task { id } } }";
    let found = other.ask(started, json!({ "id": pid })).await;
    assert_eq!(found["startReconstructionWithError"], json!({ "error": { "code": 5 }, "task": null }));
    assert_eq!(
        other.ask("{ my { allProjects { totalCount } } }", json!({})).await["my"]["allProjects"]["totalCount"],
        0
    );
    assert_eq!(user.image(&pid, &id).await["state"], "Ready");
    let narrow = User::new(&server, "NARROW");
    let told = narrow.answer("mutation { createProject(name: \"x\") { id } }", json!({})).await;
    assert!(told["errors"][0]["message"].as_str().unwrap().contains("does not open the bucket"), "{told}");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let mut ids = Vec::new();
    for name in ["one", "two 100%", "three", "four", "five"] {
        let made = user.ask("mutation ($n: String!) { createProject(name: $n) { id name date isImported importedState projectType } }", json!({ "n": name })).await;
        let project = &made["createProject"];
        assert_eq!(
            (&project["name"], &project["importedState"], &project["projectType"]),
            (&json!(name), &json!("Native"), &json!("free"))
        );
        ids.push(project["id"].as_str().unwrap().to_owned());
    }
    let page = async |arguments: &str| {
        let query = format!(
            "{{ my {{ allProjects({arguments}) {{ totalCount pageInfo {{ hasPreviousPage hasNextPage startCursor endCursor }} edges {{ cursor node {{ id }} }} }} }} }}"
        );
        user.ask(&query, json!({})).await["my"]["allProjects"].clone()
    };
    let names = |page: &Value| -> Vec<String> {
        page["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = page("first: 2").await;
    // Those of one millisecond are in the order of their names.
    let mut sorted = names(&page("first: 10").await);
    let all = sorted.clone();
    assert_eq!((first["totalCount"].as_i64(), names(&first)), (Some(5), all[..2].to_vec()));
    assert_eq!(
        (&first["pageInfo"]["hasPreviousPage"], &first["pageInfo"]["hasNextPage"]),
        (&json!(false), &json!(true))
    );
    let next = page(&format!("first: 3, after: {}", first["pageInfo"]["endCursor"])).await;
    assert_eq!((names(&next), &next["pageInfo"]["hasNextPage"]), (all[2..].to_vec(), &json!(false)));
    let last = page("last: 2").await;
    assert_eq!((names(&last), &last["pageInfo"]["hasPreviousPage"]), (all[3..].to_vec(), &json!(true)));
    let before = page(&format!("last: 2, before: {}", last["pageInfo"]["startCursor"])).await;
    assert_eq!(names(&before), all[1..3]);
    sorted.sort();
    ids.sort();
    assert_eq!(sorted, ids);
    assert_eq!(page("search: \"0%\"").await["totalCount"], 1);
    assert_eq!(page("search: \"T\"").await["totalCount"], 2);
    let wrong = user.answer("{ my { allProjects(after: \"x\") { totalCount } } }", json!({})).await;
    assert_eq!(wrong["errors"][0]["message"], "after is \"x\"; expected a cursor");
}

#[tokio::test]
async fn what_is_removed_is_gone() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let (one, two) = (user.upload(&pid, "a.jpg", &picture(1)).await, user.upload(&pid, "b.jpg", &picture(2)).await);
    user.settled(&pid, &one).await;
    user.settled(&pid, &two).await;
    let removed = user.ask("mutation ($ids: [ID!]!) { removeImages(ids: $ids) { id } }", json!({ "ids": [one] })).await;
    assert_eq!(removed["removeImages"], json!([{ "id": one }]));
    assert_eq!((user.image(&pid, &one).await, stored(&server, &pid).len()), (Value::Null, 1));
    let removed = user.ask("mutation ($id: ID!) { removeProject(id: $id) { id name } }", json!({ "id": pid })).await;
    assert_eq!(removed["removeProject"], json!({ "id": pid, "name": "spring" }));
    user.until(async || json!(stored(&server, &pid)), |files| files.as_array().unwrap().is_empty()).await;
    assert_eq!(
        user.ask("query ($id: ID!) { project(id: $id) { id } }", json!({ "id": pid })).await["project"],
        Value::Null
    );
}
