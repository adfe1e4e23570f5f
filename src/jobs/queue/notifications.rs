//! Messages to owners: each a record of its own, kept until it is delivered or given up, and after.

use std::time::SystemTime;

use super::read::MAX_PAGE;
use super::{Change, Error, Queue, rows};
use crate::jobs::model::{self, Notification, NotificationState, millis};

/// How an attempt to deliver a notification ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver has it.
    Delivered,
    /// It is sent again.
    Retry {
        /// When.
        at: SystemTime,
        /// What went wrong.
        problem: String,
    },
    /// It is given up.
    Dead {
        /// What went wrong.
        problem: String,
    },
}

/// What has a limit of messages in flight: scheme, host and port of a URL. A text that is no such URL stands for itself.
pub fn target_of(url: &str) -> String {
    let parsed = url::Url::parse(url).ok().filter(url::Url::has_host);
    parsed.map_or_else(|| url.to_owned(), |parsed| parsed.origin().ascii_serialization())
}

impl Queue {
    /// The next notification to send, of none of the targets ([`target_of`]) that are busy. It counts as on its way, and
    /// its attempt as made, until [`Queue::settle`] or the end of the lease, when it is due again.
    pub async fn due_notification(
        &self,
        busy_targets: &[String],
        now: SystemTime,
    ) -> Result<Option<Notification>, Error> {
        let busy: Vec<_> = (0..busy_targets.len()).map(|index| format!("${}", index + 3)).collect();
        let others = if busy.is_empty() { String::new() } else { format!(" AND target NOT IN ({})", busy.join(", ")) };
        let first = format!(
            "SELECT id FROM notifications WHERE state = 'pending' AND due <= $1{others} ORDER BY due, id LIMIT 1"
        );
        let first = self.dialect().skipping_locked(&first);
        let sql = format!(
            "UPDATE notifications SET attempts = attempts + 1, due = $2 WHERE id = ({first}) RETURNING {}",
            rows::NOTIFICATION
        );
        let mut write = self.write_lightly().await?;
        let query = sqlx::query(&sql).bind(millis(now)).bind(millis(now + self.settings.lease));
        let query = busy_targets.iter().fold(query, sqlx::query::Query::bind);
        let Some(row) = query.fetch_optional(write.connection()).await? else { return Ok(None) };
        let notification = rows::notification(&row)?;
        write.commit().await?;
        Ok(Some(notification))
    }

    /// Records how the attempt to deliver `notification`, as [`Queue::due_notification`] gave it, ended. Nothing happens
    /// where its lease has passed and another attempt was begun.
    pub async fn settle(&self, notification: &Notification, ended: Delivery, now: SystemTime) -> Result<(), Error> {
        let (state, due, problem) = match ended {
            Delivery::Delivered => (NotificationState::Delivered, now, None),
            Delivery::Retry { at, problem } => (NotificationState::Pending, at, Some(problem)),
            Delivery::Dead { problem } => (NotificationState::Dead, now, Some(problem)),
        };
        let mut write = self.write().await?;
        let sql = "UPDATE notifications SET state = $1, due = $2, last_problem = $3 \
                   WHERE id = $4 AND attempts = $5 AND state = 'pending'";
        sqlx::query(sql)
            .bind(state.name())
            .bind(millis(due))
            // PostgreSQL has no text with this character.
            .bind(problem.map(|problem| problem.replace('\0', "\u{fffd}")))
            .bind(notification.id)
            .bind(i64::from(notification.attempts))
            .execute(write.connection())
            .await?;
        write.tell(Change::Notification);
        if state == NotificationState::Dead {
            write.tell(Change::Job(notification.job.clone()));
        }
        write.commit().await
    }

    /// Notifications, of one owner and in one state where these are given, the newest first, at most `limit` and
    /// never more than a thousand.
    pub async fn notifications(
        &self,
        owner: Option<&str>,
        state: Option<NotificationState>,
        limit: u32,
    ) -> Result<Vec<Notification>, Error> {
        let limit = limit.min(MAX_PAGE);
        let given = [("owner", owner), ("state", state.map(NotificationState::name))];
        let given: Vec<_> = given.into_iter().filter_map(|(column, value)| Some((column, value?))).collect();
        let conditions: Vec<_> =
            given.iter().enumerate().map(|(index, (column, _))| format!("{column} = ${}", index + 1)).collect();
        let conditions = if given.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let sql =
            format!("SELECT {} FROM notifications {conditions} ORDER BY id DESC LIMIT {limit}", rows::NOTIFICATION);
        let query = given.iter().fold(sqlx::query(&sql), |query, (_, value)| query.bind(*value));
        query.fetch_all(self.database.reader()).await?.iter().map(rows::notification).collect()
    }

    /// Sends a notification again that was delivered or given up. `false` where there is none such.
    pub async fn replay(&self, notification: i64, now: SystemTime) -> Result<bool, Error> {
        let mut write = self.write().await?;
        let sql = "UPDATE notifications SET state = 'pending', attempts = 0, due = $1 \
                   WHERE id = $2 AND state <> 'pending'";
        let query = sqlx::query(sql).bind(millis(now)).bind(notification);
        let is_there = query.execute(write.connection()).await?.rows_affected() > 0;
        write.tell(Change::Notification);
        write.commit().await?;
        Ok(is_there)
    }

    /// When the next notification is to be sent. Past where it waits for its target alone.
    pub async fn next_notification_due(&self) -> Result<Option<SystemTime>, Error> {
        let sql = "SELECT min(due) FROM notifications WHERE state = 'pending'";
        let due: Option<i64> = sqlx::query_scalar(sql).fetch_one(self.database.reader()).await?;
        Ok(due.map(model::time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_scheme_host_and_port() {
        let rows = [
            ("http://example.com/a?b=1", "http://example.com"),
            ("https://user:secret@EXAMPLE.com:443/a", "https://example.com"),
            ("http://example.com:8080", "http://example.com:8080"),
            ("no URL", "no URL"),
            ("mailto:me@example.com", "mailto:me@example.com"),
        ];
        for (url, target) in rows {
            assert_eq!(target_of(url), target, "{url}");
        }
    }
}
