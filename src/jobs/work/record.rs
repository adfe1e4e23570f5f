//! What became of each output, recorded as soon as it is known, so that its owner hears of it and it is never made twice.

use std::time::{Duration, SystemTime};

use super::{Ended, Made};
use crate::error::ErrorKind;
use crate::jobs::model::{Claim, Outcome};
use crate::jobs::queue::{Error, Queue};

/// How long a job waits for room before it fails: nobody makes room for a disk that says full for a week.
const LONGEST_WITHOUT_ROOM: Duration = Duration::from_secs(7 * 24 * 3600);

/// Pauses between attempts to record while the database is full or busy: twice as long each time, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// The record of one attempt at a job.
pub(super) struct Record<'a> {
    pub(super) queue: &'a Queue,
    pub(super) claim: &'a Claim,
    pub(super) max_attempts: i32,
    /// How the attempt ends as things stand.
    pub(super) ended: Ended,
}

impl Record<'_> {
    /// Whether it makes sense to go on.
    pub(super) fn is_held(&self) -> bool {
        self.ended != Ended::Lost
    }

    /// Records what was made of the output at `position`; nothing where it may be made later.
    ///
    /// # Errors
    /// Where the queue cannot be written.
    pub(super) async fn keep(&mut self, position: usize, made: Made) -> Result<(), Error> {
        let outcome = match made {
            Ok(outcome) => outcome,
            Err(trouble) => match self.later(trouble.kind, SystemTime::now()) {
                Some(ended) => {
                    let problem = trouble.failure.message;
                    tracing::warn!(job = %self.claim.job.id, problem, "an output is tried again later");
                    // Who waits for room waits for everything else meanwhile.
                    self.ended = if self.ended == Ended::NoRoom { Ended::NoRoom } else { ended };
                    return Ok(());
                }
                None => Outcome::Failed(trouble.failure),
            },
        };
        if !self.written(position, &outcome).await? {
            self.ended = Ended::Lost;
        }
        Ok(())
    }

    /// How an attempt ends whose trouble may pass; `None` where it does not, or has lasted too long.
    fn later(&self, kind: ErrorKind, now: SystemTime) -> Option<Ended> {
        let waited = now.duration_since(self.claim.job.created).unwrap_or_default();
        match kind {
            ErrorKind::Full if waited < LONGEST_WITHOUT_ROOM => Some(Ended::NoRoom),
            kind if kind.is_transient() && self.claim.attempt < self.max_attempts => Some(Ended::ForNow),
            _ => None,
        }
    }

    /// Writes an outcome, and waits while the database has no room for it: what was made is stored already. `false` where
    /// the claim is lost.
    async fn written(&self, position: usize, outcome: &Outcome) -> Result<bool, Error> {
        let (mut pause, longest) = PAUSES;
        loop {
            match self.queue.record(self.claim, position, outcome).await {
                Err(error) if matches!(error.kind(), ErrorKind::Full | ErrorKind::Busy) => {
                    tracing::warn!(job = %self.claim.job.id, %error, "an output is stored and cannot be recorded yet");
                }
                written => return written,
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(longest);
        }
    }
}
