//! Who asks, where proxies stand between: addresses that proxies of ours have written down are believed, nobody else's.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Request, header::FORWARDED};

use crate::config::{ClientHeader, ServerConfig};
use crate::settings::cidr::Cidr;

/// The proxies that are ours.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    trusted: Vec<Cidr>,
    header: ClientHeader,
}

impl Proxies {
    pub(super) fn new(config: &ServerConfig) -> Self {
        Self { trusted: config.trusted_proxies.clone(), header: config.client_header }
    }

    /// The address behind the last of our proxies. Each of them adds the address it was reached from to the end of the list, so
    /// the list is read backwards, for as long as those who wrote it are ours; what a client has put before that says nothing.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        for address in self.listed(headers) {
            if !self.is_ours(client) {
                break;
            }
            // Who wrote it is ours and did not know better, or hides it.
            let Some(address) = address else { break };
            client = address;
        }
        client
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(address))
    }

    /// The addresses of the list, the last one first; `None` for what is no address.
    fn listed<'a>(&'a self, headers: &'a HeaderMap) -> Box<dyn Iterator<Item = Option<IpAddr>> + 'a> {
        match self.header {
            ClientHeader::XForwardedFor => Box::new(elements(headers, "x-forwarded-for").map(address)),
            ClientHeader::Forwarded => Box::new(elements(headers, FORWARDED.as_str()).map(forwarded_for)),
        }
    }
}

/// The scheme that a client sees, for addresses in answers to it: what a proxy says, else the listener's own.
pub(super) fn scheme<B>(request: &Request<B>, over_tls: bool) -> &'static str {
    let said = request.headers().get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    match said.map_or(over_tls, |said| said.eq_ignore_ascii_case("https")) {
        true => "https",
        false => "http",
    }
}

/// The elements of a header that is a list, the last one first; a line that is not ASCII is one bad element.
fn elements<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let mut lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    lines.reverse();
    lines.into_iter().flat_map(|line| line.rsplit(',')).map(str::trim)
}

/// The address in an element of `Forwarded` (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) =
        pairs.map(|(name, node)| (name.trim(), node.trim())).find(|(n, _)| n.eq_ignore_ascii_case("for"))?;
    address(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

/// An address, with or without a port; IPv6 with a port, and in `Forwarded`, stands in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let alone = bracketed.unwrap_or(text).parse();
    alone
        .or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()))
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn proxies(header: ClientHeader) -> Proxies {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|range| range.parse().unwrap());
        Proxies { trusted: trusted.into(), header }
    }

    fn headers(name: &str, lines: &[&str]) -> HeaderMap {
        let name: HeaderName = name.parse().unwrap();
        lines.iter().map(|line| (name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn the_address_behind_the_last_of_our_proxies() {
        let proxies = proxies(ClientHeader::XForwardedFor);
        for (peer, lines, expected) in [
            ("10.0.0.1", &["203.0.113.7"][..], "203.0.113.7"),
            // Who is no proxy of ours may write what it likes.
            ("203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
            ("10.0.0.1", &["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["198.51.100.1", "203.0.113.7, 10.9.9.9"], "203.0.113.7"),
            ("10.0.0.1", &["10.0.0.3, fd00::2"], "10.0.0.3"),
            ("::ffff:10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["203.0.113.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7, 10.0.0.2, x"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7, \u{e9}"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7,"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let client = proxies.client(peer.parse().unwrap(), &headers("x-forwarded-for", lines));
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
        let forged = headers("forwarded", &["for=203.0.113.7"]);
        assert_eq!(proxies.client([10, 0, 0, 1].into(), &forged), IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn forwarded_is_read() {
        let proxies = proxies(ClientHeader::Forwarded);
        for (line, expected) in [
            ("for=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"),
            ("for=198.51.100.1, For=\"203.0.113.7:80\" ; host=a", "203.0.113.7"),
            ("proto=http;for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
            ("for=203.0.113.7, for=_hidden", "10.0.0.1"),
            ("for=203.0.113.7, for=unknown", "10.0.0.1"),
            ("for=203.0.113.7, proto=http", "10.0.0.1"),
            ("for=\"203.0.113.7", "10.0.0.1"),
        ] {
            let client = proxies.client([10, 0, 0, 1].into(), &headers("forwarded", &[line]));
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{line}");
        }
    }
}
