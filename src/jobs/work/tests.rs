use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::StatusCode;

use super::*;
use crate::engine::limits::Limits;
use crate::jobs::model::{Api, JobSpec, Source, Submission};
use crate::store::Timeouts;
use crate::store::guard::AddressGuard;
use crate::store::objects::Objects;

const LOGO: &[u8] = include_bytes!("../../../examples/photos/logo.png");

/// Work over the bucket `out` in memory, in `folder`.
fn work(folder: &std::path::Path) -> Work {
    crate::app::install_tls();
    let timeouts = Timeouts::default();
    let mut buckets = store::Buckets::default();
    buckets.add(Bucket::over_objects("out", Objects::in_memory(), timeouts), &[]);
    let guard = AddressGuard::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let remote = Remote::new(guard, timeouts);
    let config = transform::Config { workers: 1, limits: Limits::default(), ..transform::Config::default() };
    let settings = Settings {
        max_attempts: 3,
        spool: folder.to_owned(),
        picture_source_bytes: LOGO.len() as u64,
        media_source_bytes: 2 * LOGO.len() as u64,
        media: media::Limits::default(),
    };
    Work::new(Transformer::new(Arc::new(buckets), remote.clone(), config), remote, settings)
}

async fn queue() -> Queue {
    let settings = crate::jobs::queue::Settings { max_attempts: 3, ..Default::default() };
    Queue::open("sqlite::memory:", settings).await.unwrap()
}

fn output(pipeline: &str, destination: Destination) -> OutputSpec {
    OutputSpec { command: pipeline.to_owned(), pipeline: pipeline.to_owned(), destination, name: None }
}

fn object(key: &str) -> Destination {
    Destination::Object { bucket: "out".to_owned(), key: key.to_owned() }
}

async fn submit(queue: &Queue, source: Source, outputs: Vec<OutputSpec>) -> JobId {
    let job = JobSpec {
        source,
        outputs,
        notify: None,
        force: false,
        user_data: None,
        wording: None,
        request_id: String::new(),
    };
    let submission = Submission {
        api: Api::Qiniu,
        owner: "AK".to_owned(),
        queue: "default".to_owned(),
        priority: 0,
        jobs: vec![job],
        is_batch: false,
    };
    queue.submit(submission, SystemTime::now()).await.unwrap().jobs.remove(0)
}

async fn claim(queue: &Queue) -> Claim {
    queue.claim("w", SystemTime::now()).await.unwrap().expect("a job that waits")
}

/// A server of things that URLs name.
async fn site() -> SocketAddr {
    let answer = async |Path(name): Path<String>| -> Response {
        match name.as_str() {
            "logo.png" => ([("content-type", "image/png")], LOGO).into_response(),
            "large.png" => vec![0; LOGO.len() + 1].into_response(),
            "larger.bin" => vec![0; 2 * LOGO.len() + 1].into_response(),
            "busy" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            "inside" => Redirect::temporary("http://10.0.0.1/secret").into_response(),
            "moved" => Redirect::temporary("/logo.png").into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/{name}", get(answer))).await });
    address
}

#[tokio::test]
async fn what_a_url_names_is_worked_on() {
    let folder = tempfile::tempdir().unwrap();
    let (work, queue, site) = (work(folder.path()), queue().await, site().await);
    for url in ["logo.png", "moved"] {
        let outputs = vec![
            output("imageView2/2/w/20", object(&format!("{url}/small"))),
            output("imageInfo", Destination::Derived),
            output("imageView2/2/w/20", Destination::Derived),
        ];
        let id = submit(&queue, Source::Url(format!("http://{site}/{url}")), outputs).await;
        assert_eq!(work.run(&queue, &claim(&queue).await).await.unwrap(), Ended::Done);
        let outcomes = queue.get(&id).await.unwrap().unwrap().outcomes;
        assert!(matches!(&outcomes[0], Some(Outcome::Stored(stored)) if stored.size.unwrap().0 == 20), "{outcomes:?}");
        assert!(matches!(&outcomes[1], Some(Outcome::Data(text)) if text.contains("\"png\"")), "{outcomes:?}");
        let nowhere = "a result of what a URL names needs a place to go to";
        assert!(matches!(&outcomes[2], Some(Outcome::Failed(failure)) if failure.message == nowhere), "{outcomes:?}");
    }
    // A copy, whose key has the source's name and hash in it.
    let template = "$(fprefix)-$(etag)$(ext)".to_owned();
    let place =
        Destination::Template { bucket: "out".to_owned(), template, of: crate::jobs::model::TemplateOf::Source };
    submit(&queue, Source::Url(format!("http://{site}/logo.png?a=b")), vec![output("", place)]).await;
    assert_eq!(work.run(&queue, &claim(&queue).await).await.unwrap(), Ended::Done);
    let bucket = work.transformer.buckets().named("out").unwrap();
    let (_, copy) = bucket.read(&format!("logo-{}.png", qetag(LOGO)), 1 << 20).await.unwrap();
    assert_eq!(copy, LOGO);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the spool is empty again");
}

#[tokio::test]
async fn urls_that_are_not_worked_on_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let (work, site) = (work(folder.path()), site().await);
    for (url, pipeline, ended, problem) in [
        (format!("http://{site}/no"), "imageInfo", Ended::Done, "it answered 404"),
        (format!("http://{site}/large.png"), "imageInfo", Ended::Done, "over the limit of"),
        (format!("http://{site}/larger.bin"), "", Ended::Done, "over the limit of"),
        (format!("http://{site}/inside"), "imageInfo", Ended::Done, "may not be fetched"),
        ("http://10.0.0.1/secret".to_owned(), "imageInfo", Ended::Done, "may not be fetched"),
        ("file:///etc/passwd".to_owned(), "imageInfo", Ended::Done, "may not be fetched"),
        ("nothing".to_owned(), "imageInfo", Ended::Done, "relative URL without a base"),
        (format!("http://{site}/busy"), "imageInfo", Ended::ForNow, "it answered 503"),
    ] {
        let queue = queue().await;
        let id = submit(&queue, Source::Url(url.clone()), vec![output(pipeline, object("a"))]).await;
        let mut claim = claim(&queue).await;
        assert_eq!(work.run(&queue, &claim).await.unwrap(), ended, "{url}");
        if ended == Ended::ForNow {
            assert_eq!(queue.get(&id).await.unwrap().unwrap().outcomes, [None], "{url}");
            // The last attempt, by which it is still not there.
            let mut record = Record { queue: &queue, claim: &claim.clone(), max_attempts: 1, ended: Ended::Done };
            claim.attempt = 3;
            let trouble = work.described(&claim).await.err().expect("a trouble");
            record.keep(0, Err(trouble)).await.unwrap();
        }
        let outcomes = queue.get(&id).await.unwrap().unwrap().outcomes;
        assert!(
            matches!(&outcomes[0], Some(Outcome::Failed(it)) if it.message.contains(problem)),
            "{url}: {outcomes:?}"
        );
    }
}

/// Each output is recorded before the next one is stored: whoever has lost the job stores no more than one.
#[tokio::test]
async fn outputs_are_recorded_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let (work, queue, site) = (work(folder.path()), queue().await, site().await);
    let outputs = vec![output("", object("a")), output("", object("b"))];
    let id = submit(&queue, Source::Url(format!("http://{site}/logo.png")), outputs).await;
    let lost = claim(&queue).await;
    let later = SystemTime::now() + 2 * queue.settings().lease;
    let held = queue.claim("w", later).await.unwrap().expect("the lease has passed");
    assert_eq!(work.run(&queue, &lost).await.unwrap(), Ended::Lost);
    let bucket = work.transformer.buckets().named("out").unwrap();
    assert!(bucket.head("a").await.is_ok() && bucket.head("b").await.is_err());
    assert_eq!(work.run(&queue, &held).await.unwrap(), Ended::Done);
    assert!(queue.get(&id).await.unwrap().unwrap().outcomes.iter().all(Option::is_some));
}

#[tokio::test]
async fn who_waits_for_room_uses_up_no_attempts() {
    let queue = queue().await;
    let source = || Source::Object { bucket: "out".to_owned(), key: "a".to_owned() };
    let outputs = vec![output("", object("b")), output("", object("c"))];
    let id = submit(&queue, source(), outputs).await;
    let full = || Err(Trouble::from(store::Error::Full { place: "bucket \"out\"".to_owned() }));
    let busy = || Err(Trouble::new(ErrorKind::Busy, &"busy"));
    let mut claim = claim(&queue).await;
    claim.attempt = 100;
    let mut record = Record { queue: &queue, claim: &claim, max_attempts: 101, ended: Ended::Done };
    record.keep(0, full()).await.unwrap();
    record.keep(1, busy()).await.unwrap();
    assert_eq!(record.ended, Ended::NoRoom);
    assert_eq!(queue.get(&id).await.unwrap().unwrap().outcomes, [None, None]);
    // A week later nobody waits any more.
    let mut old = claim.clone();
    (old.attempt, old.job.created) = (1, SystemTime::now() - std::time::Duration::from_secs(8 * 24 * 3600));
    let mut record = Record { queue: &queue, claim: &old, max_attempts: 1, ended: Ended::Done };
    record.keep(0, full()).await.unwrap();
    let outcomes = queue.get(&id).await.unwrap().unwrap().outcomes;
    assert!(
        matches!(&outcomes[0], Some(Outcome::Failed(it)) if it.message == "bucket \"out\" is full"),
        "{outcomes:?}"
    );
}
