//! Owners are told.

use super::*;

on_both!(notifications_live_on_after_their_jobs, busy_targets_are_passed_over, the_next_due_time_is_known,);

async fn notifications_live_on_after_their_jobs(place: &Place) {
    let queue = place.open().await;
    let id = ended(&queue, "ak", "http://a/", at(0)).await;
    let abandoned = due(&queue, at(0)).await;
    assert!(queue.due_notification(&[], at(59)).await.unwrap().is_none(), "it is on its way");
    let second = due(&queue, at(60)).await;
    assert_eq!((second.id, second.attempts), (abandoned.id, 2));
    queue.settle(&abandoned, Delivery::Delivered, at(61)).await.unwrap();
    let retry = Delivery::Retry { at: at(100), problem: "status 500\0".to_owned() };
    queue.settle(&second, retry, at(61)).await.unwrap();
    assert_eq!(queue.next_notification_due().await.unwrap(), Some(at(100)));
    assert!(queue.due_notification(&[], at(99)).await.unwrap().is_none());

    let third = due(&queue, at(100)).await;
    assert_eq!((third.attempts, third.last_problem.as_deref()), (3, Some("status 500\u{fffd}")));
    assert!(!queue.get(&id).await.unwrap().unwrap().is_notify_dead);
    queue.settle(&third, Delivery::Dead { problem: "status 404".to_owned() }, at(101)).await.unwrap();
    assert!(queue.get(&id).await.unwrap().unwrap().is_notify_dead);
    assert!(queue.due_notification(&[], at(1000)).await.unwrap().is_none());
    assert_eq!(queue.next_notification_due().await.unwrap(), None);

    ended(&queue, "other", "http://b/", at(0)).await;
    let count = async |owner, state| queue.notifications(owner, state, 10).await.unwrap().len();
    assert_eq!(count(None, None).await, 2);
    assert_eq!(count(Some("ak"), None).await, 1);
    assert_eq!(count(None, Some(NotificationState::Dead)).await, 1);
    assert_eq!(count(Some("ak"), Some(NotificationState::Pending)).await, 0);

    assert!(queue.replay(third.id, at(200)).await.unwrap());
    assert!(!queue.replay(third.id, at(200)).await.unwrap(), "it is to be sent already");
    assert!(!queue.replay(third.id + 1000, at(200)).await.unwrap());
    assert!(!queue.get(&id).await.unwrap().unwrap().is_notify_dead);
    let other = due(&queue, at(200)).await;
    let replayed = due(&queue, at(200)).await;
    assert_eq!((other.url.as_str(), replayed.id, replayed.attempts), ("http://b/", third.id, 1));
    queue.settle(&replayed, Delivery::Delivered, at(201)).await.unwrap();
    assert_eq!(count(Some("ak"), Some(NotificationState::Delivered)).await, 1);
}

async fn busy_targets_are_passed_over(place: &Place) {
    let queue = place.open().await;
    let (a, b) = ("http://a.example/1", "http://b.example/2");
    for url in [a, a, b] {
        ended(&queue, "ak", url, at(0)).await;
    }
    let busy = [target_of(a)];
    assert_eq!(queue.due_notification(&busy, at(1)).await.unwrap().unwrap().url, b);
    assert_eq!(queue.due_notification(&busy, at(1)).await.unwrap(), None);
    assert_eq!(queue.due_notification(&[target_of(b), target_of("http://c")], at(1)).await.unwrap().unwrap().url, a);
}

async fn the_next_due_time_is_known(place: &Place) {
    let queue = place.open().await;
    assert_eq!(queue.next_job_due().await.unwrap(), None);
    submit_one(&queue, "ak", "default").await;
    assert_eq!(queue.next_job_due().await.unwrap(), None, "whoever looks takes it at once");
    let claim = claim(&queue, at(0)).await;
    assert_eq!(queue.next_job_due().await.unwrap(), Some(at(60)));
    queue.renew(&claim, 0, at(10)).await.unwrap();
    ended(&queue, "ak", "http://a/", at(65)).await;
    assert_eq!(queue.next_notification_due().await.unwrap(), Some(at(65)));
    assert_eq!(queue.next_job_due().await.unwrap(), Some(at(70)));
}
