//! Images that the server fetches: none is lost with the process that fetches it, and none comes twice.

use std::time::SystemTime;

use mogr::jobs::queue::Queue;
use mogr::jobs::records::projects::image::SILENCE;
use mogr::jobs::records::projects::{
    Coming, Event, Image, Limits, Origin as From, Project, Projects, Registration, State, TooMany,
};
use serde_json::{Value, json};

use crate::altizure_client::{User, picture, queue, server, sha1, stored};
use crate::cache_origin::Origin;
use crate::jobs_queue::{LEASE, Place, at, on_both};
use crate::upload::spooled;

const FETCH: &str = "mutation ($pid: ID!, $url: String!, $sum: String) { uploadImageURL(pid: $pid, url: $url, checksum: \
                     $sum) { id state filename } }";

async fn fetch(user: &User<'_>, pid: &str, origin: &Origin, sum: Option<&str>) -> Value {
    let url = format!("http://{}/a.jpg", origin.address);
    user.ask(FETCH, json!({ "pid": pid, "url": url, "sum": sum })).await["uploadImageURL"].clone()
}

/// A server that stops in the midst of a fetch leaves it to the next one, which does it once.
#[tokio::test]
async fn fetches_outlive_the_server() {
    let (server, origin, bytes) = (server(&[]).await, Origin::start().await, picture(1));
    origin.put("/a.jpg", &bytes, None);
    origin.set_open(false);
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let image = fetch(&user, &pid, &origin, Some(&sha1(&bytes))).await;
    let id = image["id"].as_str().unwrap().to_owned();
    let beside = queue(&server).await;
    let projects = Projects::over(&beside);
    let is_held = async || {
        let due = projects.next_fetch_due().await.unwrap().expect("it is to be fetched");
        json!(due > SystemTime::now())
    };
    user.until(is_held, |is_held| *is_held == true).await;
    let server = server.restarted().await;
    let user = User::new(&server, "AK");
    assert_eq!((user.image(&pid, &id).await["state"].clone(), stored(&server, &pid).len()), (json!("Uploading"), 0));
    origin.set_open(true);
    assert_eq!(user.settled(&pid, &id).await["state"], "Ready");
    assert_eq!(stored(&server, &pid), [image["filename"].as_str().unwrap()]);
    assert_eq!(projects.next_fetch_due().await.unwrap(), None);
    user.until(async || json!(spooled(&server)), |files| *files == 0).await;
    beside.close().await;
}

/// What may succeed later is tried again; what never does is Invalid at once.
#[tokio::test]
async fn failures_are_tried_again_where_that_may_help() {
    let (server, origin) = (server(&[]).await, Origin::start().await);
    origin.put("/a.jpg", &picture(1), None);
    origin.fail(true);
    let user = User::new(&server, "AK");
    let pid = user.project().await;
    let id = fetch(&user, &pid, &origin, None).await["id"].as_str().unwrap().to_owned();
    let asked = user.until(async || json!(origin.asked()), |asked| *asked != json!([])).await;
    assert_eq!(asked, json!(["GET /a.jpg 500"]));
    origin.fail(false);
    assert_eq!(user.settled(&pid, &id).await["state"], "Ready");
    assert_eq!(origin.asked(), ["GET /a.jpg 200"]);
    origin.delete("/a.jpg");
    let id = fetch(&user, &pid, &origin, None).await["id"].as_str().unwrap().to_owned();
    let image = user.settled(&pid, &id).await;
    assert!(image["error"][0].as_str().unwrap().contains("404"), "{image}");
    assert_eq!(origin.asked(), ["GET /a.jpg 404"]);
}

on_both!(a_dead_process_fetch_is_taken_over, nothing_is_fetched_in_vain, there_are_no_more_than_there_may_be);

async fn project(projects: &Projects) -> Project {
    projects.create("ak", "spring", "{}", "photos", at(0)).await.unwrap().unwrap()
}

fn registration(coming: Coming, checksum: Option<&str>) -> Registration {
    let checksum = checksum.map(str::to_owned);
    Registration { name: "a.jpg".to_owned(), file: "a.jpg".to_owned(), coming, checksum }
}

fn from(url: &str) -> Coming {
    Coming::Fetch(From { url: url.to_owned(), token: None })
}

async fn register(projects: &Projects, project: &Project, coming: Coming) -> Image {
    projects.register(project, registration(coming, Some("a")), at(0)).await.unwrap().unwrap()
}

fn arrived() -> Event {
    Event::Arrived { sha1: "a".to_owned(), bytes: 7 }
}

async fn opened(place: &Place) -> (Queue, Projects) {
    let queue = place.open().await;
    let projects = Projects::over(&queue);
    (queue, projects)
}

async fn a_dead_process_fetch_is_taken_over(place: &Place) {
    let (_queue, projects) = opened(place).await;
    let project = project(&projects).await;
    let image = register(&projects, &project, from("http://a/")).await;
    let dead = projects.claim_fetch(at(0)).await.unwrap().unwrap();
    assert_eq!((&dead.image, dead.origin.url.as_str(), dead.failures), (&image.id, "http://a/", 0));
    assert_eq!(projects.claim_fetch(at(1)).await.unwrap(), None);
    assert!(projects.renew_fetch(&dead, at(10)).await.unwrap());
    assert_eq!(projects.claim_fetch(at(9) + LEASE).await.unwrap(), None, "it was renewed");
    let taken = projects.claim_fetch(at(10) + LEASE).await.unwrap().unwrap();
    assert_eq!(taken.image, image.id);
    assert!(!projects.renew_fetch(&dead, at(90)).await.unwrap());
    assert_eq!(projects.end_fetch(&dead, Event::Lost("late".to_owned()), at(90)).await.unwrap(), None);
    projects.put_off_fetch(&dead, at(1000)).await.unwrap();
    assert_eq!(projects.next_fetch_due().await.unwrap(), Some(at(10) + 2 * LEASE));
    projects.put_off_fetch(&taken, at(200)).await.unwrap();
    let again = projects.claim_fetch(at(200)).await.unwrap().unwrap();
    assert_eq!(again.failures, 1);
    projects.release_fetch(&again, at(201)).await.unwrap();
    let last = projects.claim_fetch(at(201)).await.unwrap().unwrap();
    assert_eq!((last.failures, projects.fetched_image(&last).await.unwrap()), (1, Some((project, image))));
    let image = projects.end_fetch(&last, arrived(), at(202)).await.unwrap().unwrap();
    assert_eq!((image.state, image.bytes), (State::Uploaded, Some(7)));
    assert_eq!(projects.next_fetch_due().await.unwrap(), None);
}

/// A fetch ends with what it is for.
async fn nothing_is_fetched_in_vain(place: &Place) {
    let (_queue, projects) = opened(place).await;
    let project = project(&projects).await;
    let image = register(&projects, &project, from("http://a/")).await;
    let old = projects.claim_fetch(at(0)).await.unwrap().unwrap();
    register(&projects, &project, from("http://b/")).await;
    assert!(!projects.renew_fetch(&old, at(1)).await.unwrap(), "it comes from elsewhere");
    assert_eq!(projects.claim_fetch(at(1)).await.unwrap().unwrap().origin.url, "http://b/");
    register(&projects, &project, Coming::Url).await;
    assert_eq!(projects.next_fetch_due().await.unwrap(), None, "its owner sends it");
    register(&projects, &project, from("http://a/")).await;
    projects.end_silent(at(0) + SILENCE).await.unwrap();
    assert_eq!(projects.next_fetch_due().await.unwrap(), None, "it was silent for too long");
    register(&projects, &project, from("http://a/")).await;
    projects.remove_image(&image.id).await.unwrap();
    assert_eq!(projects.next_fetch_due().await.unwrap(), None, "the image is removed");
    register(&projects, &project, from("http://a/")).await;
    assert!(projects.remove(&project.id, "ak", at(1)).await.unwrap());
    assert_eq!(projects.next_fetch_due().await.unwrap(), None, "the project is removed");
}

async fn there_are_no_more_than_there_may_be(place: &Place) {
    let (_queue, projects) = opened(place).await;
    let limits = Limits { projects_per_owner: 2, images_per_project: 3, fetches_per_owner: 1 };
    let projects = projects.with_limits(limits);
    let (one, _two) = (project(&projects).await, project(&projects).await);
    let more = projects.create("ak", "third", "{}", "photos", at(0)).await.unwrap();
    assert_eq!(more.map(|project| project.name), Err(TooMany::Projects(2)));
    projects.create("other", "first", "{}", "photos", at(0)).await.unwrap().unwrap();
    for (coming, checksum, refusal) in [
        (from("http://a/"), Some("a"), None),
        (from("http://b/"), Some("b"), Some(TooMany::Fetches(1))),
        (Coming::Url, Some("b"), None),
        (Coming::Credentials, None, None),
        (Coming::Credentials, None, Some(TooMany::Images(3))),
        // What is there already may come again.
        (Coming::Url, Some("a"), None),
        (from("http://b/"), Some("b"), None),
    ] {
        let label = format!("{coming:?} {checksum:?}");
        let made = projects.register(&one, registration(coming, checksum), at(0)).await.unwrap();
        assert_eq!(made.err(), refusal, "{label}");
    }
    assert_eq!(projects.totals(&one.id).await.unwrap().images, 3);
    assert!(projects.remove(&one.id, "ak", at(1)).await.unwrap());
    project(&projects).await;
}
