//! Processes that do pixel work in the server's stead where a decoder written in C reads what strangers send: should one crash
//! or take too much memory, a process is gone and one request fails, and the server goes on.
//!
//! A helper is this program again. It is asked over a socket (`wire`) for what a source becomes by some plans, answers, and
//! waits for the next request; what it computes are the bytes that the server would compute. On Linux its address space is
//! bounded. It is ended when nobody waits for its work any more, which also stops single calls into a library.

#[cfg(target_os = "linux")]
mod confined;
mod serve;
mod wire;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::engine;
use crate::engine::image::Format;
use crate::engine::limits::{Cancel, Limits};
use crate::engine::program::Rendering;
use crate::engine::run::{Output, Stage};
use crate::plan::Plan;
pub use serve::serve;
use wire::{Asked, Head, Told};

/// The argument that makes this program a helper.
pub const COMMAND: &str = "helper";

/// How often it is looked whether somebody still waits.
const LOOK: Duration = Duration::from_millis(20);

/// Longest time for one request, whoever waits.
const LONGEST: Duration = Duration::from_secs(600);

/// Helpers that are kept for later.
const KEPT: usize = 8;

/// Requests that a helper answers in its life, so that nothing that a library keeps adds up.
const REQUESTS: u32 = 500;

/// What is done by helpers, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that is run, with [`COMMAND`].
    pub program: PathBuf,
    /// Pictures in these formats are not decoded in the server.
    pub formats: Vec<Format>,
    /// Most address space of a helper.
    pub memory_bytes: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The helper ended before it had answered.
    #[error("a helper process ended: {0}")]
    Crashed(String),
    /// Nobody waits for it any more, or the work took too long.
    #[error("the work was stopped before it was done")]
    Cancelled,
    /// No helper could be started.
    #[error("no helper process could be started: {0}")]
    Unavailable(io::Error),
}

/// One result that is asked for.
#[derive(Debug)]
pub struct Task<'a> {
    /// What is done.
    pub plan: &'a Plan,
    /// How pictures are made where the plan leaves it open.
    pub rendering: Rendering,
    /// The quality that an earlier run found ([`Program::remember_quality`](engine::program::Program::remember_quality)).
    pub known_quality: Option<u8>,
    /// The plan's pictures, in painting order.
    pub pictures: &'a [Bytes],
}

/// What a helper says while it works.
#[derive(Debug)]
pub enum Event {
    /// The engine is busy with this now; told for a single task.
    Stage(Stage),
    /// The task of this index has ended.
    Done(usize, Result<Output, engine::Error>),
}

/// The helpers of a server.
#[derive(Debug)]
pub struct Helpers {
    settings: Settings,
    idle: Mutex<Vec<Helper>>,
}

impl Helpers {
    /// Helpers that are started when they are needed.
    pub fn new(settings: Settings) -> Self {
        Self { settings, idle: Mutex::default() }
    }

    /// Whether any of these files is one that the server itself does not decode.
    pub fn are_for<'a>(&self, files: impl IntoIterator<Item = &'a Bytes>) -> bool {
        let formats = files.into_iter().filter_map(|file| engine::decode::sniff(file));
        formats.into_iter().any(|format| self.settings.formats.contains(&format))
    }

    /// Has `tasks` done on `source`; `event` hears of it. Blocks.
    ///
    /// # Errors
    /// [`Lost`]; tasks that were not heard of have no result.
    pub fn run(
        &self,
        tasks: &[Task<'_>],
        source: &Bytes,
        limits: &Limits,
        shared_bytes: u64,
        cancel: &Cancel,
        event: &mut dyn FnMut(Event),
    ) -> Result<(), Lost> {
        let (head, bodies) = request(tasks, source, limits, shared_bytes);
        let mut ended = 0;
        // A helper that was kept may leave, without harm, as it is asked.
        loop {
            let (mut helper, is_fresh) = match self.kept() {
                Some(helper) => (helper, false),
                None => (Helper::start(&self.settings).map_err(Lost::Unavailable)?, true),
            };
            let mut count = |told: Event| {
                ended += usize::from(matches!(told, Event::Done(..)));
                event(told);
            };
            match helper.ask(&head, &bodies, cancel, &mut count) {
                Ok(()) => {
                    self.keep(helper);
                    return Ok(());
                }
                Err(_) if cancel.check().is_err() => return Err(Lost::Cancelled),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Lost::Cancelled),
                Err(error) => {
                    let left = helper.ended();
                    if is_fresh || ended > 0 || left != Left::Idle {
                        return Err(Lost::Crashed(left.describe(&error)));
                    }
                }
            }
        }
    }

    /// A helper that waits.
    fn kept(&self) -> Option<Helper> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut helper) = idle.pop() {
            if matches!(helper.child.try_wait(), Ok(None)) {
                return Some(helper);
            }
        }
        None
    }

    fn keep(&self, helper: Helper) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if helper.requests < REQUESTS && idle.len() < KEPT {
            idle.push(helper);
        }
    }
}

/// A request: every file once, and who needs which.
fn request(tasks: &[Task<'_>], source: &Bytes, limits: &Limits, shared_bytes: u64) -> (Head, Vec<Bytes>) {
    let mut bodies = vec![source.clone()];
    let mut place = |picture: &Bytes| {
        let known = bodies.iter().position(|body| body.as_ptr() == picture.as_ptr() && body.len() == picture.len());
        known.unwrap_or_else(|| {
            bodies.push(picture.clone());
            bodies.len() - 1
        })
    };
    let asked = |task: &Task<'_>| Asked {
        plan: task.plan.to_string(),
        rendering: task.rendering,
        known_quality: task.known_quality,
        pictures: task.pictures.iter().map(&mut place).collect(),
    };
    let tasks = tasks.iter().map(asked).collect();
    let lengths = bodies.iter().map(Bytes::len).collect();
    (Head { tasks, limits: limits.clone(), shared_bytes, lengths }, bodies)
}

/// How a helper has ended.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// By itself, as nobody asked it for a while.
    Idle,
    /// Otherwise: how, in the system's words.
    Badly(String),
}

impl Left {
    fn describe(&self, error: &io::Error) -> String {
        match self {
            Self::Idle => error.to_string(),
            Self::Badly(status) => status.clone(),
        }
    }
}

/// A process that waits or works; it is ended when this is dropped.
#[derive(Debug)]
struct Helper {
    child: Child,
    socket: UnixStream,
    requests: u32,
}

impl Helper {
    fn start(settings: &Settings) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
        let mut command = Command::new(&settings.program);
        command.arg(OsString::from(COMMAND));
        // Nothing of the server's environment, which may hold secrets.
        command.env_clear().stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let helper = Self { child, socket, requests: 0 };
        helper.bound(settings.memory_bytes)?;
        Ok(helper)
    }

    #[cfg(target_os = "linux")]
    fn bound(&self, memory_bytes: u64) -> io::Result<()> {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};

        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        for (resource, most) in [(Resource::As, memory_bytes), (Resource::Fsize, 0), (Resource::Core, 0)] {
            prlimit(pid, resource, Rlimit { current: Some(most), maximum: Some(most) })?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn bound(&self, _memory_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    /// Asks, and hears the answer to its end.
    fn ask(&mut self, head: &Head, bodies: &[Bytes], cancel: &Cancel, event: &mut dyn FnMut(Event)) -> io::Result<()> {
        self.requests += 1;
        let mut patient = Patient { socket: &self.socket, cancel, until: Instant::now() + LONGEST };
        wire::write(&mut patient, head)?;
        for body in bodies {
            patient.write_all(body)?;
        }
        loop {
            match wire::read(&mut patient)? {
                Told::Stage(stage) => event(Event::Stage(stage.into())),
                Told::Failed { index, kind, message } => {
                    event(Event::Done(index, Err(engine::Error::InHelper { kind, message })));
                }
                Told::Made { index, made, length } => {
                    let mut body = vec![0; length];
                    patient.read_exact(&mut body)?;
                    event(Event::Done(index, made.output(body.into())));
                }
                Told::Over => return Ok(()),
            }
        }
    }

    /// How it ended, which it is about to.
    fn ended(&mut self) -> Left {
        let _already = self.socket.shutdown(std::net::Shutdown::Both);
        let since = Instant::now();
        while since.elapsed() < 25 * LOOK {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Left::Idle,
                Ok(Some(status)) => return Left::Badly(status.to_string()),
                Ok(None) => std::thread::sleep(LOOK / 10),
                Err(error) => return Left::Badly(error.to_string()),
            }
        }
        Left::Badly("it answered what is no answer".to_owned())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A socket to a helper that somebody may stop waiting for.
struct Patient<'a> {
    socket: &'a UnixStream,
    cancel: &'a Cancel,
    until: Instant,
}

impl Patient<'_> {
    /// Does `step` until it does something, nobody waits, or it takes too long.
    fn persist(&self, mut step: impl FnMut(&UnixStream) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match step(self.socket) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                done => return done,
            }
            if self.cancel.check().is_err() || Instant::now() > self.until {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.persist(|mut socket| socket.read(into))
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.persist(|mut socket| socket.write(from))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
