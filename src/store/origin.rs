//! What is fetched over plain HTTP(S): buckets with an HTTP origin, and pictures named by URL.
//!
//! Every connection goes to an address that the [`AddressGuard`] has let through: names are resolved here, each
//! resolved address is checked, and the checked addresses are the ones connected to; addresses written in URLs are
//! checked before the request and at every redirect.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::guard::AddressGuard;
use super::{ByteStream, Error, Meta, Timeouts, collect, tags};

const MAX_REDIRECTS: usize = 5;

/// Most bytes that are read of an answer that nobody wants.
const UNREAD_BYTES: u64 = 64 << 10;

/// A client that only connects to permitted addresses.
#[derive(Clone, Debug)]
pub struct Remote {
    client: reqwest::Client,
    /// Follows no redirects: a message goes to the place that was named, or nowhere.
    poster: reqwest::Client,
    guard: Arc<AddressGuard>,
    timeouts: Timeouts,
}

impl Remote {
    /// A client behind `guard`. Proxies of the environment are not used: they would connect in its stead.
    ///
    /// # Panics
    /// Where no TLS provider is installed; the program's start does that.
    pub fn new(guard: AddressGuard, timeouts: Timeouts) -> Self {
        let guard = Arc::new(guard);
        let redirects = redirect_policy(Arc::clone(&guard));
        let client = |redirects| {
            reqwest::Client::builder()
                .no_proxy()
                .connect_timeout(timeouts.connect)
                .read_timeout(timeouts.read)
                .redirect(redirects)
                .dns_resolver(GuardedResolver(Arc::clone(&guard)))
                .user_agent(concat!("mogr/", env!("CARGO_PKG_VERSION")))
                .build()
                .expect("the client's settings are constants")
        };
        let (client, poster) = (client(redirects), client(reqwest::redirect::Policy::none()));
        Self { client, poster, guard, timeouts }
    }

    /// What is at `url`, whole, if it has at most `max_bytes`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a URL or address that may not be fetched, [`Error::UrlNotFound`] where nothing usable
    /// is there, [`Error::TooLarge`].
    pub async fn fetch(&self, url: &str, max_bytes: u64) -> Result<Bytes, Error> {
        let url = Url::parse(url)
            .map_err(|error| Error::UrlNotFound { url: without_query(url), problem: error.to_string() })?;
        let fetch = async {
            let response = self.get(&url, reqwest::Method::GET, HeaderMap::new()).await?;
            if !response.status().is_success() {
                let problem = format!("it answered {}", response.status().as_u16());
                return Err(Error::UrlNotFound { url: shown(&url), problem });
            }
            let declared = response.content_length();
            collect(body_stream(response, shown(&url)), declared, max_bytes).await
        };
        let fetched = tokio::time::timeout(self.timeouts.read, fetch)
            .await
            .unwrap_or_else(|_| Err(Error::UrlNotFound { url: shown(&url), problem: "no answer in time".to_owned() }));
        match fetched {
            // To the caller a picture that cannot be had is one that is not there (spec 4.8), whoever's fault it is.
            Err(Error::Upstream { problem, .. }) => Err(Error::UrlNotFound { url: shown(&url), problem }),
            fetched => fetched,
        }
    }

    /// What is at `url`, as a stream, which fails where a piece is too long in coming.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a URL or address that may not be fetched, [`Error::UrlNotFound`] where nothing usable is
    /// there, [`Error::Upstream`] where there may be something later.
    pub async fn open(&self, url: &str) -> Result<(Meta, ByteStream), Error> {
        self.open_with(url, HeaderMap::new()).await
    }

    /// [`Remote::open`] with headers of the caller's. A redirect to another host does not get those that are secret.
    ///
    /// # Errors
    /// As [`Remote::open`].
    pub async fn open_with(&self, url: &str, headers: HeaderMap) -> Result<(Meta, ByteStream), Error> {
        let url =
            Url::parse(url).map_err(|error| Error::UrlNotFound { url: url.to_owned(), problem: error.to_string() })?;
        let response = self.get(&url, reqwest::Method::GET, headers).await?;
        let (status, place) = (response.status(), shown(&url));
        let problem = format!("it answered {}", status.as_u16());
        match status {
            status if status.is_success() => Ok((meta(&response), body_stream(response, place))),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(Error::Upstream { place, problem, timed_out: false })
            }
            status if status.is_server_error() => Err(Error::Upstream { place, problem, timed_out: false }),
            _ => Err(Error::UrlNotFound { url: place, problem }),
        }
    }

    /// Sends `body` to `url`, and tells the status and at most `max_bytes` of the answer; redirects are answers like others.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a URL or address that may not be reached, [`Error::Upstream`] where no answer came,
    /// [`Error::TooLarge`].
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        max_bytes: u64,
    ) -> Result<(StatusCode, Bytes), Error> {
        let post = async {
            let response = self.send(url, headers, body).await?;
            let (status, declared) = (response.status(), response.content_length());
            Ok((status, collect(body_stream(response, shown(url)), declared, max_bytes).await?))
        };
        tokio::time::timeout(self.timeouts.read, post).await.unwrap_or_else(|_| Err(late(url)))
    }

    /// Sends `body` to `url`, and tells the status alone: what else the answer has is no matter.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a URL or address that may not be reached, [`Error::Upstream`] where no answer came.
    pub async fn tell(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<StatusCode, Error> {
        let sent = tokio::time::timeout(self.timeouts.read, self.send(url, headers, body)).await;
        let response = sent.unwrap_or_else(|_| Err(late(url)))?;
        let (status, declared) = (response.status(), response.content_length());
        // A short answer is read, so that the connection can be used again.
        let rest = collect(body_stream(response, shown(url)), declared, UNREAD_BYTES);
        let _ = tokio::time::timeout(self.timeouts.connect, rest).await;
        Ok(status)
    }

    async fn send(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<reqwest::Response, Error> {
        check_url(url, &self.guard).map_err(|problem| Error::Forbidden { url: shown(url), problem })?;
        let request = self.poster.post(url.clone()).headers(headers).body(body);
        request.send().await.map_err(|error| failure(url, error))
    }

    async fn get(&self, url: &Url, method: reqwest::Method, headers: HeaderMap) -> Result<reqwest::Response, Error> {
        check_url(url, &self.guard).map_err(|problem| Error::Forbidden { url: shown(url), problem })?;
        self.client.request(method, url.clone()).headers(headers).send().await.map_err(|error| failure(url, error))
    }
}

/// A bucket whose keys are paths below a URL.
#[derive(Debug)]
pub struct Origin {
    remote: Remote,
    base: Url,
}

impl Origin {
    /// Keys below `base`, fetched by `remote`.
    pub fn new(remote: Remote, base: Url) -> Self {
        Self { remote, base }
    }

    /// What is known of an object.
    pub(super) async fn head(&self, bucket: &str, key: &str) -> Result<Meta, Error> {
        let url = self.url(bucket, key)?;
        let response = self.remote.get(&url, reqwest::Method::HEAD, HeaderMap::new()).await?;
        if response.status() == StatusCode::METHOD_NOT_ALLOWED || response.status() == StatusCode::NOT_IMPLEMENTED {
            let response = self.remote.get(&url, reqwest::Method::GET, HeaderMap::new()).await?;
            return checked(bucket, key, &response).map(|()| meta(&response));
        }
        checked(bucket, key, &response).map(|()| meta(&response))
    }

    /// An object's bytes, or a range of them.
    pub(super) async fn open(
        &self,
        bucket: &str,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<(Meta, ByteStream), Error> {
        let url = self.url(bucket, key)?;
        let mut headers = HeaderMap::new();
        if let Some(range) = &range {
            let value = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            headers.insert(header::RANGE, value.parse().expect("digits are a header value"));
        }
        let response = self.remote.get(&url, reqwest::Method::GET, headers).await?;
        checked(bucket, key, &response)?;
        let meta = meta(&response);
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let stream = body_stream(response, format!("the origin of bucket {bucket:?}"));
        Ok(match range {
            // An origin may ignore the range and send everything.
            Some(range) if !partial => (meta, cut(stream, range)),
            _ => (meta, stream),
        })
    }

    /// An object's bytes, unless it is still the one that `known` describes.
    pub(super) async fn open_unless(
        &self,
        bucket: &str,
        key: &str,
        known: &Meta,
    ) -> Result<Option<(Meta, ByteStream)>, Error> {
        let url = self.url(bucket, key)?;
        let response = self.remote.get(&url, reqwest::Method::GET, condition(known)).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        checked(bucket, key, &response)?;
        Ok(Some((meta(&response), body_stream(response, format!("the origin of bucket {bucket:?}")))))
    }

    /// The key's URL. Keys with dotted or empty segments name nothing: a URL could not carry them unchanged.
    fn url(&self, bucket: &str, key: &str) -> Result<Url, Error> {
        let missing = || Error::NotFound { bucket: bucket.to_owned(), key: key.to_owned() };
        if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(missing());
        }
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| missing())?.pop_if_empty().extend(key.split('/'));
        Ok(url)
    }
}

/// Resolves names and drops every address that the guard does not permit.
struct GuardedResolver(Arc<AddressGuard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let resolved = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> = resolved.filter(|address| guard.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(CLOSED_ADDRESS.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

const CLOSED_ADDRESS: &str = "its address is in a closed range; [fetch] allow opens one";

fn redirect_policy(guard: Arc<AddressGuard>) -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error("too many redirects");
        }
        match check_url(attempt.url(), &guard) {
            Ok(()) => attempt.follow(),
            Err(problem) => attempt.error(problem),
        }
    })
}

/// Refuses other schemes, credentials, and closed addresses written as such (names are checked when resolved).
fn check_url(url: &Url, guard: &AddressGuard) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{}: is not a scheme that is fetched; http and https are", url.scheme()));
    }
    if let Some(port) = url.port_or_known_default().filter(|port| !guard.permits_port(*port)) {
        return Err(format!("port {port} is closed; [fetch] ports lists the open ones"));
    }
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err("it names no host".to_owned()),
    };
    match literal {
        Some(address) if !guard.permits(address) => Err(CLOSED_ADDRESS.to_owned()),
        _ => Ok(()),
    }
}

fn late(url: &Url) -> Error {
    Error::Upstream { place: shown(url), problem: "no answer in time".to_owned(), timed_out: true }
}

fn failure(url: &Url, error: reqwest::Error) -> Error {
    // Its text would have the URL with its query, which may hold tokens.
    let error = error.without_url();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        let text = error.to_string();
        if text == CLOSED_ADDRESS {
            return Error::Forbidden { url: shown(url), problem: text };
        }
        cause = error.source();
    }
    tracing::warn!(host = url.host_str(), error = %error.to_string(), "fetch failed");
    let problem = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_redirect() {
        "it redirects too often or to a place that may not be fetched"
    } else {
        "the transfer failed"
    };
    Error::Upstream { place: shown(url), problem: problem.to_owned(), timed_out: error.is_timeout() }
}

/// Whether an origin's answer has the object.
fn checked(bucket: &str, key: &str, response: &reqwest::Response) -> Result<(), Error> {
    match response.status() {
        status if status.is_success() => Ok(()),
        // Stores behind an origin answer 403 for objects that do not exist where listing is not allowed.
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => {
            Err(Error::NotFound { bucket: bucket.to_owned(), key: key.to_owned() })
        }
        status => Err(Error::Upstream {
            place: format!("the origin of bucket {bucket:?}"),
            problem: format!("it answered {}", status.as_u16()),
            timed_out: status == StatusCode::GATEWAY_TIMEOUT,
        }),
    }
}

/// The header by which an origin tells whether an object is another one than `known`; none where it has told no validator.
fn condition(known: &Meta) -> HeaderMap {
    // An entity tag has quotes, and a date has none.
    let name = if known.version.contains('"') { header::IF_NONE_MATCH } else { header::IF_MODIFIED_SINCE };
    let is_validator = name == header::IF_NONE_MATCH || httpdate::parse_http_date(&known.version).is_ok();
    let value = known.version.parse().ok().filter(|_| is_validator);
    value.map(|value| (name, value)).into_iter().collect()
}

fn meta(response: &reqwest::Response) -> Meta {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let range_total = text(header::CONTENT_RANGE).and_then(|range| range.rsplit('/').next()?.parse().ok());
    let bytes = range_total.or_else(|| text(header::CONTENT_LENGTH)?.parse().ok());
    let modified: Option<SystemTime> =
        text(header::LAST_MODIFIED).and_then(|date| httpdate::parse_http_date(&date).ok());
    let validator = text(header::ETAG).or_else(|| text(header::LAST_MODIFIED));
    Meta {
        is_exact: validator.is_some(),
        version: validator.unwrap_or_else(|| format!("size {}", bytes.unwrap_or_default())),
        bytes,
        modified,
        content_type: text(header::CONTENT_TYPE),
        tags: tags(text(header::HeaderName::from_static("cache-tag")).as_deref()),
    }
}

fn body_stream(response: reqwest::Response, place: String) -> ByteStream {
    Box::pin(response.bytes_stream().map(move |piece| {
        piece.map_err(|error| Error::Upstream {
            place: place.clone(),
            problem: "the transfer was cut off".to_owned(),
            timed_out: error.is_timeout(),
        })
    }))
}

/// The bytes of `range` out of a stream of everything.
fn cut(stream: ByteStream, range: Range<u64>) -> ByteStream {
    let pieces = stream.scan(0_u64, move |position, piece| {
        let start = *position;
        if start >= range.end {
            return std::future::ready(None);
        }
        let piece = piece.map(|bytes| {
            let end = start + bytes.len() as u64;
            *position = end;
            let from = range.start.clamp(start, end) - start;
            let to = range.end.clamp(start, end) - start;
            bytes.slice(from as usize..to as usize)
        });
        std::future::ready(Some(piece))
    });
    Box::pin(pieces.filter(|piece| std::future::ready(!matches!(piece, Ok(bytes) if bytes.is_empty()))))
}

/// A text that should be a URL as it may be shown.
pub(crate) fn without_query(text: &str) -> String {
    let bare = || text.split(['?', '#']).next().unwrap_or_default().rsplit('@').next().unwrap_or_default().to_owned();
    Url::parse(text).map_or_else(|_| bare(), |url| shown(&url))
}

/// A URL as it may be shown: without credentials, query and fragment.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail only for URLs that cannot have credentials at all.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded() -> Remote {
        crate::app::install_tls();
        Remote::new(AddressGuard::default(), Timeouts::default())
    }

    #[tokio::test]
    async fn closed_addresses_are_refused_in_every_spelling() {
        let remote = guarded();
        for url in [
            "http://127.0.0.1/x.png",
            "http://localhost:9/x.png",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:169.254.169.254]/latest/meta-data",
            "http://user:pw@10.0.0.1/",
        ] {
            let error = remote.fetch(url, 1 << 20).await.unwrap_err();
            assert!(matches!(error, Error::Forbidden { .. }), "{url}: {error}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }

    #[tokio::test]
    async fn other_schemes_are_refused() {
        for url in ["file:///etc/passwd", "ftp://example.com/x", "gopher://example.com/"] {
            let error = guarded().fetch(url, 1 << 20).await.unwrap_err();
            assert!(matches!(error, Error::Forbidden { .. }), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_range_is_cut_out_of_a_whole_answer() {
        let pieces = ["abc", "def", "ghi"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let cut: Vec<_> = cut(Box::pin(futures::stream::iter(pieces)), 2..7).map(Result::unwrap).collect().await;
        assert_eq!(cut.concat(), b"cdefg");
    }
}
