//! Several processes, and many callers at once.

use super::*;

on_both!(
    workers_at_once_share_no_fate,
    submissions_at_once_share_no_fate,
    workers_of_two_nodes_take_each_job_once,
    two_nodes_open_a_new_database_at_once,
    changes_are_told,
);

async fn workers_at_once_share_no_fate(place: &Place) {
    let queue = place.open().await;
    queue.submit(submission("ak", "default", 40), at(0)).await.unwrap();
    let workers = (0..40).map(|number: usize| {
        let queue = queue.clone();
        async move {
            let claim = queue.claim(["a", "b"][number % 2], at(1)).await.unwrap().expect("a job for each");
            if number.is_multiple_of(4) {
                // Nobody may say anything of it.
                let forged = Claim { holder: "somebody".to_owned(), ..claim.clone() };
                assert!(!queue.record(&forged, 0, &failed("no")).await.unwrap());
                assert!(!queue.finish(&forged, Finish::Done, at(1)).await.unwrap());
                return None;
            }
            assert!(queue.record(&claim, 0, &stored("a")).await.unwrap());
            assert!(queue.record(&claim, 1, &failed("no")).await.unwrap());
            assert!(queue.finish(&claim, Finish::Done, at(1)).await.unwrap());
            Some(claim.job.id)
        }
    });
    let workers: Vec<_> = workers.map(tokio::spawn).collect();
    let mut ended: Vec<_> = futures::future::join_all(workers).await.into_iter().filter_map(Result::unwrap).collect();
    ended.sort();
    ended.dedup();
    assert_eq!(ended.len(), 30);
    assert_eq!(counters(&queue, "default").await, (0, 10));
    for id in ended {
        let job = queue.get(&id).await.unwrap().unwrap();
        assert_eq!((job.state, job.outcomes), (State::Failed, vec![Some(stored("a")), Some(failed("no"))]));
    }
    assert_eq!(queue.notifications(None, None, 100).await.unwrap().len(), 30);
}

async fn submissions_at_once_share_no_fate(place: &Place) {
    let nodes = [place.open().await, place.open().await];
    nodes[0].configure(&QueueSettings { max_waiting: Some(10), ..settings("small") }).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..80_usize {
        let node = nodes[number % 2].clone();
        let name = if number % 4 < 2 { "small" } else { "large" };
        callers.spawn(async move {
            match node.submit(submission("ak", name, 1), at(0)).await {
                Ok(submitted) => Some((name, submitted.jobs[0].clone())),
                Err(Error::Full { limit: 10, .. }) => None,
                Err(error) => panic!("{error}"),
            }
        });
    }
    let accepted: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    for (name, count) in [("small", 10), ("large", 40)] {
        assert_eq!(accepted.iter().filter(|(of, _)| *of == name).count(), count, "{name}");
        assert_eq!(counters(&nodes[0], name).await, (count as i64, 0));
    }
    for (_, id) in accepted {
        assert_eq!(state(&nodes[1], &id).await, State::Waiting);
    }
}

async fn workers_of_two_nodes_take_each_job_once(place: &Place) {
    const JOBS: usize = 60;
    let nodes = [place.open().await, place.open().await];
    let mut workers = tokio::task::JoinSet::new();
    for (number, node) in nodes.iter().enumerate() {
        for owner in ["a", "b"] {
            let node = node.clone();
            workers.spawn(async move {
                for _ in 0..JOBS / 4 {
                    node.submit(submission(&format!("{owner}{number}"), "default", 1), at(0)).await.unwrap();
                }
                let mut taken = Vec::new();
                while let Some(claim) = node.claim(owner, at(1)).await.unwrap() {
                    succeed(&node, &claim, at(2)).await;
                    taken.push(claim.job.id);
                }
                taken
            });
        }
    }
    let mut taken = workers.join_all().await.concat();
    // What was submitted after the others had gone home.
    while let Some(claim) = nodes[0].claim("last", at(1)).await.unwrap() {
        taken.push(claim.job.id);
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), JOBS);
    assert_eq!(counters(&nodes[1], "default").await.0, 0);
}

async fn two_nodes_open_a_new_database_at_once(place: &Place) {
    let nodes = futures::future::join_all((0..4).map(|_| place.open())).await;
    let id = submit_one(&nodes[0], "ak", "default").await;
    assert_eq!(claim(&nodes[3], at(0)).await.job.id, id);
}

/// Waits for a change; the limit is only for broken code.
async fn told(changes: &mut tokio::sync::broadcast::Receiver<Change>, wanted: &Change) {
    let wait = async { while changes.recv().await.unwrap() != *wanted {} };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{wanted:?} was not told"));
}

async fn changes_are_told(place: &Place) {
    let here = place.open().await;
    let there = if place.url.starts_with("postgres") { place.open().await } else { here.clone() };
    let mut changes = there.changes();
    let id = submit_one(&here, "ak", "default").await;
    told(&mut changes, &Change::Work).await;
    let claim = claim(&here, at(0)).await;
    told(&mut changes, &Change::Job(id.clone())).await;
    here.cancel(&id, at(1)).await.unwrap();
    told(&mut changes, &Change::Job(id.clone())).await;
    here.finish(&claim, Finish::Cancelled, at(2)).await.unwrap();
    told(&mut changes, &Change::Notification).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_again_after_a_lost_connection() {
    let Some(place) = Place::postgres().await else { return };
    let (here, there) = (place.open().await, place.open().await);
    let mut changes = there.changes();
    administer(
        &place.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    // It cannot know what it missed.
    told(&mut changes, &Change::Notification).await;
    let id = submit_one(&here, "ak", "default").await;
    claim(&here, at(0)).await;
    told(&mut changes, &Change::Job(id)).await;
    place.remove().await;
}
