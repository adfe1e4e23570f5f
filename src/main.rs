//! The `mogr` command: arguments, logging, runtime; then [`mogr::app`] or [`mogr::cli`].

mod allocator;
mod descriptors;
mod systemd;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mogr::app::Sockets;
use mogr::config::{Config, LogFormat};
#[cfg(feature = "otel")]
use mogr::traces::Traces;
use mogr::{app, cli, helpers};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// Turns the URL of an image into the image you asked for.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve images.
    Serve(Serve),
    /// Run jobs of the configured database, and serve nothing: another node beside a server.
    Work {
        /// Configuration file; mogr.toml where there is one.
        #[arg(long, env = "MOGR_CONFIG")]
        config: Option<PathBuf>,
        /// Address that answers probes and tells metrics, in place of the configuration's work_listen.
        #[arg(long)]
        listen: Option<SocketAddr>,
    },
    /// Run a pipeline on a local file: mogr run photo.jpg 'imageView2/2/w/320' -o small.jpg
    Run {
        /// The file; "-" is standard input.
        input: String,
        /// Operators joined by "|".
        fops: String,
        /// Where the result goes; standard output without it.
        #[arg(short, long)]
        output: Option<String>,
    },
    /// List, set and remove styles in the styles file.
    Style {
        #[command(flatten)]
        file: StylesArguments,
        #[command(subcommand)]
        command: StyleCommand,
    },
    /// Set the characters that separate a key from a style's name.
    Separator {
        #[command(flatten)]
        file: StylesArguments,
        /// The characters, such as "-" or "-!".
        #[arg(allow_hyphen_values = true)]
        separators: String,
    },
    /// Serve only styles of a bucket (1), or everything again (0).
    Protect {
        /// Styles file.
        #[arg(long, env = "MOGR_STYLES", default_value = "styles.toml")]
        styles: PathBuf,
        /// The bucket.
        bucket: String,
        /// 1 or on, 0 or off.
        #[arg(value_parser = on_or_off, action = clap::ArgAction::Set)]
        state: bool,
    },
    /// Print the expiring signed form of a delivery URL, for private and signed buckets; also signs a saveas in it.
    Sign {
        /// The URL.
        url: String,
        /// How long it is valid, such as 30m or 24h.
        #[arg(long, default_value = "1h")]
        expires: String,
        /// The access key to sign with; needed where several are configured.
        #[arg(long)]
        key: Option<String>,
        /// Configuration file with the keys.
        #[arg(long, env = "MOGR_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Submit a job to a running server and follow it: mogr pfop photos cat.jpg 'imageView2/2/w/320'
    Pfop {
        /// The source's bucket.
        bucket: String,
        /// The source's key.
        key: String,
        /// Commands joined by ";", each operators joined by "|".
        fops: String,
        /// Where to POST the result.
        #[arg(long)]
        notify: Option<String>,
        /// The queue.
        #[arg(long)]
        pipeline: Option<String>,
        /// Make results again that exist.
        #[arg(long)]
        force: bool,
        /// Run it only when nothing else waits.
        #[arg(long)]
        idle: bool,
        /// Print the id and do not wait.
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// Show how a job stands.
    Prefop {
        /// Its persistent id.
        id: String,
        /// Follow it until it has ended.
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// Report every mistake in the configuration and the styles, with file, line and a hint.
    Check {
        /// Configuration file; mogr.toml where there is one.
        #[arg(long, env = "MOGR_CONFIG")]
        config: Option<PathBuf>,
        /// Styles file.
        #[arg(long, env = "MOGR_STYLES", default_value = "styles.toml")]
        styles: PathBuf,
    },
    /// Do pixel work for a server, which starts this by itself.
    #[command(hide = true)]
    Helper,
    /// Ask a running server whether it is well; for container health checks.
    Health {
        /// Its API listener.
        #[arg(long, default_value = "127.0.0.1:8081")]
        api_listen: SocketAddr,
    },
}

#[derive(Args)]
struct Serve {
    /// Folder to serve as the bucket "default", for every host.
    dir: Option<PathBuf>,
    /// Configuration file; mogr.toml where there is one and no folder is given.
    #[arg(long, env = "MOGR_CONFIG")]
    config: Option<PathBuf>,
    /// Styles file; read again whenever it changes.
    #[arg(long, env = "MOGR_STYLES", default_value = "styles.toml")]
    styles: PathBuf,
    /// Address for images.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Address for everything else.
    #[arg(long)]
    api_listen: Option<SocketAddr>,
}

#[derive(Args)]
struct ApiArguments {
    /// The server's API listener; that of the configuration where none is given.
    #[arg(long, env = "MOGR_API")]
    api: Option<String>,
    /// The access key to sign with; needed where several are configured.
    #[arg(long = "key")]
    access_key: Option<String>,
    /// Configuration file with the keys, which may also be in the environment: MOGR_KEYS__<ACCESS KEY>__SECRET.
    #[arg(long, env = "MOGR_CONFIG")]
    config: Option<PathBuf>,
    /// Print the server's own document.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StylesArguments {
    /// Styles file.
    #[arg(long, env = "MOGR_STYLES", default_value = "styles.toml", global = true)]
    styles: PathBuf,
    /// Only for this bucket.
    #[arg(long, global = true)]
    bucket: Option<String>,
}

#[derive(Subcommand)]
enum StyleCommand {
    /// Show the styles in force.
    List,
    /// Define a style, or change it.
    Set {
        /// Its name.
        name: String,
        /// Its pipeline.
        fops: String,
    },
    /// Remove a style.
    Rm {
        /// Its name.
        name: String,
    },
}

fn main() -> ExitCode {
    allocator::keep_little();
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mogr: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(arguments) => {
            descriptors::allow_many();
            let [delivery, api] = systemd::sockets()?;
            runtime()?.block_on(serve(arguments, Sockets { delivery, api }))?;
        }
        Command::Work { config, listen } => runtime()?.block_on(work(config.as_deref(), listen))?,
        Command::Run { input, fops, output } => {
            runtime()?.block_on(cli::run::run(&input, &fops, output.as_deref()))?;
        }
        Command::Style { file, command } => style(&file, command)?,
        Command::Separator { file, separators } => {
            println(&cli::style::set_separators(&file.styles, file.bucket.as_deref(), &separators, VALIDATE)?);
        }
        Command::Protect { styles, bucket, state } => {
            println(&cli::style::set_protected(&styles, &bucket, state, VALIDATE)?);
        }
        Command::Sign { url, expires, key, config } => sign(&url, &expires, key.as_deref(), config.as_deref())?,
        Command::Pfop { bucket, key, fops, notify, pipeline, force, idle, no_wait, api } => {
            let request = cli::pfop::Request { bucket, key, fops, notify, pipeline, force, idle };
            return runtime()?.block_on(pfop(&request, no_wait, &api));
        }
        Command::Prefop { id, wait, api } => return runtime()?.block_on(prefop(&id, wait, &api)),
        Command::Helper => helpers::serve()?,
        Command::Check { config, styles } => return Ok(check(config.as_deref(), &styles)),
        Command::Health { api_listen } => runtime()?.block_on(cli::health::health(api_listen))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    /// For files and names of hosts. Each thread has an arena of memory, and many of them would do nothing for a disk.
    const BLOCKING_THREADS: usize = 16;
    Ok(tokio::runtime::Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS).enable_all().build()?)
}

async fn serve(arguments: Serve, sockets: Sockets) -> anyhow::Result<()> {
    let mut config = configuration(arguments.dir.as_deref(), arguments.config.as_deref())?;
    let _traces = observe(config.log.format)?;
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.api_listen = arguments.api_listen.unwrap_or(config.api_listen);
    let running = app::start_on(sockets, &config, arguments.styles).await?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    eprintln!("delivery on {scheme}://{}, api on http://{}", running.delivery, running.api);
    systemd::notify("READY=1");
    stop_signal().await?;
    systemd::notify("STOPPING=1");
    tracing::info!("stopping: open requests may finish");
    running.stop().await;
    Ok(())
}

async fn work(config: Option<&Path>, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut config = configuration(None, config)?;
    config.work_listen = listen.or(config.work_listen);
    let _traces = observe(config.log.format)?;
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    tokio::spawn(async move {
        // Without a signal there is nothing to wait for.
        let _ = stop_signal().await;
        tracing::info!("stopping: running jobs are put back");
        signalled.cancel();
    });
    app::work(&config, stop).await
}

/// A folder needs no configuration; without one, the file given or `mogr.toml`.
fn configuration(dir: Option<&Path>, config: Option<&Path>) -> anyhow::Result<Config> {
    let environment = std::env::vars();
    let loaded = match (dir, config) {
        (Some(_), Some(_)) => {
            anyhow::bail!("name either a folder or a configuration, which names its folders as buckets")
        }
        (Some(dir), None) => Config::for_directory(dir, environment),
        (None, config) => Config::load(config.or(default_config()), environment),
    };
    let mut config = loaded.map_err(|mistakes| app::listed("settings", &mistakes))?;
    config.program = Some(own_program()?);
    if config.buckets.is_empty() {
        anyhow::bail!("there is nothing to serve: name a folder (mogr serve DIR) or configure a bucket in mogr.toml");
    }
    Ok(config)
}

/// This program's file, also where another one has taken its place by now.
fn own_program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

fn default_config() -> Option<&'static Path> {
    Some(Path::new("mogr.toml")).filter(|path| path.exists())
}

async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

/// Logs to standard error: as asked for, else text on a terminal, JSON elsewhere. `MOGR_LOG` takes filters such as `mogr=debug`.
/// Whatever is returned sends traces until it is dropped.
fn observe(format: Option<LogFormat>) -> anyhow::Result<Option<Traces>> {
    use std::io::IsTerminal;
    let is_terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let filter = EnvFilter::try_from_env("MOGR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(is_terminal).boxed(),
        // Steps are spans where there are traces; the request that they belong to is then further out.
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(cfg!(feature = "otel")).boxed(),
    };
    let traces = traces()?;
    #[cfg(feature = "otel")]
    let lines = lines.and_then(traces.as_ref().map(Traces::layer));
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(traces)
}

#[cfg(feature = "otel")]
fn traces() -> anyhow::Result<Option<Traces>> {
    // What sends them is a client that may have to speak TLS.
    app::install_tls();
    Traces::from_environment()
}

/// Builds without the feature `otel` send none.
#[cfg(not(feature = "otel"))]
type Traces = std::convert::Infallible;

#[cfg(not(feature = "otel"))]
fn traces() -> anyhow::Result<Option<Traces>> {
    Ok(None)
}

const VALIDATE: mogr::plan::style::Validate<'static> = &app::validate_pipeline;

fn style(file: &StylesArguments, command: StyleCommand) -> anyhow::Result<()> {
    let (path, bucket) = (file.styles.as_path(), file.bucket.as_deref());
    match command {
        StyleCommand::List => {
            for style in cli::style::list(path, bucket, VALIDATE)? {
                let bucket = style.bucket.as_deref().unwrap_or("*");
                println(&format!("{bucket}\t{}\t{}", style.name, style.pipeline));
            }
        }
        StyleCommand::Set { name, fops } => println(&cli::style::set(path, bucket, &name, &fops, VALIDATE)?),
        StyleCommand::Rm { name } => println(&cli::style::remove(path, bucket, &name, VALIDATE)?),
    }
    Ok(())
}

fn sign(url: &str, expires: &str, key: Option<&str>, config: Option<&Path>) -> anyhow::Result<()> {
    let expires = mogr::settings::value::parse_duration(expires)
        .ok_or_else(|| anyhow::anyhow!("--expires is {expires:?}; expected a duration such as 30m or 24h"))?;
    let config = configuration(None, config)?;
    let now = mogr::http::target::unix_now();
    println(&cli::sign::sign(url, &config, key, now, expires)?);
    Ok(())
}

/// The API that the arguments name, and the configuration with its keys and domains.
fn api(arguments: &ApiArguments) -> anyhow::Result<(cli::pfop::Api, Config)> {
    let loaded = Config::load(arguments.config.as_deref().or(default_config()), std::env::vars());
    let config = loaded.map_err(|mistakes| app::listed("settings", &mistakes))?;
    let base = arguments.api.clone().unwrap_or_else(|| format!("http://{}", config.api_listen));
    let base = base.parse().map_err(|error| anyhow::anyhow!("--api is {base:?}, which is no URL: {error}"))?;
    Ok((cli::pfop::Api::new(base, &config, arguments.access_key.as_deref())?, config))
}

async fn pfop(request: &cli::pfop::Request, no_wait: bool, arguments: &ApiArguments) -> anyhow::Result<ExitCode> {
    let (api, config) = api(arguments)?;
    let id = api.submit(request).await?;
    if no_wait {
        println(&if arguments.json { serde_json::json!({ "persistentId": id }).to_string() } else { id });
        return Ok(ExitCode::SUCCESS);
    }
    follow(&api, &config, &id, arguments.json).await
}

async fn prefop(id: &str, wait: bool, arguments: &ApiArguments) -> anyhow::Result<ExitCode> {
    let (api, config) = api(arguments)?;
    if wait {
        return follow(&api, &config, id, arguments.json).await;
    }
    let document = api.status(id).await?;
    println(&shown(&document, &config, arguments.json));
    Ok(ExitCode::SUCCESS)
}

/// Waits for the end of a job behind a progress bar, which only terminals see.
async fn follow(api: &cli::pfop::Api, config: &Config, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let bar = indicatif::ProgressBar::new(0)
        .with_style(indicatif::ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {elapsed}")?);
    bar.set_message(id.to_owned());
    let document = api
        .follow(id, |document| {
            let (ended, all) = cli::pfop::progress(document);
            bar.set_length(all);
            bar.set_position(ended);
        })
        .await;
    bar.finish_and_clear();
    let document = document?;
    println(&shown(&document, config, json));
    Ok(if cli::pfop::succeeded(&document) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(document: &serde_json::Value, config: &Config, json: bool) -> String {
    if json { document.to_string() } else { cli::pfop::report(document, config) }
}

fn check(config: Option<&Path>, styles: &Path) -> ExitCode {
    let report = cli::check::check(config.or(default_config()), Some(styles), std::env::vars(), VALIDATE);
    println(&report.to_string());
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "1" | "on" => Ok(true),
        "0" | "off" => Ok(false),
        other => Err(format!("{other:?} is neither 1 (on) nor 0 (off)")),
    }
}

/// A line on standard output; a reader that went away is no reason to fail.
fn println(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
}
