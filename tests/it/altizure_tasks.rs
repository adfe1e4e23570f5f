//! Tasks of Altizure projects (spec 6).

use reqwest::Method;
use serde_json::{Value, json};

use crate::altizure_client::{User, picture, queue, server, sha1};

const RESULT: &str = "error { code message } task { id taskType state queueing step totalSteps startDate endDate }";

async fn start(user: &User<'_>, mutation: &str, pid: &str) -> Value {
    let query = format!("mutation ($id: ID!) {{ {mutation}(id: $id, options: {{ taskType: Dense }}) {{ {RESULT} }} }}");
    user.ask(&query, json!({ "id": pid })).await[mutation].clone()
}

async fn task(user: &User<'_>, pid: &str) -> Value {
    let query =
        "query ($id: ID!) { project(id: $id) { taskState task { id state step totalSteps endDate taskType } } }";
    user.ask(query, json!({ "id": pid })).await["project"].clone()
}

async fn ended(user: &User<'_>, pid: &str) -> Value {
    user.until(
        async || task(user, pid).await,
        |project| project["taskState"].as_str().is_some_and(|state| !["Pending", "Processing"].contains(&state)),
    )
    .await
}

/// Each Ready image once; the results are what delivery gives for the same operators.
#[tokio::test]
async fn a_task_runs_the_pipeline_over_all_ready_images() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    for number in 1..=3 {
        let id = user.upload(&pid, "a.jpg", &picture(number)).await;
        assert_eq!(user.settled(&pid, &id).await["state"], "Ready");
    }
    let bad = user.upload(&pid, "bad.jpg", b"no picture").await;
    user.settled(&pid, &bad).await;
    let started = start(&user, "startReconstructionWithError", &pid).await;
    assert_eq!((&started["error"], &started["task"]["taskType"]), (&Value::Null, &json!("Dense")), "{started}");
    let project = ended(&user, &pid).await;
    let task = &project["task"];
    assert_eq!((&project["taskState"], &task["step"], &task["totalSteps"]), (&json!("Done"), &json!(3), &json!(3)));
    assert!(task["endDate"].is_string() && task["id"] == started["task"]["id"], "{project}");
    let query = "query ($id: ID!) { project(id: $id) { allImages(filter: Ready) { edges { node { filename } } } } }";
    let images = user.ask(query, json!({ "id": pid })).await["project"]["allImages"]["edges"].clone();
    for image in images.as_array().unwrap() {
        let file = image["node"]["filename"].as_str().unwrap();
        let result = format!("{pid}/results/{}/{file}", task["id"].as_str().unwrap());
        let stored = std::fs::read(server.objects().join(&result)).unwrap();
        assert_eq!(stored, server.get(&format!("/photos/{pid}/{file}?imageView2/2/w/20")).await.body, "{file}");
    }
    // It may be called again on a project that is finished.
    let again = start(&user, "startReconstructionWithError", &pid).await;
    assert!(again["task"]["id"].is_string() && again["task"]["id"] != task["id"], "{again}");
    assert_eq!(ended(&user, &pid).await["taskState"], "Done");
}

/// Script 6: it starts once every image is final, once.
#[tokio::test]
async fn a_task_waits_for_the_last_image() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let (pid, empty) = (user.project().await, user.project().await);
    let first = user.upload(&pid, "a.jpg", &picture(1)).await;
    let bytes = picture(2);
    let (last, target) = user.register(&pid, "b.jpg", Some(&sha1(&bytes))).await;
    user.start(&last).await;
    user.settled(&pid, &first).await;
    let refused = start(&user, "startReconstructionWithError", &pid).await;
    assert_eq!((&refused["error"]["code"], &refused["task"]), (&json!(3), &Value::Null));
    assert_eq!(start(&user, "preStartReconstruction", &pid).await, json!({ "error": null, "task": null }));
    assert_eq!(task(&user, &pid).await, json!({ "taskState": null, "task": null }));
    assert_eq!(user.put(&target, &bytes).await.status, 200);
    let project = ended(&user, &pid).await;
    assert_eq!((&project["taskState"], &project["task"]["totalSteps"]), (&json!("Done"), &json!(2)));
    assert_eq!(project["task"]["taskType"], "Dense");
    for mutation in ["startReconstructionWithError", "preStartReconstruction"] {
        let refused = start(&user, mutation, &empty).await;
        assert_eq!((&refused["error"]["code"], &refused["task"]), (&json!(2), &Value::Null), "{mutation}");
        let unknown = start(&user, mutation, "5f1c2e8b38b9f324e8a1b2c3").await;
        assert_eq!((&unknown["error"]["code"], &unknown["task"]), (&json!(5), &Value::Null), "{mutation}");
    }
    let tasks: Vec<_> = std::fs::read_dir(server.objects().join(&pid).join("results")).unwrap().collect();
    assert_eq!(tasks.len(), 1);
}

#[tokio::test]
async fn a_task_is_stopped() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let id = user.upload(&pid, "a.jpg", &picture(1)).await;
    user.settled(&pid, &id).await;
    let stop = "mutation ($id: ID!) { stopReconstruction(id: $id) { state } }";
    assert_eq!(user.ask(stop, json!({ "id": pid })).await["stopReconstruction"], Value::Null);
    let queue = queue(&server).await;
    assert!(queue.set_paused("altizure", true).await.unwrap());
    let started = start(&user, "startReconstructionWithError", &pid).await;
    assert_eq!((&started["task"]["state"], &started["task"]["queueing"]), (&json!("Pending"), &json!(1)), "{started}");
    let refused = start(&user, "startReconstructionWithError", &pid).await;
    assert_eq!((&refused["error"]["code"], &refused["task"]), (&json!(4), &Value::Null));
    assert_eq!(user.ask(stop, json!({ "id": pid })).await["stopReconstruction"]["state"], "Stopped");
    queue.set_paused("altizure", false).await.unwrap();
    assert_eq!(task(&user, &pid).await["taskState"], "Stopped");
    assert!(start(&user, "startReconstructionWithError", &pid).await["error"].is_null());
    assert_eq!(ended(&user, &pid).await["taskState"], "Done");
    queue.close().await;
}

/// An image that arrived before the server stopped is looked at by the next one.
#[tokio::test]
async fn what_has_arrived_outlives_the_server() {
    let server = server(&[]).await;
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let id = user.upload(&pid, "a.jpg", &picture(1)).await;
    user.settled(&pid, &id).await;
    let beside = queue(&server).await;
    beside.set_paused("altizure", true).await.unwrap();
    let waiting = user.upload(&pid, "b.jpg", &picture(2)).await;
    assert_eq!(start(&user, "preStartReconstruction", &pid).await["task"], Value::Null);
    let server = server.restarted().await;
    let user = User::new(&server, "AK");
    beside.set_paused("altizure", false).await.unwrap();
    beside.close().await;
    assert_eq!(user.settled(&pid, &waiting).await["state"], "Ready");
    assert_eq!(ended(&user, &pid).await["taskState"], "Done");
    let sent = server.api_send(Method::PUT, "/photos/x/y", &[], "").await;
    assert_eq!(sent.status, 404);
}
