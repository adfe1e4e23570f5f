//! What happens to projects by itself.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::image::{Event, Image, State};
use super::page::Slice;
use super::{Project, Projects, Refusal, Task};
use crate::jobs::model::{Api, Destination, Job, JobId, JobSpec, Outcome, OutputSpec, Source, Submission};
use crate::jobs::queue::{self, Change, Error, Queue};

/// How often it looks without being told.
const LOOK: Duration = Duration::from_secs(10);

/// Whoever started a task and has not submitted its jobs after so long has died.
const LAUNCH: Duration = Duration::from_secs(60);

/// Pictures are looked at before tasks go on: somebody waits for that.
const LOOKING_PRIORITY: i32 = 1;

/// What is done for projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The API that they came in by.
    pub api: Api,
    /// The queue of their jobs.
    pub queue: String,
    /// Formats that images may have, by the names of `imageInfo`.
    pub formats: &'static [&'static str],
    /// What a task makes of each image.
    pub pipeline: String,
}

/// Looks after projects. Clones are one.
#[derive(Clone, Debug)]
pub struct Keeper {
    projects: Projects,
    queue: Queue,
    settings: Arc<Settings>,
    wake: Arc<Notify>,
    /// Jobs that look at pictures and were not heard of since.
    awaited: Arc<Mutex<HashSet<JobId>>>,
}

/// Where the object of an image is, below its bucket.
pub fn key(project: &JobId, file: &str) -> String {
    format!("{project}/{file}")
}

/// Where what a task makes of an image goes, below the same bucket.
pub fn result_key(project: &JobId, task: &JobId, file: &str) -> String {
    format!("{project}/results/{task}/{file}")
}

impl Keeper {
    /// Looks after `projects`, with jobs in `queue`.
    pub fn new(projects: Projects, queue: Queue, settings: Settings) -> Self {
        Self { projects, queue, settings: Arc::new(settings), wake: Arc::default(), awaited: Arc::default() }
    }

    /// Has it look now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Looks after them until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.queue.changes();
        match self.projects.jobs_under_way().await {
            Ok(jobs) => self.awaited.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs),
            Err(error) => tracing::warn!(%error, "the ends of jobs from before this start are heard of later"),
        }
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let heard = queue::changed(&mut changes, |change| matches!(change, Change::Job(id) if self.awaits(id)));
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.wake.notified() => {}
                () = heard => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.look(SystemTime::now()).await {
                tracing::warn!(%error, "projects could not be looked after; this is tried again");
            }
        }
    }

    /// Does what is to be done as of `now`.
    ///
    /// # Errors
    /// A database that fails: what is left is done the next time.
    pub async fn look(&self, now: SystemTime) -> Result<(), Error> {
        self.projects.end_silent(now).await?;
        for image in self.projects.looked_at_images().await? {
            self.settle(&image, now).await?;
        }
        for image in self.projects.arrived_images().await? {
            passed_over(self.pick(&image, now).await)?;
        }
        for (project, kind) in self.projects.due().await? {
            passed_over(self.start_due(&project, &kind, now).await)?;
        }
        for task in self.projects.unlaunched(now - LAUNCH).await? {
            match self.projects.find(&task.project).await? {
                Some(project) => passed_over(self.launch(&project, &task, now).await)?,
                None => self.projects.remove_task(&task.id).await?,
            }
        }
        Ok(())
    }

    /// Has a job look at a picture: its header, and all of its pixels.
    async fn pick(&self, image: &Image, now: SystemTime) -> Result<(), Error> {
        let Some(project) = self.projects.find(&image.project).await? else { return Ok(()) };
        let output = |pipeline: &str| output(pipeline, Destination::Derived, None);
        let job = self.job(&project, &image.file, vec![output("imageInfo"), output("imageAve")]);
        let submission = self.submission(&project, LOOKING_PRIORITY, vec![job], false);
        let submitted = self.queue.submit(submission, now).await?;
        let Some(job) = submitted.jobs.into_iter().next() else { return Ok(()) };
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone());
        let picked = self.projects.advance(&image.id, Event::Picked(job.clone()), now).await?;
        if picked.is_none_or(|image| image.job.as_ref() != Some(&job)) {
            // Another node was first, or the picture has changed.
            self.queue.cancel(&job, now).await?;
        }
        // It may have ended before it was known whose it is.
        self.wake();
        Ok(())
    }

    /// Ends the state of an image as its job says.
    async fn settle(&self, image: &Image, now: SystemTime) -> Result<(), Error> {
        let Some(id) = image.job.clone() else { return Ok(()) };
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let event = match self.queue.get(&id).await? {
            Some(job) if !job.state.is_final() => return Ok(()),
            Some(job) => match verdict(&job, self.settings.formats) {
                Ok(size) => Event::Verified(id, size),
                Err(problem) => Event::Refused(id, vec![problem]),
            },
            None => Event::Refused(id, vec!["what was found out about the image is not known any more".to_owned()]),
        };
        self.projects.advance(&image.id, event, now).await?;
        Ok(())
    }

    async fn start_due(&self, project: &JobId, kind: &str, now: SystemTime) -> Result<(), Error> {
        let Some(project) = self.projects.find(project).await? else { return Ok(()) };
        match self.projects.add_task(&project, kind, now).await? {
            Ok(task) => self.launch(&project, &task, now).await,
            Err(Refusal::NoImages) => {
                tracing::info!(project = %project.id, "a task does not start: no image is Ready");
                self.projects.clear_pending(&project.id).await
            }
            Err(Refusal::NotReady | Refusal::Running) => Ok(()),
        }
    }

    /// Starts a task by the owner's word.
    ///
    /// # Errors
    /// A queue that is full, or a database that fails: then there is no task.
    pub async fn start(&self, project: &Project, kind: &str, now: SystemTime) -> Result<Result<Task, Refusal>, Error> {
        let task = match self.projects.add_task(project, kind, now).await? {
            Ok(task) => task,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(error) = self.launch(project, &task, now).await {
            self.projects.remove_task(&task.id).await?;
            return Err(error);
        }
        Ok(Ok(self.projects.last_task(&project.id).await?.unwrap_or(task)))
    }

    /// Submits the jobs of a task: one for each image that is `Ready`.
    async fn launch(&self, project: &Project, task: &Task, now: SystemTime) -> Result<(), Error> {
        let mut jobs = Vec::new();
        let mut slice = Slice::default();
        loop {
            let page = self.projects.images(&project.id, Some(State::Ready), &slice).await?;
            for image in &page.entries {
                let key = result_key(&project.id, &task.id, &image.file);
                let place = Destination::Object { bucket: project.bucket.clone(), key };
                let output = output(&self.settings.pipeline, place, Some(image.id.to_string()));
                jobs.push(self.job(project, &image.file, vec![output]));
            }
            let Some(last) = page.entries.last().filter(|_| page.has_next) else { break };
            slice.after = Some((last.created, last.id.clone()));
        }
        let submitted = self.queue.submit(self.submission(project, 0, jobs, true), now).await?;
        let Some(batch) = submitted.batch else { return Ok(()) };
        if !self.projects.set_batch(&task.id, batch).await? {
            self.projects.cancel(batch, now).await?;
        }
        Ok(())
    }

    fn job(&self, project: &Project, file: &str, outputs: Vec<OutputSpec>) -> JobSpec {
        JobSpec {
            source: Source::Object { bucket: project.bucket.clone(), key: key(&project.id, file) },
            outputs,
            notify: None,
            force: false,
            user_data: None,
            wording: None,
            request_id: String::new(),
        }
    }

    fn submission(&self, project: &Project, priority: i32, jobs: Vec<JobSpec>, is_batch: bool) -> Submission {
        let (owner, queue) = (project.owner.clone(), self.settings.queue.clone());
        Submission { api: self.settings.api, owner, queue, priority, jobs, is_batch }
    }

    fn awaits(&self, job: &JobId) -> bool {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).contains(job)
    }
}

/// An owner whose queue is full waits, and holds up nobody.
fn passed_over(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error) if error.is_full() => {
            tracing::info!(%error, "what is to be done for a project waits");
            Ok(())
        }
        done => done,
    }
}

fn output(pipeline: &str, destination: Destination, name: Option<String>) -> OutputSpec {
    OutputSpec { command: pipeline.to_owned(), pipeline: pipeline.to_owned(), destination, name }
}

/// Width and height of the picture that a job has looked at, or what is wrong with it.
fn verdict(job: &Job, formats: &[&str]) -> Result<(u32, u32), String> {
    let mut facts = Vec::new();
    for outcome in &job.outcomes {
        match outcome {
            Some(Outcome::Data(text)) => facts.push(serde_json::from_str::<Value>(text).unwrap_or_default()),
            Some(Outcome::Failed(failure)) => return Err(format!("the image cannot be decoded: {}", failure.message)),
            Some(Outcome::Stored(_)) | None => return Err("the image was not looked at".to_owned()),
        }
    }
    let info = facts.first().cloned().unwrap_or_default();
    let format = info["format"].as_str().unwrap_or_default();
    if !formats.contains(&format) {
        return Err(format!("the format is {format:?}; expected one of {}", formats.join(", ")));
    }
    let pixels = |name: &str| info[name].as_u64().and_then(|value| u32::try_from(value).ok());
    pixels("width").zip(pixels("height")).ok_or_else(|| "the image has no size".to_owned())
}
