//! Which job is next.

use super::*;

on_both!(higher_priorities_come_first, queues_of_one_priority_take_turns, owners_take_turns,);

async fn higher_priorities_come_first(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { priority: 5, ..settings("fast") }).await.unwrap();
    let low = queue.submit(Submission { priority: -1, ..submission("ak", "slow", 1) }, at(0)).await.unwrap().jobs;
    let high = queue.submit(Submission { priority: 9, ..submission("ak", "slow", 1) }, at(0)).await.unwrap().jobs;
    let fast = queue.submit(Submission { priority: -9, ..submission("ak", "fast", 1) }, at(0)).await.unwrap().jobs;
    for id in [fast, high, low].concat() {
        assert_eq!(claim(&queue, at(1)).await.job.id, id);
    }
}

async fn queues_of_one_priority_take_turns(place: &Place) {
    let queue = place.open().await;
    for name in ["a", "b", "c"] {
        queue.submit(submission("ak", name, 3), at(0)).await.unwrap();
    }
    let mut names = Vec::new();
    for _ in 0..9 {
        names.push(claim(&queue, at(1)).await.job.queue);
    }
    assert_eq!(names.concat(), "abcabcabc");
}

async fn owners_take_turns(place: &Place) {
    let queue = place.open().await;
    queue.submit(submission("many", "default", 100), at(0)).await.unwrap();
    for _ in 0..10 {
        claim(&queue, at(1)).await;
    }
    // A high priority of the same owner changes nothing for others.
    queue.submit(Submission { priority: 1, ..submission("many", "default", 1) }, at(1)).await.unwrap();
    assert_eq!(claim(&queue, at(1)).await.job.priority, 1);
    let few = queue.submit(submission("few", "default", 3), at(1)).await.unwrap().jobs;
    let mut owners = Vec::new();
    let mut order = Vec::new();
    for _ in 0..6 {
        let job = claim(&queue, at(2)).await.job;
        if job.owner == "few" {
            order.push(job.id);
        }
        owners.push(job.owner);
    }
    assert_eq!(order, few, "an owner's jobs in their order: {owners:?}");
    for pair in owners.chunks(2) {
        assert!(pair.contains(&"few".to_owned()) && pair.contains(&"many".to_owned()), "{owners:?}");
    }
}
