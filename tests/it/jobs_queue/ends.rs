//! How jobs end, and when they are forgotten.

use super::*;

on_both!(
    waiting_jobs_are_cancelled_at_once,
    running_jobs_are_asked_to_stop,
    jobs_are_tried_again_after_a_delay,
    jobs_end_as_their_outputs_did,
    what_ended_long_ago_is_forgotten,
);

async fn waiting_jobs_are_cancelled_at_once(place: &Place) {
    let queue = place.open().await;
    assert_eq!(queue.cancel(&JobId::new(at(0)), at(0)).await.unwrap(), None);
    let id = submit_one(&queue, "ak", "default").await;
    for _ in 0..2 {
        assert_eq!(queue.cancel(&id, at(1)).await.unwrap(), Some(State::Cancelled));
    }
    assert_eq!(state(&queue, &id).await, State::Cancelled);
    assert_eq!(counters(&queue, "default").await, (0, 0));
    assert!(queue.claim("worker", at(2)).await.unwrap().is_none());
    assert_eq!(queue.notifications(None, None, 10).await.unwrap().len(), 1);
}

async fn running_jobs_are_asked_to_stop(place: &Place) {
    let queue = place.open().await;
    for end in [Some(Finish::Cancelled), Some(Finish::Retry(LEASE)), None] {
        let id = submit_one(&queue, "ak", "default").await;
        let claim = claim(&queue, at(1)).await;
        let mut changes = queue.changes();
        assert_eq!(queue.cancel(&id, at(2)).await.unwrap(), Some(State::Running));
        assert_eq!(changes.recv().await.unwrap(), Change::Job(id.clone()));
        assert_eq!(queue.renew(&claim, 0, at(3)).await.unwrap(), Renewal::CancelRequested);
        match end {
            Some(finish) => assert!(queue.finish(&claim, finish, at(4)).await.unwrap()),
            None => assert!(queue.claim("worker", at(100)).await.unwrap().is_none(), "its worker died"),
        }
        let job = queue.get(&id).await.unwrap().unwrap();
        assert_eq!((job.state, job.cancel_requested), (State::Cancelled, true), "{end:?}");
        assert_eq!(counters(&queue, "default").await, (0, 0));
    }
}

async fn jobs_are_tried_again_after_a_delay(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let first = claim(&queue, at(0)).await;
    queue.record(&first, 0, &stored("a")).await.unwrap();
    assert!(queue.finish(&first, Finish::Retry(Duration::from_secs(10)), at(0)).await.unwrap());
    assert_eq!(state(&queue, &id).await, State::Waiting);
    assert_eq!(counters(&queue, "default").await, (1, 0));
    assert_eq!(queue.next_job_due().await.unwrap(), Some(at(10)));
    assert!(queue.claim("worker", at(9)).await.unwrap().is_none());

    let second = claim(&queue, at(10)).await;
    assert_eq!((second.attempt, &second.job.outcomes[0]), (2, &Some(stored("a"))));
    assert_eq!(second.job.started, Some(at(0)));
    assert!(queue.finish(&second, Finish::Retry(Duration::ZERO), at(11)).await.unwrap());
    let third = claim(&queue, at(11)).await;
    assert!(queue.finish(&third, Finish::Retry(Duration::ZERO), at(12)).await.unwrap());
    let job = queue.get(&id).await.unwrap().unwrap();
    assert_eq!(job.state, State::Failed, "it was claimed as often as it may be");
    let gave_up = Failure { message: "given up after 3 attempts".to_owned(), ..Failure::default() };
    assert_eq!(job.outcomes, [Some(stored("a")), Some(Outcome::Failed(gave_up))]);

    let id = submit_one(&queue, "ak", "default").await;
    let claim = claim(&queue, at(20)).await;
    queue.finish(&claim, Finish::Retry(LEASE), at(20)).await.unwrap();
    assert_eq!(queue.cancel(&id, at(21)).await.unwrap(), Some(State::Cancelled));
    assert_eq!(queue.next_job_due().await.unwrap(), None);
}

async fn jobs_end_as_their_outputs_did(place: &Place) {
    let queue = place.open().await;
    let rows: [(&[Outcome], State); 4] = [
        (&[stored("a"), Outcome::Data("{}".to_owned())], State::Succeeded),
        (&[stored("a"), failed("no")], State::Failed),
        (&[stored("a")], State::Failed),
        (&[], State::Failed),
    ];
    for (outcomes, expected) in rows {
        let id = submit_one(&queue, "ak", "default").await;
        let claim = claim(&queue, at(1)).await;
        for (output, outcome) in outcomes.iter().enumerate() {
            assert!(queue.record(&claim, output, &failed("before")).await.unwrap());
            assert!(queue.record(&claim, output, outcome).await.unwrap());
        }
        assert!(queue.finish(&claim, Finish::Done, at(3)).await.unwrap());
        let job = queue.get(&id).await.unwrap().unwrap();
        assert_eq!(job.state, expected, "{outcomes:?}");
        assert_eq!(job.outcomes.into_iter().flatten().collect::<Vec<_>>(), outcomes);
    }
}

async fn what_ended_long_ago_is_forgotten(place: &Place) {
    let queue = place.open().await;
    let told = ended(&queue, "ak", "http://a/", at(0)).await;
    let notification = due(&queue, at(0)).await;
    queue.settle(&notification, Delivery::Delivered, at(0)).await.unwrap();
    let untold = ended(&queue, "ak", "http://a/", at(0)).await;
    let late = ended(&queue, "ak", "http://a/", at(50)).await;
    let waiting = submit_one(&queue, "ak", "default").await;
    assert_eq!(queue.delete_finished(at(50)).await.unwrap(), 1);
    assert_eq!(queue.get(&told).await.unwrap(), None);
    for id in [&untold, &late, &waiting] {
        assert!(queue.get(id).await.unwrap().is_some());
    }
    assert_eq!(queue.notifications(None, None, 10).await.unwrap().len(), 2);

    // More than go in one transaction.
    let mut many = Submission { is_batch: true, ..submission("b", "bulk", 510) };
    many.jobs.iter_mut().for_each(|job| job.notify = None);
    for id in queue.submit(many, at(0)).await.unwrap().jobs {
        queue.cancel(&id, at(1)).await.unwrap();
    }
    assert_eq!(queue.delete_finished(at(50)).await.unwrap(), 510);
    assert_eq!(queue.counts("b").await.unwrap(), []);
}
