//! A program that is watched while it runs: time, memory and the size of its files are bounded, and it is ended when nobody
//! waits any more.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Error, Limits};
use crate::engine::limits::Cancel;

/// How often deadline and flag are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Most bytes of complaints that are kept: the first ones, which name the cause.
const COMPLAINT_BYTES: u64 = 2048;

/// Most bytes that are read of what a program prints.
const PRINTED_BYTES: u64 = 8 << 20;

/// How programs say so.
const DISK_FULL: &str = "No space left on device";

/// Where programs are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin";

/// What bounds a program: `limits`, the moment that their time counts from, and the flag.
pub(super) struct Watch<'a> {
    pub(super) fop: &'static str,
    pub(super) limits: &'a Limits,
    pub(super) since: Instant,
    pub(super) cancel: &'a Cancel,
}

impl Watch<'_> {
    fn check(&self) -> Result<(), Error> {
        self.cancel.check().map_err(|_| Error::Cancelled)?;
        if self.since.elapsed() < self.limits.time {
            return Ok(());
        }
        Err(Error::Deadline { fop: self.fop, limit: self.limits.time })
    }

    /// Runs `command`, which is called `program`, until its end and hands over each line that it prints.
    ///
    /// # Errors
    /// [`Error::NotInstalled`], [`Error::Failed`] with its complaint where it ends badly, [`Error::Deadline`],
    /// [`Error::Cancelled`].
    pub(super) fn run(
        &self,
        program: &'static str,
        mut command: Command,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        // Nothing of the server's environment, which may hold secrets.
        command.env_clear().env("PATH", PATH);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let spawned = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NotInstalled { fop: self.fop, program },
            _ => error.into(),
        })?;
        let mut running = Running { child: spawned, is_over: false };
        running.bound(self.limits)?;
        let (lines, complaint) = (running.lines(), running.complaint());
        loop {
            self.check()?;
            match lines.recv_timeout(LOOK) {
                Ok(line) => on_line(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // It prints nothing more, but may still be at work.
        let status = loop {
            match running.ended()? {
                Some(status) => break status,
                None => self.check()?,
            }
            thread::sleep(LOOK / 10);
        };
        if status.success() {
            return Ok(());
        }
        let complaint = complaint.join().unwrap_or_default();
        if complaint.contains(DISK_FULL) {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into());
        }
        Err(Error::Failed { fop: self.fop, problem: problem(&complaint) })
    }
}

/// The first line of a complaint that says something, without the part of the program that says it and its address; a program
/// that was ended by its bounds says nothing.
fn problem(complaint: &str) -> String {
    let without_part = |line: &'_ str| -> String {
        let said = match line.split_once("] ") {
            Some((part, said)) if part.starts_with('[') => said,
            _ => line,
        };
        said.chars().filter(|char| !char.is_control()).take(300).collect()
    };
    let line = complaint.lines().map(str::trim).find(|line| !line.is_empty());
    line.map_or_else(|| "the program ended without a word; it may have needed too much memory".to_owned(), without_part)
}

/// A program that is ended when this is dropped.
struct Running {
    child: Child,
    /// It has ended, and its number may be another's.
    is_over: bool,
}

impl Running {
    /// Bounds its memory and the size of each of its files.
    #[cfg(target_os = "linux")]
    fn bound(&self, limits: &Limits) -> Result<(), Error> {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};

        /// A file is written anew once, with its index in front.
        const INDEX_BYTES: u64 = 64 << 20;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let bounds = [
            (Resource::As, limits.memory_bytes),
            (Resource::Fsize, limits.output_bytes.saturating_add(INDEX_BYTES)),
            (Resource::Core, 0),
        ];
        for (resource, most) in bounds {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            match prlimit(pid, resource, limit) {
                // It has ended already.
                Ok(_) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(std::io::Error::from(error).into()),
            }
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn bound(&self, _limits: &Limits) -> Result<(), Error> {
        Ok(())
    }

    /// How it ended, once it has.
    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        let status = self.child.try_wait()?;
        self.is_over = status.is_some();
        Ok(status)
    }

    /// Ends it and all that it began.
    #[cfg(target_os = "linux")]
    fn end(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};

        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ended = kill_process_group(group, Signal::KILL);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn end(&mut self) {
        let _ended = self.child.kill();
    }

    /// What it prints, line by line, until it prints no more.
    fn lines(&mut self) -> mpsc::Receiver<String> {
        let (sender, lines) = mpsc::sync_channel(16);
        if let Some(printed) = self.child.stdout.take() {
            thread::spawn(move || {
                let printed = BufReader::new(printed.take(PRINTED_BYTES));
                for line in printed.lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        lines
    }

    /// What it complains about.
    fn complaint(&mut self) -> thread::JoinHandle<String> {
        let complaints = self.child.stderr.take();
        thread::spawn(move || {
            let Some(mut complaints) = complaints else { return String::new() };
            let mut kept = Vec::new();
            let first = complaints.by_ref().take(COMPLAINT_BYTES).read_to_end(&mut kept);
            // The rest is read so that nobody waits for it to be.
            let rest = std::io::copy(&mut complaints, &mut std::io::sink());
            if first.is_err() || rest.is_err() {
                tracing::debug!("a program's complaint was cut short");
            }
            String::from_utf8_lossy(&kept).into_owned()
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.end();
            let _reaped = self.child.wait();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn run(cancel: &Cancel, time: Duration, script: &str) -> (Result<(), Error>, Vec<String>) {
        let limits = Limits { time, ..Limits::default() };
        let watch = Watch { fop: "avthumb", limits: &limits, since: Instant::now(), cancel };
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut lines = Vec::new();
        let ended = watch.run("sh", command, &mut |line| lines.push(line.to_owned()));
        (ended, lines)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_sees_nothing_of_the_environment() {
        let (ended, lines) = run(&Cancel::default(), MINUTE, "env; echo done");
        assert!(ended.is_ok(), "{ended:?}");
        assert!(lines.contains(&format!("PATH={PATH}")) && lines.contains(&"done".to_owned()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("CARGO") || line.starts_with("HOME")), "{lines:?}");
    }

    #[test]
    fn complaints_become_problems() {
        for (script, message) in [
            ("echo '[mov @ 0x55] it is odd' >&2; echo more >&2; exit 1", "avthumb failed: it is odd"),
            ("echo 'av_write_frame: No space left on device' >&2; exit 1", "the server failed on this request"),
            ("exit 3", "avthumb failed: the program ended without a word; it may have needed too much memory"),
            ("yes 2>&1 >&2 | head -c 100000 >&2; exit 1", "avthumb failed: y"),
        ] {
            let (ended, _) = run(&Cancel::default(), MINUTE, script);
            assert_eq!(ended.expect_err(script).to_string(), message);
        }
    }

    #[test]
    fn programs_are_ended() {
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(matches!(run(&cancel, MINUTE, "sleep 600").0, Err(Error::Cancelled)));
        let short = Duration::from_millis(60);
        assert!(matches!(run(&Cancel::default(), short, "exec >/dev/null; sleep 600").0, Err(Error::Deadline { .. })));
        // Those that it began end with it: else nobody would read the end of what they print.
        assert!(matches!(run(&Cancel::default(), short, "sleep 600 & sleep 600").0, Err(Error::Deadline { .. })));
    }

    #[test]
    fn what_is_missing_is_named() {
        let limits = Limits::default();
        let cancel = Cancel::default();
        let watch = Watch { fop: "avinfo", limits: &limits, since: Instant::now(), cancel: &cancel };
        let missing = watch.run("ffprobe", Command::new("mogr-has-no-such-program"), &mut |_| {});
        let message = "avinfo needs ffprobe, which is not installed on this server; install the package ffmpeg";
        assert_eq!(missing.expect_err("it is not there").to_string(), message);
    }
}
