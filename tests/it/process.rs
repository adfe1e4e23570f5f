//! The server as a process of its own, as it is run: its log is read, its memory measured, it gets signals.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `mogr serve`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: std::path::PathBuf,
    pub(crate) delivery: SocketAddr,
    pub(crate) api: SocketAddr,
}

const LONG: Duration = Duration::from_secs(60);

impl Process {
    /// Starts `mogr serve` in `folder`, with the `mogr.toml` that lies there. Its listeners choose their ports.
    pub(crate) fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mogr"));
        Self::start_with(folder, environment, command.stdin(Stdio::null()))
    }

    /// The same by a command that ends in running `mogr`.
    pub(crate) fn start_with(folder: &Path, environment: &[(&str, &str)], command: &mut Command) -> Self {
        let log = folder.join("log");
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"])
            .current_dir(folder)
            .envs(environment.iter().copied())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut process = Self { child, log, delivery: nowhere, api: nowhere };
        process.wait_for(|log| log.contains("api on http") && log.ends_with('\n'));
        let log = process.log();
        let address = |before: &str| log.split(before).nth(1).unwrap().split([',', '\n']).next().unwrap().to_owned();
        let parsed = |text: String| text.split("://").nth(1).unwrap().parse().unwrap();
        process.delivery = parsed(address("delivery on "));
        process.api = parsed(address("api on "));
        process
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has written to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log is so.
    pub(crate) fn wait_for(&mut self, condition: impl Fn(&str) -> bool) {
        let started = Instant::now();
        while !condition(&self.log()) {
            assert!(self.child.try_wait().unwrap().is_none() && started.elapsed() < LONG, "{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> String {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
        self.log()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
