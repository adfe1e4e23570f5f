//! The configuration: `mogr.toml` and `MOGR_…` variables in, one typed [`Config`] or every mistake out.
//!
//! The settings and their defaults are listed here; `read` reads them, [`bucket`] those of a bucket, and `check`
//! compares settings with one another. Styles are not here: see [`crate::plan::style`].

mod broker;
pub mod bucket;
mod check;
mod machine;
mod read;
pub mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::auth::{Key, KeyRing};
use crate::engine::image::Format;
use crate::engine::light::Light;
use crate::engine::limits::Limits;
use crate::engine::program::{Rendering, Speed};
use crate::settings::document::{Entry, Node, Raw};
use crate::settings::mistake::Place;
use crate::settings::value::{Refusal, Setting};
use crate::settings::{Cidr, Mistake, Secret, StoreUrl};
pub use broker::BrokerUrl;
pub use bucket::BucketConfig;
pub(crate) use read::read;
pub use server::{ClientHeader, LogConfig, LogFormat, ServerConfig, TlsConfig};

/// The name of the bucket that `mogr serve DIR` makes.
pub const DEFAULT_BUCKET: &str = "default";

/// `MOGR_…` variables that say where settings are, and set none.
const NOT_SETTINGS: [&str; 3] = ["MOGR_CONFIG", "MOGR_STYLES", "MOGR_LOG"];

/// Everything that `mogr.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where images are served. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Where the API is served. Default `127.0.0.1:8081`.
    pub api_listen: SocketAddr,
    /// Where `mogr work`, which serves nothing, answers probes and tells its metrics. Default: nowhere.
    pub work_listen: Option<SocketAddr>,
    /// Folder of the server's own files, relative to the working directory. Default `data`.
    pub data_dir: PathBuf,
    /// Where jobs are kept: `sqlite:PATH` or `postgres://…`. Default: `mogr.db` in the data folder.
    pub database: Option<Database>,
    /// How the listeners treat their clients.
    pub server: ServerConfig,
    /// The certificate of the delivery listener; without one it speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// How the log is written.
    pub log: LogConfig,
    /// Access keys: what signs downloads, uploads and jobs.
    pub keys: BTreeMap<String, Key>,
    /// Buckets by name.
    pub buckets: BTreeMap<String, BucketConfig>,
    /// Where results are kept.
    pub cache: CacheConfig,
    /// What is refused.
    pub limits: LimitsConfig,
    /// How delivery answers.
    pub delivery: DeliveryConfig,
    /// How pictures are made where requests leave it open: the keys `resize` (`gamma`, `mixed` or `linear`), `speed`
    /// (`fast`, `balanced` or `best`) and `keep` (`none` or `copyright`) of `[images]`. Default `mixed` and `balanced`.
    pub images: Rendering,
    /// What fetches may reach.
    pub fetch: FetchConfig,
    /// Jobs, which servers with access keys take on.
    pub jobs: JobsConfig,
    /// This program, for helper processes; without it all work is done in the server. Not a key: whoever starts the server
    /// says so.
    pub program: Option<PathBuf>,
    /// The DLCS API, which servers with customers have.
    pub dlcs: DlcsConfig,
    /// The Altizure API, which servers with access keys have where this is there.
    pub altizure: Option<AltizureConfig>,
    /// The Blitline API.
    pub blitline: BlitlineConfig,
    /// The Tencent API.
    pub tencent: TencentConfig,
}

/// `[cache]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Bytes of results kept in memory. Default 256 MiB.
    pub memory_bytes: u64,
    /// Where results are kept behind those in memory. Default nowhere.
    pub store: Option<StoreUrl>,
    /// The store's own options, as a bucket has them.
    pub options: BTreeMap<String, Secret>,
    /// Most bytes in that store where it is a folder. Default 10 GiB.
    pub store_bytes: u64,
    /// How long clients may keep an answer, unless the bucket says otherwise. Default 30 days.
    pub max_age: Duration,
    /// How long they may keep one that a better format will replace. Default 30 s.
    pub interim_max_age: Duration,
    /// Bytes of sources kept in memory; those on this machine are not. Default 64 MiB.
    pub source_memory_bytes: u64,
    /// Bytes of decoded planes kept in memory, for other sizes of large JPEGs. Default 64 MiB.
    pub ladder_bytes: u64,
    /// How long what a bucket says of an object is believed. Default 1 s for folders and memory, 10 s for others.
    pub fresh: Option<Duration>,
    /// How long after that it is used while it is being asked for again. Default none for folders and memory, 10 s for
    /// others.
    pub stale_while_revalidate: Option<Duration>,
    /// How long it is used where the bucket does not answer. Default 1 h.
    pub stale_if_error: Duration,
    /// How long it is believed that there is no such object. Default 1 s.
    pub missing: Duration,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Most bytes of a source. Default 64 MiB.
    pub source_bytes: u64,
    /// Most bytes of an upload. Default 5 GiB.
    pub upload_bytes: u64,
    /// Most bytes of a result. Default 256 MiB.
    pub output_bytes: u64,
    /// Limits on pixels, edges and frames: the keys `source_pixels`, `source_edge`, `gif_frames`, `webp_frames`,
    /// `animation_pixels`, `output_edge` and `output_pixels`.
    pub image: Limits,
    /// Longest time that a request may take. Default 10 s.
    pub time: Duration,
    /// Most requests that wait for a worker. Default 256.
    pub queue: NonZeroUsize,
    /// Memory that work on pictures may take at a time, by prediction. Default: half of what the machine, or the control group
    /// that the server runs in, has.
    pub memory_bytes: u64,
    /// Threads that work on pixels. Default: one for each core.
    pub workers: NonZeroUsize,
    /// Sources in these formats are decoded in helper processes. Default AVIF and WebP.
    pub helper_formats: Vec<Format>,
    /// Most address space of a helper process. Default 2 GiB.
    pub helper_memory_bytes: u64,
    /// Most milliseconds, by prediction, that the work for a delivery URL may take while its client waits. Default: any.
    pub interactive_milliseconds: Option<u32>,
}

/// `[delivery]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// What becomes of requests over `limits.interactive_milliseconds`. Default `refuse`.
    pub over_budget: OverBudget,
    /// Whether an IIIF size `!w,h` that is larger than the region is a mistake: what the validator wants, not the standard. Default no.
    pub iiif_strict: bool,
}

/// `[fetch]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchConfig {
    /// Ranges opened on purpose; private and local ones are closed otherwise. Default none.
    pub allow: Vec<Cidr>,
    /// Ports that may be connected to; empty is any. Default any.
    pub ports: Vec<u16>,
    /// Longest time for connecting. Default 3 s.
    pub connect_timeout: Duration,
    /// Longest time for a whole fetch. Default 10 s.
    pub timeout: Duration,
    /// Most bytes of an answer. Default 64 MiB.
    pub max_bytes: u64,
}

/// `[jobs]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsConfig {
    /// How long a worker's claim holds unless it is renewed. Default 30 s.
    pub lease: Duration,
    /// Jobs that one node runs at once. Default: one for every two cores.
    pub workers: NonZeroUsize,
    /// How often a job is taken before it fails for good. Default 5.
    pub max_attempts: NonZeroUsize,
    /// Most jobs that wait in a queue that has no limit of its own. Default 100 000.
    pub max_waiting: NonZeroUsize,
    /// Most jobs of one owner that wait in one queue. Default: half of `max_waiting`.
    pub max_waiting_per_owner: Option<NonZeroUsize>,
    /// Most queues that come into being because jobs name them. Default 1000.
    pub max_queues: NonZeroUsize,
    /// The broker of message queues that owners may be told by. Default: none.
    pub amqp: Option<BrokerUrl>,
    /// Most notifications in flight to one receiver. Default 4.
    pub notify_per_target: NonZeroUsize,
    /// How long finished jobs can be asked about. Default 10 days.
    pub keep: Duration,
}

/// `[dlcs]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlcsConfig {
    /// Customers by number.
    pub customers: BTreeMap<u32, DlcsCustomer>,
    /// Most pictures of a batch. Default 250, at most 1000.
    pub max_batch: usize,
    /// Whether what clients of the first version leave out is filled in. Default no.
    pub legacy: bool,
    /// Longest sides of the derivatives that are made of each picture, in pixels. Default 1024, 400, 200 and 100.
    pub thumbs: Vec<u32>,
    /// Where the API is as its callers see it. Default: the host that they ask.
    pub url: Option<String>,
    /// Where pictures are as their viewers see them. Default: the delivery listener of the host that is asked.
    pub images_url: Option<String>,
}

impl Default for DlcsConfig {
    fn default() -> Self {
        Self {
            customers: BTreeMap::new(),
            max_batch: 250,
            legacy: false,
            thumbs: vec![1024, 400, 200, 100],
            url: None,
            images_url: None,
        }
    }
}

/// `[dlcs.customers.N]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlcsCustomer {
    /// The customer's access key.
    pub key: String,
    /// Where its images are kept.
    pub bucket: String,
    /// Most images that it may have registered. Default: any number.
    pub max_images: Option<u32>,
}

/// `[altizure]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AltizureConfig {
    /// Where its images are kept.
    pub bucket: String,
    /// What a start call runs over the Ready images.
    pub pipeline: Option<String>,
    /// Most projects of one owner. Default 1000.
    pub max_projects: u32,
    /// Most images of one project. Default 10 000.
    pub max_images: u32,
}

/// `[blitline]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlitlineConfig {
    /// What the URLs of results begin with: `{url}/{bucket}/{key}`. Default: the delivery listener.
    pub url: Option<url::Url>,
    /// How long `/listen` waits for a job. Default 60 s.
    pub listen: Duration,
}

impl Default for BlitlineConfig {
    fn default() -> Self {
        Self { url: None, listen: Duration::from_secs(60) }
    }
}

/// `[tencent]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TencentConfig {
    /// The bucket that signed calls to hosts without a bucket's name are about. Default: none, and they are no calls of this API.
    pub bucket: Option<String>,
}

/// Where jobs are kept. Printed as its scheme alone: the rest may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    scheme: &'static str,
    url: Secret,
}

impl Database {
    /// The whole text. Do not log it.
    pub fn url(&self) -> &str {
        self.url.expose()
    }
}

impl Setting for Database {
    fn read(node: &Node) -> Result<Self, Refusal> {
        let url = Secret::read(node)?;
        let scheme = ["sqlite:", "postgres://", "postgresql://"].into_iter().find(|it| url.expose().starts_with(*it));
        let refusal = || Refusal::new("is not a database", "write sqlite:PATH or postgres://HOST/DATABASE");
        Ok(Self { scheme: scheme.ok_or_else(refusal)?, url })
    }
}

impl Setting for Light {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match String::read(node)?.as_str() {
            "linear" => Ok(Self::Linear),
            "mixed" => Ok(Self::Mixed),
            "gamma" => Ok(Self::Gamma),
            _ => Err(Refusal::new("is no way to resize", "write gamma, mixed or linear")),
        }
    }
}

impl Setting for Format {
    fn read(node: &Node) -> Result<Self, Refusal> {
        Self::named(&String::read(node)?).ok_or_else(|| {
            Refusal::new("is no format of sources", "write jpeg, png, gif, webp, bmp, tiff, psd or avif")
        })
    }
}

impl Setting for Speed {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match String::read(node)?.as_str() {
            "fast" => Ok(Self::Fast),
            "balanced" => Ok(Self::Balanced),
            "best" => Ok(Self::Best),
            _ => Err(Refusal::new("is no speed", "write fast, balanced or best")),
        }
    }
}

/// What becomes of requests that would take longer than a client is kept waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverBudget {
    /// They are refused.
    #[default]
    Refuse,
    /// They are accepted, made in the background, and answered when they are asked for again.
    Accept,
}

/// `images.keep`: what results tell also where their operators keep no EXIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptMetadata {
    /// Nothing.
    AsAsked,
    /// Who made the picture, and whose it is.
    Copyright,
}

impl Setting for KeptMetadata {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match String::read(node)?.as_str() {
            "none" => Ok(Self::AsAsked),
            "copyright" => Ok(Self::Copyright),
            _ => Err(Refusal::new("is nothing that can be kept", "write none or copyright")),
        }
    }
}

impl Setting for OverBudget {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match String::read(node)?.as_str() {
            "refuse" => Ok(Self::Refuse),
            "accept" => Ok(Self::Accept),
            _ => Err(Refusal::new("is no answer to what takes long", "write refuse or accept")),
        }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            store: None,
            options: BTreeMap::new(),
            store_bytes: 10 << 30,
            max_age: Duration::from_secs(30 * 24 * 3600),
            interim_max_age: Duration::from_secs(30),
            source_memory_bytes: 64 << 20,
            ladder_bytes: 64 << 20,
            fresh: None,
            stale_while_revalidate: None,
            stale_if_error: Duration::from_secs(3600),
            missing: Duration::from_secs(1),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let queue = const { NonZeroUsize::new(256).unwrap() };
        Self {
            source_bytes: 64 << 20,
            upload_bytes: 5 << 30,
            output_bytes: 256 << 20,
            image: Limits::default(),
            time: Duration::from_secs(10),
            queue,
            memory_bytes: machine::memory_bytes() / 2,
            workers,
            helper_formats: vec![Format::Avif, Format::Webp],
            helper_memory_bytes: 2 << 30,
            interactive_milliseconds: None,
        }
    }
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            ports: Vec::new(),
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(10),
            max_bytes: 64 << 20,
        }
    }
}

impl Default for JobsConfig {
    fn default() -> Self {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            lease: Duration::from_secs(30),
            workers: NonZeroUsize::new(cores.get() / 2).unwrap_or(NonZeroUsize::MIN),
            max_attempts: const { NonZeroUsize::new(5).unwrap() },
            max_waiting: const { NonZeroUsize::new(100_000).unwrap() },
            max_waiting_per_owner: None,
            amqp: None,
            max_queues: const { NonZeroUsize::new(1000).unwrap() },
            notify_per_target: const { NonZeroUsize::new(4).unwrap() },
            keep: Duration::from_secs(10 * 24 * 3600),
        }
    }
}

impl JobsConfig {
    /// Most jobs of one owner that wait in one queue, by default or not.
    pub fn max_waiting_per_owner(&self) -> NonZeroUsize {
        let half = self.max_waiting.get().div_ceil(2);
        self.max_waiting_per_owner.or(NonZeroUsize::new(half)).unwrap_or(NonZeroUsize::MIN)
    }
}

impl Config {
    /// Reads the file at `path`, if there is one, and then the `MOGR_…` variables of `env`, which win.
    ///
    /// # Errors
    /// Every mistake, by file and line. A file that cannot be read, or that is not TOML, is one.
    pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<Mistake>> {
        let (config, mistakes) = read(file_node(path), env, &|_| Ok(()));
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    /// The configuration of `mogr serve DIR`: one bucket, [`DEFAULT_BUCKET`], over the folder `dir`, that answers for
    /// every host; everything else by default, or from the `MOGR_…` variables of `env`.
    ///
    /// # Errors
    /// Every mistake: `dir` that is no folder, or variables that are wrong.
    pub fn for_directory(dir: &Path, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<Mistake>> {
        let (config, mistakes) = read(directory_node(dir), env, &|_| Ok(()));
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    /// Where jobs are kept, as a URL. Do not log it.
    pub fn database_url(&self) -> String {
        match &self.database {
            Some(database) => database.url().to_owned(),
            None => format!("sqlite:{}", self.data_dir.join("mogr.db").display()),
        }
    }

    /// The access keys, for whoever verifies signatures.
    pub fn key_ring(&self) -> KeyRing {
        KeyRing::new(self.keys.clone())
    }
}

/// The file's settings; none without a file.
pub(crate) fn file_node(path: Option<&Path>) -> Result<Node, Mistake> {
    let Some(path) = path else { return Ok(Node::empty(Place::whole("defaults"))) };
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Place::whole(&file).mistake("", format!("cannot be read: {error}")))?;
    Node::from_toml(&file, &text)
}

/// The settings of `mogr serve DIR`.
fn directory_node(dir: &Path) -> Result<Node, Mistake> {
    let place = Place::whole(dir.display().to_string());
    let whole = dir.canonicalize().map_err(|error| place.mistake("", format!("cannot be served: {error}")))?;
    let url = url::Url::from_directory_path(&whole).map_err(|()| place.mistake("", "cannot be served"))?;
    let text = |text: &str| Node { place: place.clone(), raw: Raw::Text(text.to_owned()) };
    let domains = Node { place: place.clone(), raw: Raw::List(vec![text("*")]) };
    let bucket = table(&place, [("url", text(url.as_str())), ("domains", domains)]);
    Ok(table(&place, [("buckets", table(&place, [(DEFAULT_BUCKET, bucket)]))]))
}

fn table<const N: usize>(place: &Place, entries: [(&str, Node); N]) -> Node {
    let entry = |(name, node): (&str, Node)| Entry { name: name.to_owned(), place: place.clone(), node };
    Node { place: place.clone(), raw: Raw::Table(entries.into_iter().map(entry).collect()) }
}
