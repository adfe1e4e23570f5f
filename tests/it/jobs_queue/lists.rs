//! Jobs in pages and in batches.

use super::*;

on_both!(jobs_are_listed_page_by_page, batches_are_numbered,);

async fn jobs_are_listed_page_by_page(place: &Place) {
    let queue = place.open().await;
    let mut expected = Vec::new();
    for second in 0..3 {
        // Several of the same time: their names decide.
        let mut jobs = queue.submit(submission("ak", "default", 3), at(second)).await.unwrap().jobs;
        jobs.sort();
        expected.extend(jobs);
        queue.submit(submission("other", "else", 1), at(second)).await.unwrap();
    }
    expected.reverse();
    let mut filter = Filter { owner: Some("ak".to_owned()), ..Filter::default() };
    let mut listed = Vec::new();
    loop {
        let page = queue.list(&filter, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before = Some((last.created, last.id.clone()));
        listed.extend(page.into_iter().map(|job| job.id));
    }
    assert_eq!(listed, expected);

    let count = async |filter| queue.list(&filter, 100).await.unwrap().len();
    queue.cancel(&expected[0], at(5)).await.unwrap();
    assert_eq!(count(Filter::default()).await, 12);
    assert_eq!(count(Filter { queue: Some("else".to_owned()), ..Filter::default() }).await, 3);
    assert_eq!(count(Filter { state: Some(State::Cancelled), ..Filter::default() }).await, 1);
    assert_eq!(count(Filter { api: Some(Api::Dlcs), ..Filter::default() }).await, 0);
    let source = Some(submission("ak", "default", 1).jobs[0].source.clone());
    assert_eq!(count(Filter { source, ..Filter::default() }).await, 12);
    let source = Some(Source::Object { bucket: "photos".to_owned(), key: "nothing".to_owned() });
    assert_eq!(count(Filter { source, ..Filter::default() }).await, 0);
    assert_eq!(queue.counts("ak").await.unwrap(), [(State::Cancelled, 1), (State::Waiting, 8)]);
    assert_eq!(queue.counts("nobody").await.unwrap(), []);
}

async fn batches_are_numbered(place: &Place) {
    let queue = place.open().await;
    let batch = async |count| {
        queue.submit(Submission { is_batch: true, ..submission("ak", "default", count) }, at(0)).await.unwrap()
    };
    let (first, second) = (batch(2).await, batch(3).await);
    assert!(first.batch.is_some() && first.batch != second.batch);
    assert_eq!(queue.submit(submission("ak", "default", 1), at(0)).await.unwrap().batch, None);
    let listed = queue.list(&Filter { batch: second.batch, ..Filter::default() }, 100).await.unwrap();
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|job| job.batch == second.batch && second.jobs.contains(&job.id)));
    let refused = queue.submit(Submission { is_batch: true, ..submission("ak", "default", 1000) }, at(0)).await;
    assert!(refused.is_err());
}
