//! Whether something answers: what does not is left alone for a while, and that is said once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long something that failed is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// Whether something answers.
#[derive(Debug)]
pub(super) struct Health {
    /// What does not happen while it does not.
    consequence: &'static str,
    /// When it is tried again; `None` while it answers.
    retry: Mutex<Option<Instant>>,
}

impl Health {
    pub(super) fn new(consequence: &'static str) -> Self {
        Self { consequence, retry: Mutex::default() }
    }

    /// Whether it is worth asking; of those who ask during a failure, one in a while is let through.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        let mut retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        match *retry {
            None => true,
            Some(at) if now >= at => {
                *retry = Some(now + PAUSE);
                true
            }
            Some(_) => false,
        }
    }

    /// Takes note of how it went.
    pub(super) fn note(&self, problem: Option<&str>, now: Instant) {
        let mut retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        let was_down = retry.is_some();
        *retry = problem.map(|_| now + PAUSE);
        drop(retry);
        match problem {
            Some(problem) if !was_down => tracing::warn!(problem, "{} until it works again", self.consequence),
            None if was_down => tracing::info!("cache.store works again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_left_alone_for_a_while() {
        let health = Health::new("nothing happens");
        let now = Instant::now();
        assert!(health.may_try(now) && health.may_try(now));
        health.note(Some("gone"), now);
        assert!(!health.may_try(now));
        assert!(health.may_try(now + PAUSE) && !health.may_try(now + PAUSE));
        health.note(Some("gone"), now + PAUSE);
        assert!(!health.may_try(now + PAUSE));
        health.note(None, now + PAUSE);
        assert!(health.may_try(now + PAUSE) && health.may_try(now + PAUSE));
    }
}
