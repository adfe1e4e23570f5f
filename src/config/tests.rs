use super::*;
use crate::engine::image::Format;
use crate::engine::light::Light;
use crate::engine::program::{Rendering, Speed};

const NO_ENV: [(String, String); 0] = [];

/// Reads `text` as `mogr.toml`, with these variables.
fn load(text: &str, env: &[(&str, &str)]) -> (Config, Vec<String>) {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let (config, mistakes) = read(Node::from_toml("mogr.toml", text), env, &|_| Ok(()));
    (config, mistakes.iter().map(ToString::to_string).collect())
}

fn good(text: &str, env: &[(&str, &str)]) -> Config {
    let (config, mistakes) = load(text, env);
    assert_eq!(mistakes, Vec::<String>::new());
    config
}

/// The shape in the design, with every key.
const WHOLE: &str = r#"
listen     = "127.0.0.1:8090"
api_listen = "[::1]:8091"
work_listen = "[::1]:8092"
data_dir   = "state"
database   = "postgres://mogr:hunter2@db/mogr"

[server]
connections = 500
connections_per_address = 20
trusted_proxies = ["10.0.0.0/8"]
client_header = "forwarded"
head_bytes = "16KiB"
head_timeout = "5s"
idle_timeout = "30s"
body_timeout = "6s"
write_timeout = "7s"
drain_delay = "3s"
drain_timeout = "8s"

[tls]
certificate = "cert.pem"
key = "key.pem"

[log]
format = "json"

[keys.AK_demo]
secret  = "hunter2"
buckets = ["photos"]

[buckets.photos]
url     = "s3://photos/2024"
domains = ["IMG.example.com", "图片.example.com", "192.0.2.1"]
private = true
protected = true
prefer_style_as_key = true
max_age = "1h"
fresh = "0s"
[buckets.photos.options]
endpoint = "http://127.0.0.1:9000"
secret_access_key = "hunter2"
allow_http = "true"

[buckets.any]
url     = "memory:///"
domains = ["*"]

[cache]
memory_bytes = "64MiB"
store   = "s3://cache:hunter2@results"
store_bytes = "5GiB"
options.region = "eu-central-1"
max_age = "10m"
source_memory_bytes = "1MiB"
ladder_bytes = "2MiB"
fresh = "5s"
stale_while_revalidate = "0s"
stale_if_error = "2h"
missing = "3s"

[limits]
source_bytes = "1k"
upload_bytes = "2GiB"
output_bytes = "1MiB"
source_pixels = "150M"
source_edge = 20_000
gif_frames = 10
webp_frames = 11
animation_pixels = "1M"
output_edge = 5000
memory_bytes = "300MiB"
output_pixels = "9M"
time = "500ms"
queue = 7
workers = 3
helper_formats = ["jpeg"]
helper_memory_bytes = "1GiB"
interactive_milliseconds = 250

[delivery]
over_budget = "accept"
iiif_strict = true

[fetch]
allow = ["127.0.0.0/8", "::1/128"]
ports = [80, 8080]
connect_timeout = "1s"
timeout = "2s"
max_bytes = "1MiB"

[jobs]
lease = "1m"
workers = 5
max_attempts = 6
max_waiting = "2k"
max_waiting_per_owner = 300
max_queues = 50
amqp = "amqp://me:hunter2@mq/jobs"
notify_per_target = 1
keep = "24h"

[dlcs]
max_batch = 300
legacy = true
thumbs = [300]
url = "https://dlcs.example.com/"
images_url = "https://i.example.com/"

[dlcs.customers.2]
key    = "AK_demo"
bucket = "photos"
max_images = 9

[altizure]
bucket   = "photos"
pipeline = "imageView2/2/w/400/format/png"
max_projects = 3
"#;

#[test]
fn every_key_is_read() {
    let config = good(WHOLE, &[]);
    assert_eq!(config.listen, "127.0.0.1:8090".parse().unwrap());
    assert_eq!(config.api_listen, "[::1]:8091".parse().unwrap());
    assert_eq!(config.work_listen, Some("[::1]:8092".parse().unwrap()));
    assert_eq!(config.data_dir, PathBuf::from("state"));
    assert_eq!(config.database.as_ref().map(Database::url), Some("postgres://mogr:hunter2@db/mogr"));
    let seconds = Duration::from_secs;
    let server = ServerConfig {
        connections: NonZeroUsize::new(500).unwrap(),
        connections_per_address: NonZeroUsize::new(20),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        client_header: ClientHeader::Forwarded,
        head_bytes: 16 << 10,
        head_timeout: seconds(5),
        idle_timeout: seconds(30),
        body_timeout: seconds(6),
        write_timeout: seconds(7),
        drain_delay: seconds(3),
        drain_timeout: seconds(8),
    };
    assert_eq!(config.server, server);
    assert_eq!(config.tls, Some(TlsConfig { certificate: "cert.pem".into(), key: "key.pem".into() }));
    assert_eq!(config.log, LogConfig { format: Some(LogFormat::Json) });
    assert_eq!(config.keys["AK_demo"], Key { secret: Secret::new("hunter2"), buckets: vec!["photos".to_owned()] });
    let photos = &config.buckets["photos"];
    assert_eq!(photos.domains, ["img.example.com", "xn--wcsw84d.example.com", "192.0.2.1"]);
    assert_eq!((photos.private, photos.protected, photos.prefer_style_as_key), (true, true, true));
    assert_eq!(photos.max_age, Some(Duration::from_secs(3600)));
    assert_eq!(photos.fresh, Some(Duration::ZERO));
    assert_eq!(photos.options().next(), Some(("allow_http", "true")));
    assert_eq!(photos.url.as_url().as_str(), "s3://photos/2024");
    assert_eq!((config.cache.memory_bytes, config.cache.max_age), (64 << 20, Duration::from_secs(600)));
    assert_eq!((config.cache.source_memory_bytes, config.cache.ladder_bytes), (1 << 20, 2 << 20));
    assert_eq!((config.cache.store_bytes, config.cache.options.len()), (5 << 30, 1));
    assert_eq!((config.cache.fresh, config.cache.missing), (Some(Duration::from_secs(5)), Duration::from_secs(3)));
    let stale = (config.cache.stale_while_revalidate, config.cache.stale_if_error);
    assert_eq!(stale, (Some(Duration::ZERO), Duration::from_secs(7200)));
    let image = Limits {
        source_edge: 20_000,
        source_pixels: 150_000_000,
        gif_frames: 10,
        webp_frames: 11,
        animation_pixels: 1_000_000,
        output_edge: 5000,
        output_pixels: 9_000_000,
    };
    let count = |n| NonZeroUsize::new(n).unwrap();
    let time = Duration::from_millis(500);
    assert_eq!(
        config.limits,
        LimitsConfig {
            source_bytes: 1000,
            upload_bytes: 2 << 30,
            output_bytes: 1 << 20,
            image,
            time,
            queue: count(7),
            memory_bytes: 300 << 20,
            workers: count(3),
            helper_formats: vec![Format::Jpeg],
            helper_memory_bytes: 1 << 30,
            interactive_milliseconds: Some(250),
        }
    );
    assert_eq!((config.delivery.over_budget, config.delivery.iiif_strict), (OverBudget::Accept, true));
    assert!(config.fetch.allow[0].contains("127.0.0.1".parse().unwrap()));
    assert_eq!((config.fetch.allow.len(), config.fetch.ports), (2, vec![80, 8080]));
    let jobs = JobsConfig {
        lease: Duration::from_secs(60),
        workers: count(5),
        max_attempts: count(6),
        max_waiting: count(2000),
        max_waiting_per_owner: Some(count(300)),
        max_queues: count(50),
        amqp: Some(BrokerUrl {
            host: "mq".to_owned(),
            port: 5672,
            user: "me".to_owned(),
            password: Secret::new("hunter2"),
            virtual_host: "jobs".to_owned(),
        }),
        notify_per_target: count(1),
        keep: Duration::from_secs(24 * 3600),
    };
    assert_eq!(config.jobs, jobs);
    assert_eq!(
        (config.dlcs.customers[&2].key.as_str(), config.dlcs.customers[&2].bucket.as_str()),
        ("AK_demo", "photos")
    );
    assert_eq!(config.dlcs.customers[&2].max_images, Some(9));
    assert_eq!((config.dlcs.max_batch, config.dlcs.legacy, config.dlcs.thumbs), (300, true, vec![300]));
    assert_eq!(config.dlcs.url.as_deref(), Some("https://dlcs.example.com"));
    assert_eq!(config.dlcs.images_url.as_deref(), Some("https://i.example.com"));
    let altizure = config.altizure.unwrap();
    assert_eq!((altizure.bucket.as_str(), altizure.max_projects, altizure.max_images), ("photos", 3, 10_000));
}

#[test]
fn how_pictures_are_made() {
    let config = good("[images]\nresize = \"linear\"\nspeed = \"best\"", &[]);
    assert_eq!(config.images, Rendering { light: Light::Linear, speed: Speed::Best, ..Rendering::default() });
    let config = good("", &[("MOGR_IMAGES__RESIZE", "gamma"), ("MOGR_IMAGES__SPEED", "fast")]);
    assert_eq!(config.images, Rendering { light: Light::Gamma, speed: Speed::Fast, ..Rendering::default() });
}

#[test]
fn nothing_configured() {
    let config = Config::load(None, NO_ENV).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.api_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.cache, CacheConfig::default());
    assert_eq!(config.limits, LimitsConfig::default());
    assert_eq!(config.limits.queue.get(), 256);
    assert_eq!(config.images, Rendering { light: Light::Mixed, speed: Speed::Balanced, ..Rendering::default() });
    assert_eq!(config.fetch, FetchConfig::default());
    assert!(config.buckets.is_empty() && config.keys.is_empty());
}

#[test]
fn secrets_are_not_printed() {
    let shown = format!("{:?} {:?}", good(WHOLE, &[]), good(WHOLE, &[]).key_ring());
    assert!(!shown.contains("hunter2"), "{shown}");
    let wrong = "database = \"mysql://hunter2\"\nkeys.A = \"hunter2\"\nbuckets.b.url = \"ftp://u:hunter2@h/\"\n";
    let (_, mistakes) = load(wrong, &[]);
    assert_eq!(mistakes.len(), 4, "{mistakes:?}");
    assert!(!mistakes.concat().contains("hunter2"), "{mistakes:?}");
}

/// One row for each mistake: the file, and the exact message.
const MISTAKES: [(&str, &str); 43] = [
    (
        "listen = \"8080\"",
        r#"mogr.toml:1:10: listen: "8080" is not an address; write "IP:PORT", like "127.0.0.1:8080" or "[::]:8080""#,
    ),
    (
        "listen = 8080",
        r#"mogr.toml:1:10: listen: 8080 is not an address; write "IP:PORT", like "127.0.0.1:8080" or "[::]:8080""#,
    ),
    (
        "listen = \"[::]:80\"\napi_listen = \"[::]:80\"",
        "mogr.toml:2:14: api_listen: is the address of listen too; give each listener its own port",
    ),
    ("data_dir = \"\"", "mogr.toml:1:12: data_dir: is empty; write the path of a folder"),
    (
        "database = \"mysql://\"",
        "mogr.toml:1:12: database: is not a database; write sqlite:PATH or postgres://HOST/DATABASE",
    ),
    ("lisen = \"[::]:80\"", "mogr.toml:1:1: lisen: unknown key; did you mean listen?"),
    ("zebra = 1", "mogr.toml:1:1: zebra: unknown key"),
    ("\n[limit]\ntime = \"1s\"", "mogr.toml:2:2: limit: unknown key; did you mean limits?"),
    ("[limits]\n  source_byte = 1", "mogr.toml:2:3: limits.source_byte: unknown key; did you mean source_bytes?"),
    ("limits = 1", "mogr.toml:1:10: limits: is not a table; write [limits] and its keys below it"),
    (
        "[cache]\nmemory_bytes = \"lots\"",
        r#"mogr.toml:2:16: cache.memory_bytes: "lots" is not a size; write "64MiB", "512k" or a number of bytes"#,
    ),
    (
        "[cache]\nmemory_bytes = -1",
        r#"mogr.toml:2:16: cache.memory_bytes: -1 is not a size; write "64MiB", "512k" or a number of bytes"#,
    ),
    ("[cache]\nmemory_bytes = 0", "mogr.toml:2:16: cache.memory_bytes: is 0; at least 1"),
    (
        "[cache]\nmemory_bytes = 1.5",
        r#"mogr.toml:2:16: cache.memory_bytes: 1.5 is not a size; write "64MiB", "512k" or a number of bytes"#,
    ),
    (
        "[cache]\nmax_age = 30",
        r#"mogr.toml:2:11: cache.max_age: 30 is not a duration; write a number with its unit, like "30s", "10m", "24h" or "30d""#,
    ),
    (
        "[cache]\nstore = \"/var\"",
        "mogr.toml:2:9: cache.store: is not a URL: relative URL without a base; write SCHEME://…, where SCHEME is one of file, memory, s3, gs, az, http, https",
    ),
    (
        "[limits]\nsource_pixels = \"1MiB\"",
        r#"mogr.toml:2:17: limits.source_pixels: "1MiB" is not a count; write a whole number, or "150M" or "20k""#,
    ),
    ("[limits]\nqueue = 5_000_000_000", "mogr.toml:2:9: limits.queue: 5000000000 is too large; at most 4294967295"),
    ("[limits]\ntime = \"0s\"", r#"mogr.toml:2:8: limits.time: is 0; at least "1ms""#),
    (
        "[fetch]\nallow = [\n  \"::1/128\",\n  \"local\"]",
        r#"mogr.toml:4:3: fetch.allow: "local" is not an address range; write "ADDRESS/BITS", like "10.0.0.0/8" or "::1/128""#,
    ),
    (
        "[fetch]\nallow = [\"10.0.0.0/33\"]",
        r#"mogr.toml:2:10: fetch.allow: "10.0.0.0/33" is not an address range; write "ADDRESS/BITS", like "10.0.0.0/8" or "::1/128""#,
    ),
    (
        "[fetch]\nallow = [\"127.0.0.1/8\"]",
        r#"mogr.toml:2:10: fetch.allow: "127.0.0.1/8" has bits after its prefix; did you mean 127.0.0.0/8?"#,
    ),
    ("[fetch]\nallow = \"::1\"", r#"mogr.toml:2:9: fetch.allow: "::1" is not a list; write ["::1"]"#),
    ("[fetch]\nports = [70000]", "mogr.toml:2:10: fetch.ports: 70000 is not a port; write a number from 1 to 65535"),
    ("[keys.AK]\nbuckets = [\"*\"]", r#"mogr.toml:1:7: keys.AK.secret: is missing; write secret = "…""#),
    ("[keys.AK]\nsecret = \"\"", "mogr.toml:2:10: keys.AK.secret: is empty; write the secret in quotes"),
    ("[keys.\"A:K\"]\nsecret = \"s\"", "mogr.toml:1:7: keys.A:K: is no access key: it is empty or has : / &"),
    (
        "[buckets.photos]\nurl = \"memory:///\"\n[keys.AK]\nsecret = \"s\"\nbuckets = [\"photo\"]",
        r#"mogr.toml:5:12: keys.AK.buckets: there is no bucket "photo"; did you mean photos?"#,
    ),
    (
        "[buckets.a]\nprivate = true",
        r#"mogr.toml:1:10: buckets.a.url: is missing; write url = "file:///…", or s3://, gs://, az://, http://, https://"#,
    ),
    (
        "[keys.K]\nsecret = \"s\"\nbuckets = [\"a\"]\n[buckets.a]\nurl = \"s3://\"",
        "mogr.toml:5:7: buckets.a.url: names no bucket; write s3://BUCKET/PREFIX",
    ),
    (
        "[buckets.a]\nurl = \"ftp://h/\"",
        r#"mogr.toml:2:7: buckets.a.url: has the unknown scheme "ftp"; write SCHEME://…, where SCHEME is one of file, memory, s3, gs, az, http, https"#,
    ),
    (
        "[buckets.a]\nurl = \"file://srv/photos\"",
        "mogr.toml:2:7: buckets.a.url: a file URL has no host; write three slashes and the whole path, like file:///srv/photos",
    ),
    (
        "[buckets.a]\nurl = \"file:///no/such/folder\"",
        "mogr.toml:2:7: buckets.a.url: there is no folder /no/such/folder; make it, or correct the path",
    ),
    ("[buckets.a]\nurl = \"s3:///photos\"", "mogr.toml:2:7: buckets.a.url: names no bucket; write s3://BUCKET/PREFIX"),
    (
        "[buckets.a]\nurl = \"memory:///\"\nprivate = \"yes\"",
        r#"mogr.toml:3:11: buckets.a.private: "yes" is not true or false; write true or false, without quotes"#,
    ),
    (
        "[buckets.a]\nurl = \"memory:///\"\ndomains = [\"https://h\"]",
        r#"mogr.toml:3:12: buckets.a.domains: "https://h" is not a host name; write it without scheme, port and path, like "img.example.com"; "*" is any host"#,
    ),
    (
        "[buckets.a]\nurl = \"memory:///\"\ndomains = [\"h.com\"]\n[buckets.b]\nurl = \"memory:///\"\ndomains = [\"H.com\"]",
        r#"mogr.toml:6:12: buckets.b.domains: "h.com" is claimed by bucket "a" already (mogr.toml:3); a domain belongs to one bucket"#,
    ),
    (
        "[buckets.a]\nurl = \"memory:///\"\noptions.region = \"x\"",
        "mogr.toml:3:9: buckets.a.options.region: a memory bucket has no options",
    ),
    (
        "[buckets.a]\nurl = \"s3://b\"\n[buckets.a.options]\nendpont = \"x\"",
        "mogr.toml:4:1: buckets.a.options.endpont: unknown option of s3 buckets; did you mean endpoint?",
    ),
    (
        "[buckets.\"a/b\"]\nurl = \"memory:///\"",
        r#"mogr.toml:1:10: buckets.a/b: "a/b" is no name for a bucket; use letters, digits, - and _"#,
    ),
    (
        "[buckets.b]\nurl = \"memory:///\"\n[dlcs.customers.2]\nkey = \"AK\"\nbucket = \"b\"",
        r#"mogr.toml:4:7: dlcs.customers.2.key: there is no access key "AK""#,
    ),
    ("[altizure]\npipeline = \"x\"", "mogr.toml:1:1: altizure.bucket: is missing; name a bucket of [buckets]"),
    ("listen = \"[::]:80\"\nlisten = \"[::]:81\"", "mogr.toml:2:1: duplicate key"),
];

#[test]
fn mistakes() {
    for (text, message) in MISTAKES {
        assert_eq!(load(text, &[]).1, [message], "{text}");
    }
}

#[test]
fn every_mistake_is_reported_in_order() {
    let text = "[limits]\ntime = 3\nworker = 2\n[buckets.a]\nurl = \"x://y\"\ndomain = []\n[keys.A]\n";
    let (_, mistakes) = load(text, &[("MOGR_LISTEN", "x"), ("MOGR_ZEBRA", "1")]);
    let starts =
        ["MOGR_LISTEN: listen: ", "MOGR_ZEBRA: zebra: ", "mogr.toml:2:8: ", "mogr.toml:3:1: ", "mogr.toml:5:7: "];
    let more = ["mogr.toml:6:1: buckets.a.domain: unknown key; did you mean domains?", "mogr.toml:7:7: keys.A.secret"];
    for (mistake, start) in mistakes.iter().zip(starts.iter().chain(&more)) {
        assert!(mistake.starts_with(start), "{mistake} should start with {start}");
    }
    assert_eq!(mistakes.len(), 7);
}

#[test]
fn buckets_speak_a_dialect() {
    let config = good("[buckets.a]\nurl = \"memory:\"\ndialect = \"tencent\"\n[buckets.b]\nurl = \"memory:\"\n", &[]);
    let spoken = ["a", "b"].map(|name| config.buckets[name].dialect);
    assert_eq!(spoken, [bucket::Dialect::Tencent, bucket::Dialect::Qiniu]);
    let (_, mistakes) = load("[buckets.a]\nurl = \"memory:\"\ndialect = \"cos\"\n", &[]);
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].contains("dialect") && mistakes[0].contains("write qiniu or tencent"), "{mistakes:?}");
}

#[test]
fn variables_override_the_file() {
    let env = [
        ("MOGR_LISTEN", "0.0.0.0:80"),
        ("mogr_cache__memory_bytes", "1MiB"),
        ("MOGR_LIMITS__QUEUE", "5"),
        ("MOGR_LIMITS__SOURCE_PIXELS", "2M"),
        ("MOGR_FETCH__ALLOW", "10.0.0.0/8, ::1"),
        ("MOGR_FETCH__PORTS", ""),
        ("MOGR_BUCKETS__PHOTOS__PRIVATE", "0"),
        ("MOGR_BUCKETS__PHOTOS__DOMAINS", "a.example.com,b.example.com"),
        ("MOGR_BUCKETS__PHOTOS__OPTIONS__REGION", "eu"),
        ("MOGR_BUCKETS__NEW__URL", "memory:///"),
        ("MOGR_KEYS__AK_DEMO__SECRET", "other"),
        ("MOGR_KEYS__AK_New__SECRET", "new"),
        ("MOGR_CONFIG", "elsewhere.toml"),
        ("MOGR_STYLES", "elsewhere.toml"),
        ("MOGR_LOG", "debug"),
        ("PATH", "/bin"),
        ("MÖGR", "1"),
    ];
    let config = good(WHOLE, &env);
    assert_eq!(config.listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.cache.memory_bytes, 1 << 20);
    assert_eq!((config.limits.queue.get(), config.limits.image.source_pixels), (5, 2_000_000));
    assert!(config.fetch.allow[0].contains("10.1.1.1".parse().unwrap()) && config.fetch.ports.is_empty());
    let photos = &config.buckets["photos"];
    assert_eq!((photos.private, photos.protected, photos.domains.len()), (false, true, 2));
    assert_eq!(photos.options["region"].expose(), "eu");
    assert_eq!(config.buckets["new"].url.as_url().as_str(), "memory:///");
    assert_eq!(config.keys["AK_demo"].secret.expose(), "other");
    assert_eq!(config.keys["AK_demo"].buckets, ["photos"]);
    assert_eq!(config.keys["AK_New"].buckets, ["*"]);
}

#[test]
fn mistakes_in_variables_name_the_variable() {
    let table = [
        (
            "MOGR_LIMITS__TIME",
            "3",
            r#"MOGR_LIMITS__TIME: limits.time: "3" is not a duration; write a number with its unit, like "30s", "10m", "24h" or "30d""#,
        ),
        ("MOGR_LIMITS__TIMES", "3s", "MOGR_LIMITS__TIMES: limits.times: unknown key; did you mean time?"),
        ("MOGR_CACHE", "x", r#"MOGR_CACHE: cache: is not a table; write [cache] and its keys below it"#),
        (
            "MOGR_LISTEN__PORT",
            "1",
            r#"MOGR_LISTEN__PORT: listen: a table is not an address; write "IP:PORT", like "127.0.0.1:8080" or "[::]:8080""#,
        ),
        (
            "MOGR_BUCKETS__NEW__PRIVATE",
            "1",
            r#"MOGR_BUCKETS__NEW__PRIVATE: buckets.new.url: is missing; write url = "file:///…", or s3://, gs://, az://, http://, https://"#,
        ),
        (
            "MOGR_FETCH__ALLOW",
            "::1,x",
            r#"MOGR_FETCH__ALLOW: fetch.allow: "x" is not an address range; write "ADDRESS/BITS", like "10.0.0.0/8" or "::1/128""#,
        ),
    ];
    for (name, value, message) in table {
        assert_eq!(load("", &[(name, value)]).1, [message], "{name}");
    }
}

#[test]
fn a_directory_is_a_bucket_for_every_host() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("MOGR_LISTEN".to_owned(), "127.0.0.1:0".to_owned())];
    let config = Config::for_directory(folder.path(), env).unwrap();
    assert_eq!(config.listen.port(), 0);
    let bucket = &config.buckets[DEFAULT_BUCKET];
    assert_eq!(bucket.url.folder(), Some(folder.path().canonicalize().unwrap()));
    assert_eq!(bucket.domains, ["*"]);
    let missing = Config::for_directory(&folder.path().join("none"), NO_ENV).unwrap_err();
    assert!(missing[0].to_string().contains("cannot be served"), "{missing:?}");
}

/// What is configured is what `object_store` takes; its HTTP store is not built in.
#[test]
fn buckets_open_as_stores() {
    // Fails only where another test has installed it already.
    crate::app::install_tls();
    for (scheme, options) in [
        ("s3://photos", "options = { region = \"eu\", endpoint = \"http://h\", allow_http = \"true\" }"),
        ("memory:///", ""),
        ("gs://photos", "options = { skip_signature = \"true\" }"),
        ("az://photos", "options = { account_name = \"a\", account_key = \"aGk=\" }"),
    ] {
        let config = good(&format!("[buckets.b]\nurl = {scheme:?}\n{options}\n"), &[]);
        let bucket = &config.buckets["b"];
        let store = object_store::parse_url_opts(bucket.url.as_url(), bucket.options());
        assert!(store.is_ok(), "{scheme}: {store:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake() {
    let mistakes = Config::load(Some(Path::new("/no/such/mogr.toml")), NO_ENV).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].to_string().starts_with("/no/such/mogr.toml: cannot be read: "), "{}", mistakes[0]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_configuration_or_a_list_of_mistakes(
        text in "(\\PC|\n|[\\[\\]=\".]|listen|buckets\\.b|url|keys\\.k|limits|1|true){0,20}",
        name in "MOGR_(LISTEN|BUCKETS|KEYS|CACHE|_|\\PC){0,6}",
        value in "\\PC{0,8}",
    ) {
        load(&text, &[(&name, &value)]);
    }
}

#[test]
fn heads_have_a_size_that_works() {
    for size in ["1k", "2MiB"] {
        let (_, mistakes) = load(&format!("[server]\nhead_bytes = {size:?}"), &[]);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].contains("8KiB to 1MiB"), "{mistakes:?}");
    }
    let (_, mistakes) = load("[log]\nformat = \"xml\"", &[]);
    assert!(mistakes[0].contains("text or json"), "{mistakes:?}");
}

#[test]
fn a_bucket_has_one_kind_of_signature() {
    let bucket = |rest: &str| format!("[buckets.a]\nurl = \"memory:///\"\n{rest}");
    assert!(good(&bucket("signed = true"), &[]).buckets["a"].signed);
    let (_, mistakes) = load(&bucket("private = true\nsigned = true"), &[]);
    assert!(mistakes.len() == 1 && mistakes[0].contains("choose one"), "{mistakes:?}");
}
