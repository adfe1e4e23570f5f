//! What queues take, and what they let run.

use super::*;

on_both!(
    paused_queues_hold_their_jobs,
    queues_run_no_more_than_they_may,
    full_queues_take_nothing,
    owners_do_not_fill_queues_for_others,
    no_more_queues_come_into_being_than_may,
    owners_know_the_queues_of_their_jobs,
    empty_queues_are_forgotten,
);

async fn paused_queues_hold_their_jobs(place: &Place) {
    let queue = place.open().await;
    assert!(!queue.set_paused("default", true).await.unwrap(), "there is no such queue");
    submit_one(&queue, "ak", "default").await;
    let running = claim(&queue, at(0)).await;
    submit_one(&queue, "ak", "default").await;
    assert!(queue.set_paused("default", true).await.unwrap());
    assert!(queue.claim("worker", at(1)).await.unwrap().is_none());
    succeed(&queue, &running, at(1)).await;
    submit_one(&queue, "ak", "default").await;
    assert_eq!(counters(&queue, "default").await, (2, 0));
    assert!(queue.set_paused("default", false).await.unwrap());
    claim(&queue, at(2)).await;
}

async fn queues_run_no_more_than_they_may(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { max_running: Some(2), ..settings("narrow") }).await.unwrap();
    queue.submit(submission("ak", "narrow", 4), at(0)).await.unwrap();
    let first = claim(&queue, at(0)).await;
    claim(&queue, at(0)).await;
    assert!(queue.claim("worker", at(1)).await.unwrap().is_none());
    let mut changes = queue.changes();
    succeed(&queue, &first, at(1)).await;
    let told: Vec<_> = std::iter::from_fn(|| changes.try_recv().ok()).collect();
    assert!(told.contains(&Change::Work), "{told:?}");
    claim(&queue, at(1)).await;
    assert!(queue.claim("worker", at(1)).await.unwrap().is_none());
    assert_eq!(counters(&queue, "narrow").await, (1, 2));
}

async fn full_queues_take_nothing(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { max_waiting: Some(3), ..settings("small") }).await.unwrap();
    queue.submit(submission("ak", "small", 2), at(0)).await.unwrap();
    let error = queue.submit(submission("ak", "small", 2), at(0)).await.unwrap_err();
    assert!(matches!(&error, Error::Full { queue, waiting: 2, limit: 3 } if queue == "small"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(counters(&queue, "small").await, (2, 0));
    queue.submit(submission("ak", "small", 1), at(0)).await.unwrap();
    let error = queue.submit(submission("ak", "default", 1001), at(0)).await.unwrap_err();
    assert!(matches!(error, Error::Full { limit: 1000, .. }), "{error}");
    assert_eq!(queue.list(&Filter::default(), 100).await.unwrap().len(), 3);
    claim(&queue, at(1)).await;
    queue.submit(submission("ak", "small", 1), at(1)).await.unwrap();
}

async fn owners_do_not_fill_queues_for_others(place: &Place) {
    let queue = place.open().await;
    queue.submit(submission("many", "default", 600), at(0)).await.unwrap();
    let error = queue.submit(submission("many", "default", 1), at(0)).await.unwrap_err();
    assert!(matches!(&error, Error::OwnerFull { queue, waiting: 600, limit: 600 } if queue == "default"), "{error}");
    assert_eq!((error.kind(), error.is_full()), (ErrorKind::Busy, true));
    queue.submit(submission("few", "default", 1), at(0)).await.unwrap();
    queue.submit(submission("many", "other", 1), at(0)).await.unwrap();

    // Whatever takes a job away makes room for one.
    let mut taken = claim(&queue, at(1)).await;
    while (&*taken.job.owner, &*taken.job.queue) != ("many", "default") {
        taken = claim(&queue, at(1)).await;
    }
    let mut jobs = queue.submit(submission("many", "default", 1), at(1)).await.unwrap().jobs;
    assert!(queue.submit(submission("many", "default", 1), at(1)).await.is_err());
    queue.cancel(&jobs.remove(0), at(1)).await.unwrap();
    queue.finish(&taken, Finish::Retry(LEASE), at(1)).await.unwrap();
    assert!(queue.submit(submission("many", "default", 1), at(1)).await.is_err(), "a job that waits again counts");
}

async fn no_more_queues_come_into_being_than_may(place: &Place) {
    let queue = place.open().await;
    for number in 0..50 {
        submit_one(&queue, "ak", &format!("q{number}")).await;
    }
    let error = queue.submit(submission("ak", "one-more", 1), at(0)).await.unwrap_err();
    assert!(matches!(&error, Error::TooManyQueues { queue, limit: 50 } if queue == "one-more"), "{error}");
    assert_eq!((error.kind(), error.is_full()), (ErrorKind::Busy, true));
    submit_one(&queue, "ak", "q7").await;
    queue.configure(&settings("of the operator")).await.unwrap();
    submit_one(&queue, "ak", "of the operator").await;
    assert_eq!(queue.queues().await.unwrap().len(), 51);
}

async fn owners_know_the_queues_of_their_jobs(place: &Place) {
    let queue = place.open().await;
    submit_one(&queue, "a", "first").await;
    submit_one(&queue, "b", "second").await;
    submit_one(&queue, "a", "third").await;
    for _ in 0..3 {
        succeed(&queue, &claim(&queue, at(1)).await, at(1)).await;
    }
    let names = async |owner| {
        let queues = queue.queues_of(owner).await.unwrap();
        queues.into_iter().map(|status| status.settings.name).collect::<Vec<_>>()
    };
    assert_eq!(names("a").await, ["first", "third"]);
    assert_eq!(names("b").await, ["second"]);
    assert_eq!(names("nobody").await, [""; 0]);
}

async fn empty_queues_are_forgotten(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { priority: 1, ..settings("configured") }).await.unwrap();
    submit_one(&queue, "ak", "paused").await;
    queue.set_paused("paused", true).await.unwrap();
    for name in ["finished", "paused", "running", "recent"] {
        submit_one(&queue, "ak", name).await;
    }
    let job =
        queue.list(&Filter { queue: Some("finished".to_owned()), ..Filter::default() }, 1).await.unwrap().remove(0);
    queue.cancel(&job.id, at(0)).await.unwrap();
    let job = queue.list(&Filter { queue: Some("recent".to_owned()), ..Filter::default() }, 1).await.unwrap().remove(0);
    queue.cancel(&job.id, at(100)).await.unwrap();
    while let Some(notification) = queue.due_notification(&[], at(100)).await.unwrap() {
        queue.settle(&notification, Delivery::Delivered, at(100)).await.unwrap();
    }
    claim(&queue, at(100)).await;
    let names = async || {
        let queues = queue.queues().await.unwrap();
        queues.into_iter().map(|status| status.settings.name).collect::<Vec<_>>()
    };
    assert_eq!(queue.delete_finished(at(50)).await.unwrap(), 1);
    assert_eq!(names().await, ["configured", "paused", "recent", "running"]);
    assert_eq!(queue.delete_finished(at(200)).await.unwrap(), 1);
    assert_eq!(names().await, ["configured", "paused", "running"]);
    // It comes into being again.
    submit_one(&queue, "ak", "finished").await;
}
