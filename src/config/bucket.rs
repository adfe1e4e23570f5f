//! `[buckets.NAME]`: where objects are, and who may ask for them.

use std::collections::BTreeMap;
use std::time::Duration;

use object_store::ClientConfigKey;
use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use url::Host;

use crate::settings::document::Node;
use crate::settings::mistake::Place;
use crate::settings::section::{Placed, Section};
use crate::settings::value::{Refusal, Setting, Span};
use crate::settings::{Secret, StoreUrl};

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketConfig {
    /// Where the objects are.
    pub url: StoreUrl,
    /// Options for the store, as `object_store::parse_url_opts` takes them: `endpoint`, `region`, `access_key_id`, ….
    pub options: BTreeMap<String, Secret>,
    /// Host names, in lower case and without port, whose requests are for this bucket; `*` is every host.
    pub domains: Vec<String>,
    /// Whether downloads need `e=` and `token=`.
    pub private: bool,
    /// Whether downloads need a signature of `mogr sign`: see [`crate::auth::signed_url`].
    pub signed: bool,
    /// Whether only styles are served, no fops and no originals. The styles file may say otherwise.
    pub protected: bool,
    /// Whether an object whose key is the whole path is served before a style is looked for. The styles file may say
    /// otherwise.
    pub prefer_style_as_key: bool,
    /// Whether its pictures are served by the IIIF Image API too, at `/iiif/2/…` and `/iiif/3/…`. Default yes.
    pub iiif: bool,
    /// Whether a format that nobody names is left to what the client takes, as with `format/auto`.
    pub auto_format: bool,
    /// Whether sizes and qualities follow what clients tell of themselves.
    pub client_hints: bool,
    /// Whose grammar its URLs are in.
    pub dialect: Dialect,
    /// How long clients may keep an answer; `None` is as long as `[cache]` says.
    pub max_age: Option<Duration>,
    /// How long what the bucket says of an object is believed; `None` is as long as `[cache]` says.
    pub fresh: Option<Duration>,
}

/// Whose grammar the URLs of a bucket are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Qiniu's, with what is this server's own.
    #[default]
    Qiniu,
    /// Tencent's, as on its hosts for objects.
    Tencent,
}

impl Setting for Dialect {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match String::read(node)?.as_str() {
            "qiniu" => Ok(Self::Qiniu),
            "tencent" => Ok(Self::Tencent),
            _ => Err(Refusal::new("is no dialect of URLs", "write qiniu or tencent")),
        }
    }
}

impl BucketConfig {
    /// The options as texts, for `object_store::parse_url_opts`. Do not log them.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }
}

/// Reads `[buckets]`.
pub(super) fn read_all(root: &mut Section<'_>) -> BTreeMap<String, BucketConfig> {
    let mut buckets = BTreeMap::new();
    let mut claims = Claims::default();
    for (name, section) in root.sections("buckets") {
        check_name(&name, &section);
        let bucket = read(&name, section, &mut claims);
        buckets.insert(name, bucket);
    }
    buckets
}

/// A bucket's name stands before `/` in paths and before `:` in entries.
fn check_name(name: &str, section: &Section<'_>) {
    if name.is_empty() || name.contains(['/', ':', '*']) {
        let mistake = section.place().mistake(section.path(), format!("{name:?} is no name for a bucket"));
        section.report().add(mistake.with_hint("use letters, digits, - and _"));
    }
}

/// A bucket without a good URL is one in memory, so that what names it is not reported as a mistake too.
fn read(name: &str, mut section: Section<'_>, claims: &mut Claims) -> BucketConfig {
    let url =
        section.required::<StoreUrl>("url", r#"write url = "file:///…", or s3://, gs://, az://, http://, https://"#);
    let options = read_options(section.section("options"), url.as_ref().map(|it| &it.value));
    let domains = read_domains(name, &mut section, claims);
    let private = section.or("private", false);
    let signed = section.placed("signed");
    if let Some(signed) = signed.as_ref().filter(|signed| signed.value && private) {
        let mistake = signed.mistake("is true, and so is private");
        section.report().add(mistake.with_hint("both signatures would have to stand last; choose one"));
    }
    let signed = signed.is_some_and(|signed| signed.value);
    let protected = section.or("protected", false);
    let prefer_style_as_key = section.or("prefer_style_as_key", false);
    let auto_format = section.or("auto_format", false);
    let client_hints = section.or("client_hints", false);
    let iiif = section.or("iiif", true);
    let dialect = section.or("dialect", Dialect::Qiniu);
    let max_age = section.get("max_age");
    let fresh = section.get("fresh").map(|Span(span)| span);
    if let Some(url) = &url {
        check_folder(url, &section);
    }
    section.finish();
    let url = url.map_or_else(StoreUrl::memory, |it| it.value);
    BucketConfig {
        url,
        options,
        domains,
        private,
        signed,
        protected,
        prefer_style_as_key,
        auto_format,
        client_hints,
        iiif,
        dialect,
        max_age,
        fresh,
    }
}

/// The folder of a `file` URL must be there: a bucket that is misspelled would answer 404 to everything.
fn check_folder(url: &Placed<StoreUrl>, section: &Section<'_>) {
    if url.value.as_url().scheme() != "file" {
        return;
    }
    match url.value.folder() {
        Some(folder) if folder.is_dir() => {}
        Some(folder) => {
            let mistake = url.mistake(format!("there is no folder {}", folder.display()));
            section.report().add(mistake.with_hint("make it, or correct the path"));
        }
        None => section.report().add(url.mistake("is no path of a folder").with_hint("write file:///PATH")),
    }
}

/// Reads host names; each belongs to one bucket.
fn read_domains(bucket: &str, section: &mut Section<'_>, claims: &mut Claims) -> Vec<String> {
    let written = section.list::<String>("domains").into_iter().flatten();
    let report = section.report();
    let mut domains = Vec::new();
    for placed in written {
        match host_name(&placed.value) {
            Some(domain) => match claims.add(&domain, bucket, &placed.place) {
                Ok(()) => domains.push(domain),
                Err(problem) => report.add(placed.mistake(problem).with_hint("a domain belongs to one bucket")),
            },
            None => report.add(
                placed
                    .mistake(format!("{:?} is not a host name", placed.value))
                    .with_hint(r#"write it without scheme, port and path, like "img.example.com"; "*" is any host"#),
            ),
        }
    }
    domains
}

/// A host name as browsers send it: in lower case, and in Punycode where it is not ASCII. `*` stays.
fn host_name(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    match Host::parse(text).ok()? {
        Host::Domain(name) if name.contains('*') => None,
        host => Some(host.to_string()),
    }
}

/// Which bucket claimed which domain, and where.
#[derive(Default)]
struct Claims(BTreeMap<String, (String, Place)>);

impl Claims {
    fn add(&mut self, domain: &str, bucket: &str, place: &Place) -> Result<(), String> {
        if let Some((owner, place)) = self.0.get(domain) {
            return Err(format!("{domain:?} is claimed by bucket {owner:?} already ({place})"));
        }
        self.0.insert(domain.to_owned(), (bucket.to_owned(), place.clone()));
        Ok(())
    }
}

/// Options that are advised when another is misspelled; every other one that `object_store` knows is taken too.
const USUAL_OPTIONS: [&str; 18] = [
    "access_key_id",
    "secret_access_key",
    "session_token",
    "region",
    "endpoint",
    "virtual_hosted_style_request",
    "skip_signature",
    "allow_http",
    "service_account",
    "service_account_key",
    "account_name",
    "account_key",
    "sas_token",
    "client_id",
    "client_secret",
    "tenant_id",
    "timeout",
    "connect_timeout",
];

pub(super) fn read_options(section: Section<'_>, url: Option<&StoreUrl>) -> BTreeMap<String, Secret> {
    let report = section.report();
    let mut options = BTreeMap::new();
    for (name, place, value) in section.texts::<Secret>() {
        let name = name.to_ascii_lowercase();
        match url.map(|url| url.as_url().scheme()) {
            Some(scheme @ ("file" | "memory")) => {
                report.add(place.mistake(&value.key, format!("a {scheme} bucket has no options")));
            }
            Some(scheme) if !is_option(scheme, &name) => {
                let mistake = place.mistake(&value.key, format!("unknown option of {scheme} buckets"));
                report.add(mistake.with_nearest(&name, USUAL_OPTIONS));
            }
            _ => {
                options.insert(name, value.value);
            }
        }
    }
    options
}

/// Whether `object_store` has an option of that name for stores of that scheme.
fn is_option(scheme: &str, name: &str) -> bool {
    match scheme {
        "s3" => name.parse::<AmazonS3ConfigKey>().is_ok(),
        "gs" => name.parse::<GoogleConfigKey>().is_ok(),
        "az" => name.parse::<AzureConfigKey>().is_ok(),
        _ => name.parse::<ClientConfigKey>().is_ok(),
    }
}
