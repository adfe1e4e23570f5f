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
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"];
        let mut process = Self::spawn(folder, command.args(arguments).envs(environment.iter().copied()));
        process.wait_for(|log| log.contains("api on http") && log.ends_with('\n'));
        let log = process.log();
        let address = |before: &str| log.split(before).nth(1).unwrap().split([',', '\n']).next().unwrap().to_owned();
        let parsed = |text: String| text.split("://").nth(1).unwrap().parse().unwrap();
        process.delivery = parsed(address("delivery on "));
        process.api = parsed(address("api on "));
        process
    }

    /// Starts `mogr work` in `folder`; its probes are at `api`.
    pub(crate) fn start_worker(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mogr"));
        let mut process = Self::spawn(folder, command.args(["work", "--listen", "127.0.0.1:0"]));
        let line = |log: &str| log.lines().find(|line| line.contains("probes are answered")).map(str::to_owned);
        process.wait_for(|log| line(log).is_some() && log.ends_with('\n'));
        let line: serde_json::Value = serde_json::from_str(&line(&process.log()).unwrap()).unwrap();
        process.api = line["address"].as_str().unwrap().parse().unwrap();
        process
    }

    /// Starts a command whose log lies in `folder`.
    fn spawn(folder: &Path, command: &mut Command) -> Self {
        // Clients that ask the process need it, and no server in this process may have started yet.
        mogr::app::install_tls();
        let log = folder.join("log");
        let stderr = std::fs::File::create(&log).unwrap();
        let child = command.current_dir(folder).stderr(stderr).spawn().unwrap();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { child, log, delivery: nowhere, api: nowhere }
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
