//! Telling owners that their jobs ended: at least once, for a day, and one dead receiver delays nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::model::{Job, Notification, Notify};
use super::queue::{Change, Delivery, Queue, changed};
use super::sink::{Address, Sink};
use crate::auth::KeyRing;
use crate::store::Remote;

/// The pause after the first attempt; each next one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// How long is tried at least.
const TRIED_FOR: Duration = Duration::from_secs(25 * 3600);
/// Shortest and longest time between two looks at the queue without news; the short one also where only busy receivers are
/// waited for.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long a failure of the database is waited out.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Messages in flight at once, to all receivers.
const IN_FLIGHT: usize = 64;

/// Headers that say where a message goes and how it is framed, whatever the caller wants.
const OF_THE_CONNECTION: [header::HeaderName; 4] =
    [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];

/// What an owner is told, in the words of the API that the job came in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its media type.
    pub content_type: &'static str,
    /// The document.
    pub body: Bytes,
}

/// Spells a job for its owner.
pub type Spell = dyn Fn(&Job) -> Message + Send + Sync;

/// Sends notifications.
#[derive(Clone)]
pub struct Notifier {
    /// Where they are recorded.
    pub queue: Queue,
    /// What sends them, past the address guard.
    pub remote: Remote,
    /// What signs them.
    pub keys: Arc<KeyRing>,
    /// What spells them.
    pub spell: Arc<Spell>,
    /// What has the message queues, where there are some.
    pub sink: Option<Arc<dyn Sink>>,
    /// Most messages in flight to one receiver.
    pub per_target: usize,
}

impl Notifier {
    /// Sends what is due until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut sending = JoinSet::new();
        let mut targets: HashMap<String, usize> = HashMap::new();
        let mut changes = self.queue.changes();
        while !stop.is_cancelled() {
            let wait = self.fill(&mut sending, &mut targets).await;
            tokio::select! {
                () = stop.cancelled() => {}
                Some(sent) = sending.join_next() => free(&mut targets, sent.ok()),
                () = changed(&mut changes, |change| *change == Change::Notification) => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        // What is in flight is recorded; what was not sent is sent by whoever starts next.
        while sending.join_next().await.is_some() {}
    }

    /// Sends what is due while there is room; says how long nothing will come due by itself.
    async fn fill(&self, sending: &mut JoinSet<String>, targets: &mut HashMap<String, usize>) -> Duration {
        while sending.len() < IN_FLIGHT {
            let busy: Vec<String> = targets
                .iter()
                .filter(|(_, count)| **count >= self.per_target)
                .map(|(target, _)| target.clone())
                .collect();
            match self.queue.due_notification(&busy, SystemTime::now()).await {
                Ok(Some(notification)) => {
                    let target = super::queue::target_of(&notification.url);
                    *targets.entry(target.clone()).or_default() += 1;
                    let notifier = self.clone();
                    sending.spawn(async move {
                        notifier.deliver(&notification).await;
                        target
                    });
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "notifications cannot be read");
                    return AFTER_FAILURE;
                }
            }
        }
        match self.queue.next_notification_due().await {
            Ok(Some(due)) => {
                due.duration_since(SystemTime::now()).unwrap_or_default().clamp(SHORTEST_WAIT, LONGEST_WAIT)
            }
            Ok(None) => LONGEST_WAIT,
            Err(_) => AFTER_FAILURE,
        }
    }

    async fn deliver(&self, notification: &Notification) {
        let (notify, sent) = match self.queue.get(&notification.job).await {
            Ok(Some(job)) => (job.spec.notify.clone(), self.send(notification, &job).await),
            Ok(None) => (None, Err("its job is gone".to_owned())),
            Err(error) => (None, Err(error.to_string())),
        };
        let ended = match sent {
            Ok(()) => Delivery::Delivered,
            Err(problem) => after(notification, notify.as_ref(), problem, SystemTime::now()),
        };
        tracing::info!(job = %notification.job, attempt = notification.attempts, ?ended, "notification");
        if let Err(error) = self.queue.settle(notification, ended, SystemTime::now()).await {
            // Its lease will pass, and it is sent again: at least once.
            tracing::error!(%error, "a notification's end could not be recorded");
        }
    }

    async fn send(&self, notification: &Notification, job: &Job) -> Result<(), String> {
        let message = (self.spell)(job);
        if let Ok(address) = notification.url.parse::<Address>() {
            let Some(sink) = &self.sink else { return Err("this server has no message queues any more".to_owned()) };
            return sink.send(&address, job.id.as_str(), &message).await;
        }
        let headers = self.headers(&notification.url, job, &message);
        let url = url::Url::parse(&notification.url).map_err(|error| error.to_string())?;
        match self.remote.tell(&url, headers, message.body).await {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(format!("the receiver answered {}", status.as_u16())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Headers by which the owner knows who sends it: the vendor's, over path and body, and for everyone else an
    /// HMAC-SHA256 of time and body, so that an old message cannot be sent again.
    fn headers(&self, url: &str, job: &Job, message: &Message) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in job.spec.notify.iter().flat_map(|notify| &notify.headers) {
            let (name, value) = (name.parse::<header::HeaderName>(), HeaderValue::from_str(value));
            if let (Ok(name), Ok(value)) = (name, value)
                && !OF_THE_CONNECTION.contains(&name)
            {
                headers.insert(name, value);
            }
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(message.content_type));
        let now = super::model::millis(SystemTime::now()) / 1000;
        let signatures = [
            (header::AUTHORIZATION, crate::auth::notification::vendor(&self.keys, &job.owner, url)),
            (
                header::HeaderName::from_static("x-mogr-signature"),
                crate::auth::notification::general(&self.keys, &job.owner, now, &message.body),
            ),
        ];
        for (name, value) in signatures {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// What becomes of a notification whose attempt failed: it is sent again after the pauses that its API promises, or else for
/// a day.
fn after(notification: &Notification, notify: Option<&Notify>, problem: String, now: SystemTime) -> Delivery {
    if let Some(pauses) = notify.and_then(|notify| notify.pauses.as_ref()) {
        let made = usize::try_from(notification.attempts - 1).unwrap_or_default();
        return match pauses.get(made) {
            Some(seconds) => Delivery::Retry { at: now + Duration::from_secs((*seconds).into()), problem },
            None => Delivery::Dead { problem },
        };
    }
    let pause = pause_after(notification.attempts, notification.id);
    if now.duration_since(notification.created).unwrap_or_default() > TRIED_FOR {
        return Delivery::Dead { problem };
    }
    Delivery::Retry { at: now + pause, problem }
}

/// The pause after so many attempts, counted from 1: twice as long each time, and up to a quarter longer by the
/// notification's number, so that what failed together does not come together again.
fn pause_after(attempts: i32, id: i64) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(16);
    let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    let spread = (id.wrapping_mul(0x9e37_79b9).wrapping_add(i64::from(attempts) * 0x85eb)).rem_euclid(256) as u32;
    pause + pause / 4 * spread / 256
}

fn free(targets: &mut HashMap<String, usize>, target: Option<String>) {
    let Some(target) = target else { return };
    if let Some(count) = targets.get_mut(&target) {
        *count -= 1;
        if *count == 0 {
            targets.remove(&target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_go_on_for_a_day() {
        let pauses: Vec<Duration> = (1..60).map(|attempts| pause_after(attempts, 7)).collect();
        assert!(pauses[0] >= FIRST_PAUSE && pauses[0] < FIRST_PAUSE * 5 / 4, "{:?}", pauses[0]);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE * 5 / 4));
        assert!(pauses[20] >= LONGEST_PAUSE);
        assert_ne!(pause_after(3, 1), pause_after(3, 2));
        assert!(pause_after(0, i64::MIN) >= FIRST_PAUSE && pause_after(i32::MAX, i64::MAX) >= LONGEST_PAUSE);
    }

    #[test]
    fn promised_pauses_are_kept_and_then_it_is_given_up() {
        let now = SystemTime::now();
        let notify = Notify { pauses: Some(vec![1, 15, 600]), ..Notify::to("http://example.com/") };
        let ended = |attempts| {
            let notification = Notification {
                id: 7,
                job: crate::jobs::model::JobId::new(now),
                url: notify.url.clone(),
                state: crate::jobs::model::NotificationState::Pending,
                attempts,
                next: now,
                created: now,
                last_problem: None,
            };
            after(&notification, Some(&notify), "500".to_owned(), now)
        };
        let retry = |seconds| Delivery::Retry { at: now + Duration::from_secs(seconds), problem: "500".to_owned() };
        assert_eq!([1, 2, 3].map(ended), [1, 15, 600].map(retry));
        assert_eq!(ended(4), Delivery::Dead { problem: "500".to_owned() });
    }
}
