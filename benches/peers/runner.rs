//! mogr's engine as one of the peers of `benches/peers/run`: requests on preloaded sources, as many at a time as there
//! are threads, each decoding and encoding anew. Without arguments it prints how it is used.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mogr::engine::light::Light;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::{Rendering, Speed};
use mogr::engine::run::{Content, Output};
use mogr::engine::{decode, image, resolve, run};
use mogr::plan::Plan;

const USAGE: &str = "\
usage: peers [--threads N] [--setting NAME] [--picture FILE]… (FOPS SOURCE)…

FOPS is a pipeline such as imageView2/2/w/320, SOURCE a file; --picture adds a watermark's picture, in painting order.
Loads all files, prints {\"ready\":…}, then obeys one command a line and answers each with one line of JSON:
  run SECONDS   requests over all sources, pass after pass, until SECONDS have gone by at the end of a pass
  save FOLDER   one request for each source, its result in FOLDER under the source's name
The peak memory it tells is above what was in use before the first request, with all sources loaded.";

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.is_empty() {
        say(USAGE);
        return ExitCode::SUCCESS;
    }
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&serde_json::json!({ "error": error.to_string() }).to_string());
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Who no longer listens need not be told.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// One thing that is asked for again and again.
struct Request {
    plan: Plan,
    source: Bytes,
    path: PathBuf,
}

struct Arguments {
    threads: usize,
    setting: String,
    pictures: Vec<Bytes>,
    requests: Vec<Request>,
}

impl Arguments {
    fn read(arguments: &[String]) -> Result<Self, Failure> {
        let mut read = Self { threads: 2, setting: "default".into(), pictures: Vec::new(), requests: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{argument}: a value is missing\n{USAGE}"))?;
            match argument.as_str() {
                "--threads" => read.threads = value.parse()?,
                "--setting" => read.setting.clone_from(value),
                "--picture" => read.pictures.push(load(value)?),
                fops => {
                    read.requests.push(Request { plan: Plan::parse(fops)?, source: load(value)?, path: value.into() });
                }
            }
        }
        if read.threads == 0 || read.requests.is_empty() {
            return Err(USAGE.into());
        }
        Ok(read)
    }
}

fn load(path: &str) -> Result<Bytes, Failure> {
    Ok(std::fs::read(path).map_err(|error| format!("{path}: {error}"))?.into())
}

/// The engine, behind the only function that knows how it is called.
struct Engine {
    limits: Limits,
    rendering: Rendering,
}

impl Engine {
    /// An engine with the named setting: `default`, or a value of `resize` or `speed` in the configuration.
    fn new(setting: &str) -> Result<Self, Failure> {
        let default = Rendering::default();
        let rendering = match setting {
            "default" => default,
            "gamma" => Rendering { light: Light::Gamma, ..default },
            "linear" => Rendering { light: Light::Linear, ..default },
            "fast" => Rendering { speed: Speed::Fast, ..default },
            "best" => Rendering { speed: Speed::Best, ..default },
            other => return Err(format!("this engine has no setting {other:?}").into()),
        };
        Ok(Self { limits: Limits::default(), rendering })
    }

    fn render(&self, request: &Request, pictures: &[Bytes]) -> Result<Output, Failure> {
        let header = decode::probe(&request.source)?;
        let pictures_headers = pictures.iter().map(|picture| decode::probe(picture)).collect::<Result<Vec<_>, _>>()?;
        let program = resolve::resolve(&request.plan, &header, &pictures_headers, &self.limits, self.rendering)?;
        Ok(run::run(&program, &request.source, pictures, &self.limits, &Cancel::default(), &mut |_| {})?)
    }
}

fn serve(arguments: &[String]) -> Result<(), Failure> {
    let arguments = Arguments::read(arguments)?;
    let engine = Engine::new(&arguments.setting)?;
    let idle_kib = peak_kib()?;
    say(&serde_json::json!({ "ready": arguments.requests.len() }).to_string());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            Some(("run", seconds)) => {
                let (iterations, seconds) =
                    passes(&engine, &arguments, Duration::try_from_secs_f64(seconds.parse()?)?)?;
                serde_json::json!({
                    "iterations": iterations,
                    "seconds": seconds,
                    "rss_above_idle_kib": peak_kib()? - idle_kib,
                })
            }
            Some(("save", folder)) => {
                save(&engine, &arguments, Path::new(folder))?;
                serde_json::json!({ "saved": arguments.requests.len() })
            }
            _ => return Err(format!("{line:?} is not a command\n{USAGE}").into()),
        };
        say(&answer.to_string());
    }
    Ok(())
}

/// Requests over whole passes of the sources for at least `time`: how many, and in how many seconds.
fn passes(engine: &Engine, arguments: &Arguments, time: Duration) -> Result<(usize, f64), Failure> {
    let count = arguments.requests.len();
    let start = Instant::now();
    let next = Mutex::new(0_usize);
    let draw = || {
        let mut next = next.lock().ok()?;
        if *next > 0 && next.is_multiple_of(count) && start.elapsed() >= time {
            return None;
        }
        *next += 1;
        Some((*next - 1) % count)
    };
    let work = || -> Result<(), Failure> {
        while let Some(index) = draw() {
            std::hint::black_box(engine.render(&arguments.requests[index], &arguments.pictures)?);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })?;
    let iterations = *next.lock().map_err(|_| "a worker panicked")?;
    Ok((iterations, start.elapsed().as_secs_f64()))
}

fn save(engine: &Engine, arguments: &Arguments, folder: &Path) -> Result<(), Failure> {
    for request in &arguments.requests {
        let output = engine.render(request, &arguments.pictures)?;
        let name = request.path.file_stem().ok_or("a source without a name")?;
        std::fs::write(folder.join(name).with_extension(extension(output.content)), &output.body)?;
    }
    Ok(())
}

fn extension(content: Content) -> &'static str {
    match content {
        Content::Image(image::Format::Jpeg) => "jpg",
        Content::Image(_) => content.media_type().rsplit('/').next().unwrap_or("bin"),
        Content::Json => "json",
    }
}

/// The most memory this process has had in use so far (`VmHWM`), in KiB.
fn peak_kib() -> Result<i64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
