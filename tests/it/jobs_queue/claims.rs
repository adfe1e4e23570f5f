//! Jobs are held by one claim at a time.

use super::*;

on_both!(
    a_job_lives_from_submission_to_delivery,
    a_dead_workers_job_is_taken_over,
    jobs_that_kill_their_workers_fail,
    lost_claims_are_refused,
    many_jobs_are_claimed_at_once,
    a_released_job_was_not_claimed,
    jobs_that_cannot_be_read_fail,
    jobs_outlive_the_process,
    odd_texts_are_kept,
);

async fn a_job_lives_from_submission_to_delivery(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let job = queue.get(&id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt, &*job.owner, &*job.queue), (State::Waiting, 0, "ak", "default"));
    assert_eq!((job.created, job.started, job.finished), (at(0), None, None));
    assert_eq!(job.spec, spec());
    assert_eq!(job.outcomes, [None, None]);
    assert_eq!(counters(&queue, "default").await, (1, 0));

    let claim = claim(&queue, at(1)).await;
    assert_eq!((&claim.job.id, claim.attempt, claim.job.state), (&id, 1, State::Running));
    assert_eq!(queue.claim("other", at(1)).await.unwrap().map(|claim| claim.job.id), None);
    assert_eq!(counters(&queue, "default").await, (0, 1));
    let mut changes = queue.changes();
    assert_eq!(queue.renew(&claim, 250, at(2)).await.unwrap(), Renewal::Held);
    assert_eq!(changes.try_recv(), Ok(Change::Job(id.clone())));
    assert_eq!(queue.renew(&claim, 250, at(2)).await.unwrap(), Renewal::Held);
    assert!(changes.try_recv().is_err(), "a worker that hears its own renewals renews for ever");
    assert!(queue.record(&claim, 1, &stored("b")).await.unwrap());
    let job = queue.get(&id).await.unwrap().unwrap();
    assert_eq!((job.progress, job.started, job.outcomes), (250, Some(at(1)), vec![None, Some(stored("b"))]));
    assert_eq!(queue.due_notification(&[], at(3)).await.unwrap(), None);

    succeed(&queue, &claim, at(4)).await;
    let job = queue.get(&id).await.unwrap().unwrap();
    assert_eq!((job.state, job.finished, job.is_notify_dead), (State::Succeeded, Some(at(4)), false));
    assert_eq!(counters(&queue, "default").await, (0, 0));
    let notification = queue.due_notification(&[], at(4)).await.unwrap().unwrap();
    assert_eq!((&notification.job, notification.attempts, notification.created), (&id, 1, at(4)));
    assert_eq!(notification.url, spec().notify.unwrap().url);
    queue.settle(&notification, Delivery::Delivered, at(5)).await.unwrap();
    assert_eq!(queue.due_notification(&[], at(1000)).await.unwrap(), None);
    assert_eq!(queue.counts("ak").await.unwrap(), [(State::Succeeded, 1)]);
    assert_eq!(queue.get(&JobId::new(at(0))).await.unwrap(), None);
}

async fn a_dead_workers_job_is_taken_over(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let dead = claim(&queue, at(0)).await;
    assert!(queue.record(&dead, 0, &stored("a")).await.unwrap());
    assert!(queue.claim("worker", at(59)).await.unwrap().is_none());
    assert_eq!(queue.renew(&dead, 0, at(30)).await.unwrap(), Renewal::Held);
    assert!(queue.claim("worker", at(89)).await.unwrap().is_none(), "the lease was renewed");

    let taken = claim(&queue, at(90)).await;
    assert_eq!((&taken.job.id, taken.attempt), (&id, 2));
    assert_eq!(taken.job.outcomes, [Some(stored("a")), None], "what was done is kept");
    assert_eq!(counters(&queue, "default").await, (0, 1));
    assert!(queue.claim("worker", at(90)).await.unwrap().is_none());
}

async fn jobs_that_kill_their_workers_fail(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    for attempt in 1..=3 {
        let claim = claim(&queue, at(100 * attempt)).await;
        assert_eq!(claim.attempt, attempt as i32);
        queue.record(&claim, 0, &stored("a")).await.unwrap();
    }
    assert!(queue.claim("worker", at(400)).await.unwrap().is_none());
    let job = queue.get(&id).await.unwrap().unwrap();
    let died = Outcome::Failed(Failure { message: "the worker died 3 times".to_owned(), ..Failure::default() });
    assert_eq!((job.state, job.outcomes), (State::Failed, vec![Some(stored("a")), Some(died)]));
    assert_eq!(counters(&queue, "default").await, (0, 0));
    assert!(queue.due_notification(&[], at(400)).await.unwrap().is_some());
}

async fn lost_claims_are_refused(place: &Place) {
    let queue = place.open().await;
    submit_one(&queue, "ak", "default").await;
    let lost = claim(&queue, at(0)).await;
    let held = claim(&queue, at(60)).await;
    assert_eq!(queue.renew(&lost, 1, at(61)).await.unwrap(), Renewal::Lost);
    assert!(!queue.record(&lost, 0, &failed("late")).await.unwrap());
    for finish in [Finish::Done, Finish::Cancelled, Finish::Retry(Duration::ZERO)] {
        assert!(!queue.finish(&lost, finish, at(61)).await.unwrap());
    }
    assert_eq!(queue.renew(&held, 1, at(61)).await.unwrap(), Renewal::Held);
    assert!(matches!(queue.record(&held, 2, &failed("no")).await, Err(Error::NoSuchOutput { output: 2, .. })));
    succeed(&queue, &held, at(62)).await;
    assert_eq!(queue.renew(&held, 1, at(63)).await.unwrap(), Renewal::Lost);
    assert!(!queue.record(&held, 0, &failed("late")).await.unwrap());
    assert!(!queue.finish(&held, Finish::Done, at(63)).await.unwrap());
    assert_eq!(counters(&queue, "default").await, (0, 0));
}

async fn many_jobs_are_claimed_at_once(place: &Place) {
    let queue = place.open().await;
    queue.configure(&QueueSettings { max_running: Some(2), ..settings("narrow") }).await.unwrap();
    let mut expected = queue.submit(submission("ak", "wide", 5), at(0)).await.unwrap().jobs;
    queue.submit(submission("ak", "narrow", 5), at(0)).await.unwrap();
    let claims = queue.claim_many("worker", 4, at(1)).await.unwrap();
    let of = |name: &str| claims.iter().filter(|claim| claim.job.queue == name).count();
    assert_eq!((of("wide"), of("narrow")), (2, 2), "queues of one priority have the same share");
    let claims = queue.claim_many("worker", 10, at(1)).await.unwrap();
    let rest: Vec<_> = claims.iter().map(|claim| claim.job.id.clone()).collect();
    assert_eq!(rest, expected.split_off(2), "in their order, and no more than there are");
    assert_eq!(counters(&queue, "wide").await, (0, 5));
    assert_eq!(counters(&queue, "narrow").await, (3, 2));
    for claim in &claims {
        succeed(&queue, claim, at(2)).await;
    }
    assert_eq!(counters(&queue, "wide").await, (0, 2));
}

async fn a_released_job_was_not_claimed(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let mut released: Vec<Claim> = Vec::new();
    for _ in 0..5 {
        let claim = claim(&queue, at(0)).await;
        assert_eq!((&claim.job.id, claim.attempt), (&id, 1));
        for old in &released {
            assert_eq!(queue.renew(old, 1, at(0)).await.unwrap(), Renewal::Lost);
            assert!(!queue.record(old, 0, &failed("late")).await.unwrap());
            assert!(!queue.finish(old, Finish::Done, at(0)).await.unwrap());
        }
        assert!(queue.finish(&claim, Finish::Released, at(0)).await.unwrap());
        assert_eq!(counters(&queue, "default").await, (1, 0));
        released.push(claim);
    }
}

async fn jobs_that_cannot_be_read_fail(place: &Place) {
    let queue = place.open().await;
    let broken = queue.submit(submission("ak", "default", 3), at(0)).await.unwrap().jobs;
    let whole = submit_one(&queue, "ak", "default").await;
    let edit = async |sql: String| {
        queue.close().await;
        administer(&place.url, &sql).await;
        place.open().await
    };
    let queue = edit(format!(
        "UPDATE jobs SET spec = '{{\"source\":7}}' WHERE id = '{}'; UPDATE jobs SET spec = '' WHERE id = '{}'; \
         UPDATE jobs SET api = 'fax' WHERE id = '{}'",
        broken[0], broken[1], broken[2]
    ))
    .await;
    let claim = claim(&queue, at(1)).await;
    assert_eq!(claim.job.id, whole);
    assert_eq!(counters(&queue, "default").await, (0, 1));
    for (id, problem) in broken.iter().zip(["cannot be read: ", "cannot be read: EOF", "\"fax\""]) {
        let job = queue.get(id).await.unwrap().unwrap();
        assert_eq!((job.state, job.finished), (State::Failed, Some(at(1))));
        let [Some(Outcome::Failed(failure))] = &job.outcomes[..] else { panic!("{job:?}") };
        assert!(failure.message.contains(problem), "{}", failure.message);
    }
    assert_eq!(queue.list(&Filter::default(), 10).await.unwrap().len(), 4);

    // An outcome that cannot be read is a failure, and harms no other.
    assert!(queue.record(&claim, 0, &stored("a")).await.unwrap());
    queue.close().await;
    administer(&place.url, "UPDATE outputs SET outcome = '?'").await;
    let queue = place.open().await;
    let job = queue.get(&whole).await.unwrap().unwrap();
    assert!(matches!(&job.outcomes[..], [Some(Outcome::Failed(_)), None]), "{job:?}");
    assert!(queue.claim("worker", at(100)).await.unwrap().is_some(), "its worker died");
}

async fn jobs_outlive_the_process(place: &Place) {
    let queue = place.open().await;
    let id = submit_one(&queue, "ak", "default").await;
    let before = claim(&queue, at(0)).await;
    queue.close().await;
    let queue = place.open().await;
    assert_eq!(state(&queue, &id).await, State::Running);
    assert_eq!(counters(&queue, "default").await, (0, 1));
    succeed(&queue, &before, at(1)).await;
    assert_eq!(state(&queue, &id).await, State::Succeeded);
}

async fn odd_texts_are_kept(place: &Place) {
    let queue = place.open().await;
    let odd = "春天 '\";--\u{1F600} $1 ?\u{7f}";
    let mut submission = submission(odd, odd, 1);
    submission.jobs[0].user_data = Some(format!("{odd}\0\u{1}"));
    let spec = submission.jobs[0].clone();
    let id = queue.submit(submission, at(0)).await.unwrap().jobs.remove(0);
    let claim = claim(&queue, at(0)).await;
    assert_eq!((&claim.job.id, &claim.job.spec), (&id, &spec));
    assert!(queue.record(&claim, 0, &Outcome::Data(format!("{odd}\0"))).await.unwrap());
    assert!(queue.finish(&claim, Finish::Done, at(0)).await.unwrap());
    let listed =
        queue.list_with_outcomes(&Filter { owner: Some(odd.to_owned()), ..Filter::default() }, 10).await.unwrap();
    assert_eq!(listed[0].outcomes[0], Some(Outcome::Data(format!("{odd}\0"))));
    let statuses: Vec<QueueStatus> = queue.queues().await.unwrap();
    assert_eq!(statuses[0].settings, settings(odd));
}
