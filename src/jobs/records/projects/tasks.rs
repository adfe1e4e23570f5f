//! Tasks: all images of a project worked on at once, as one batch of jobs.

use std::time::SystemTime;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::images::totals;
use super::{Project, Projects, id};
use crate::jobs::database::Durability;
use crate::jobs::model::{Filter, JobId, State as JobState, millis, time};
use crate::jobs::queue::Error;

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub id: JobId,
    /// Its project.
    pub project: JobId,
    /// What its owner calls this kind of work.
    pub kind: String,
    /// Its jobs, once they are submitted.
    pub batch: Option<i64>,
    /// Whether its owner stopped it.
    pub is_stopped: bool,
    /// When it was started.
    pub created: SystemTime,
    /// How many of its jobs wait, run, have succeeded, and have ended otherwise.
    pub jobs: [i64; 4],
    /// When its last job ended.
    pub finished: Option<SystemTime>,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// None of its jobs runs yet.
    Pending,
    /// Some do.
    Processing,
    /// All have succeeded, as far as they are remembered.
    Done,
    /// One has not.
    Failed,
    /// Its owner stopped it.
    Stopped,
}

impl TaskState {
    /// Its name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Processing => "Processing",
            Self::Done => "Done",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }
}

/// Why a task cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to work on.
    #[error("the project has no images that are Ready")]
    NoImages,
    /// Some are not final.
    #[error("not all images of the project are Ready or Invalid")]
    NotReady,
    /// Another one has not ended.
    #[error("a task of the project is running")]
    Running,
}

impl Task {
    /// Where it stands.
    pub fn state(&self) -> TaskState {
        let [waiting, running, succeeded, failed] = self.jobs;
        match () {
            () if self.is_stopped => TaskState::Stopped,
            () if self.batch.is_none() => TaskState::Pending,
            () if waiting + running == 0 && failed > 0 => TaskState::Failed,
            () if waiting + running == 0 => TaskState::Done,
            () if running + succeeded + failed > 0 => TaskState::Processing,
            () => TaskState::Pending,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state(), TaskState::Pending | TaskState::Processing)
    }
}

const TASK: &str = "id, project, kind, batch, is_stopped, created";

impl Projects {
    /// The last task of a project.
    pub async fn last_task(&self, project: &JobId) -> Result<Option<Task>, Error> {
        last_task(&mut *self.database.reader().acquire().await?, project).await
    }

    /// A new task of a project, unless it cannot start. Its jobs are submitted next (`Keeper::launch`).
    pub async fn add_task(
        &self,
        project: &Project,
        kind: &str,
        now: SystemTime,
    ) -> Result<Result<Task, Refusal>, Error> {
        let mut tx = self.database.begin_locked(Durability::Disk, &[project.id.as_str()]).await?;
        let totals = totals(&mut tx, &project.id).await?;
        let is_running = last_task(&mut tx, &project.id).await?.is_some_and(|task| task.is_open());
        let refusal = match () {
            () if is_running => Some(Refusal::Running),
            () if totals.open > 0 => Some(Refusal::NotReady),
            () if totals.ready == 0 => Some(Refusal::NoImages),
            () => None,
        };
        if let Some(refusal) = refusal {
            return Ok(Err(refusal));
        }
        let id = JobId::new(now);
        let sql = "INSERT INTO project_tasks (id, project, kind, created) VALUES ($1, $2, $3, $4)";
        let insert = sqlx::query(sql).bind(id.to_string()).bind(project.id.to_string()).bind(kind.to_owned());
        insert.bind(millis(now)).execute(&mut *tx).await?;
        let sql = "UPDATE projects SET pending = NULL WHERE id = $1";
        sqlx::query(sql).bind(project.id.to_string()).execute(&mut *tx).await?;
        tx.commit().await.map_err(Error::Commit)?;
        Ok(Ok(Task {
            id,
            project: project.id.clone(),
            kind: kind.to_owned(),
            batch: None,
            is_stopped: false,
            created: time(millis(now)),
            jobs: [0; 4],
            finished: None,
        }))
    }

    /// Says which jobs a task has; `false` where it has others already, or is not there any more.
    pub(super) async fn set_batch(&self, task: &JobId, batch: i64) -> Result<bool, Error> {
        let sql = "UPDATE project_tasks SET batch = $1 WHERE id = $2 AND batch IS NULL RETURNING id";
        Ok(!self.database.write_alone(sqlx::query(sql).bind(batch).bind(task.to_string())).await?.is_empty())
    }

    /// Forgets a task whose jobs were not accepted.
    pub(super) async fn remove_task(&self, task: &JobId) -> Result<(), Error> {
        let sql = "DELETE FROM project_tasks WHERE id = $1 AND batch IS NULL";
        self.database.write_alone(sqlx::query(sql).bind(task.to_string())).await?;
        Ok(())
    }

    /// Tasks from before `before` whose jobs were not submitted: whoever started them died meanwhile.
    pub(super) async fn unlaunched(&self, before: SystemTime) -> Result<Vec<Task>, Error> {
        let sql = format!(
            "SELECT {TASK} FROM project_tasks WHERE batch IS NULL AND created <= $1 ORDER BY created LIMIT 100"
        );
        let found = sqlx::query(&sql).bind(millis(before)).fetch_all(self.database.reader()).await?;
        found.iter().map(task).collect()
    }

    /// A task of this kind starts once every image is final.
    pub async fn set_pending(&self, project: &JobId, kind: &str) -> Result<(), Error> {
        let sql = "UPDATE projects SET pending = $1 WHERE id = $2";
        self.database.write_alone(sqlx::query(sql).bind(kind.to_owned()).bind(project.to_string())).await?;
        Ok(())
    }

    /// Nothing starts by itself any more.
    pub async fn clear_pending(&self, project: &JobId) -> Result<(), Error> {
        let sql = "UPDATE projects SET pending = NULL WHERE id = $1";
        self.database.write_alone(sqlx::query(sql).bind(project.to_string())).await?;
        Ok(())
    }

    /// Projects whose task waits for images, none of which is open any more; with the kind of the task.
    pub(super) async fn due(&self) -> Result<Vec<(JobId, String)>, Error> {
        let sql = "SELECT id, pending FROM projects WHERE pending IS NOT NULL AND NOT EXISTS (SELECT 1 FROM \
                   project_images WHERE project = projects.id AND state NOT IN ('Ready', 'Invalid')) LIMIT 100";
        let found = sqlx::query(sql).fetch_all(self.database.reader()).await?;
        found.iter().map(|row| Ok((id(row, "id")?, row.try_get("pending")?))).collect()
    }

    /// Stops a task: its jobs are cancelled, and it stays as it is for its owner to see.
    pub async fn stop(&self, task: &Task, now: SystemTime) -> Result<(), Error> {
        let sql = "UPDATE project_tasks SET is_stopped = 1 WHERE id = $1";
        self.database.write_alone(sqlx::query(sql).bind(task.id.to_string())).await?;
        match task.batch {
            Some(batch) => self.cancel(batch, now).await,
            None => Ok(()),
        }
    }

    pub(super) async fn cancel(&self, batch: i64, now: SystemTime) -> Result<(), Error> {
        let mut filter = Filter { batch: Some(batch), ..Filter::default() };
        loop {
            let jobs = self.queue.list(&filter, 1000).await?;
            for job in jobs.iter().filter(|job| !job.state.is_final()) {
                self.queue.cancel(&job.id, now).await?;
            }
            let Some(last) = jobs.last() else { return Ok(()) };
            filter.before = Some((last.created, last.id.clone()));
        }
    }
}

async fn last_task(connection: &mut AnyConnection, project: &JobId) -> Result<Option<Task>, Error> {
    let sql = format!("SELECT {TASK} FROM project_tasks WHERE project = $1 ORDER BY created DESC, id DESC LIMIT 1");
    let row = sqlx::query(&sql).bind(project.to_string()).fetch_optional(&mut *connection).await?;
    match row {
        Some(row) => counted(connection, task(&row)?).await.map(Some),
        None => Ok(None),
    }
}

async fn counted(connection: &mut AnyConnection, mut task: Task) -> Result<Task, Error> {
    let Some(batch) = task.batch else { return Ok(task) };
    let sql = "SELECT state, count(*) AS jobs, max(finished) AS finished FROM jobs WHERE batch = $1 GROUP BY state";
    for row in sqlx::query(sql).bind(batch).fetch_all(connection).await? {
        let count: i64 = row.try_get("jobs")?;
        let place = match JobState::named(&row.try_get::<String, _>("state")?) {
            Some(JobState::Waiting) => 0,
            Some(JobState::Running) => 1,
            Some(JobState::Succeeded) => 2,
            Some(JobState::Failed | JobState::Cancelled) | None => 3,
        };
        task.jobs[place] += count;
        task.finished = task.finished.max(row.try_get::<Option<i64>, _>("finished")?.map(time));
    }
    Ok(task)
}

fn task(row: &AnyRow) -> Result<Task, Error> {
    Ok(Task {
        id: id(row, "id")?,
        project: id(row, "project")?,
        kind: row.try_get("kind")?,
        batch: row.try_get("batch")?,
        is_stopped: row.try_get::<i64, _>("is_stopped")? != 0,
        created: time(row.try_get("created")?),
        jobs: [0; 4],
        finished: None,
    })
}
