//! `[server]`, `[tls]` and `[log]`: how the listeners treat clients, and how the server tells what it does.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::read::values;
use crate::settings::cidr::Cidr;
use crate::settings::document::Node;
use crate::settings::section::Section;
use crate::settings::value::{Bytes, Refusal, Setting};

/// `[server]`, for each of the two listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Most connections at a time. Default 10 000.
    pub connections: NonZeroUsize,
    /// Most connections of one client: an IPv4 address, or a /64 of IPv6. Default: any number, which is what a server
    /// behind a proxy wants.
    pub connections_per_address: Option<NonZeroUsize>,
    /// Proxies whose word on who asks is taken. Default: none.
    pub trusted_proxies: Vec<Cidr>,
    /// Where they write it. Default: `X-Forwarded-For`.
    pub client_header: ClientHeader,
    /// Most bytes of a request's head. Default 64 KiB.
    pub head_bytes: u64,
    /// How long the head of a request may take from its first byte. Default 15 s.
    pub head_timeout: Duration,
    /// How long a connection may stay without a request. Default 75 s.
    pub idle_timeout: Duration,
    /// How long a client may be silent in the middle of a request's body. Default 60 s.
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer. Default 60 s.
    pub write_timeout: Duration,
    /// How long `/readyz` says that the server goes away before it takes no more connections. Default 0 s.
    pub drain_delay: Duration,
    /// How long open requests may go on after that. Default 20 s.
    pub drain_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            connections: const { NonZeroUsize::new(10_000).unwrap() },
            connections_per_address: None,
            trusted_proxies: Vec::new(),
            client_header: ClientHeader::default(),
            head_bytes: 64 << 10,
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// The header that proxies write the addresses of their clients to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Setting for ClientHeader {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match String::read(node)?.as_str() {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err(Refusal::new("is no header that tells of clients", "write x-forwarded-for or forwarded")),
        }
    }
}

/// Less than this hyper does not take for the buffer of a head.
const LEAST_HEAD_BYTES: u64 = 8 << 10;
const MOST_HEAD_BYTES: u64 = 1 << 20;

pub(super) fn read(mut section: Section<'_>) -> ServerConfig {
    let default = ServerConfig::default();
    let head = section.placed::<Bytes>("head_bytes");
    if let Some(head) = head.as_ref().filter(|head| !(LEAST_HEAD_BYTES..=MOST_HEAD_BYTES).contains(&head.value.0)) {
        let mistake = head.mistake(format!("is {} bytes", head.value.0));
        section.report().add(mistake.with_hint("write a size from 8KiB to 1MiB"));
    }
    let config = ServerConfig {
        connections: section.or("connections", default.connections),
        connections_per_address: section.get("connections_per_address"),
        trusted_proxies: values(section.list("trusted_proxies")),
        client_header: section.or("client_header", default.client_header),
        head_bytes: head.map_or(default.head_bytes, |head| head.value.0),
        head_timeout: section.or("head_timeout", default.head_timeout),
        idle_timeout: section.or("idle_timeout", default.idle_timeout),
        body_timeout: section.or("body_timeout", default.body_timeout),
        write_timeout: section.or("write_timeout", default.write_timeout),
        drain_delay: section.or("drain_delay", default.drain_delay),
        drain_timeout: section.or("drain_timeout", default.drain_timeout),
    };
    section.finish();
    config
}

/// `[tls]`: PEM files for the delivery listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate and those that lead to the root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

pub(super) fn read_tls(root: &mut Section<'_>) -> Option<TlsConfig> {
    if !root.has("tls") {
        return None;
    }
    let mut section = root.section("tls");
    let certificate = section.required("certificate", "name the PEM file of the certificate");
    let key = section.required("key", "name the PEM file of its key");
    section.finish();
    Some(TlsConfig { certificate: certificate?.value, key: key?.value })
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines are written. Default: text on a terminal, JSON elsewhere.
    pub format: Option<LogFormat>,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

impl Setting for LogFormat {
    fn read(node: &Node) -> Result<Self, Refusal> {
        match String::read(node)?.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Refusal::new("is no format of a log", "write text or json")),
        }
    }
}

pub(super) fn read_log(mut section: Section<'_>) -> LogConfig {
    let config = LogConfig { format: section.get("format") };
    section.finish();
    config
}
