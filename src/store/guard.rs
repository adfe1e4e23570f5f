//! Which addresses this server may connect to on behalf of a request.
//!
//! Everything that is not plain public unicast is closed (RFC 6890 and its registries), also where an IPv6 address
//! carries an IPv4 one. What an operator needs is opened by range in `[fetch] allow`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::settings::cidr::Cidr;

/// The rule for addresses and ports.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allow: Vec<Cidr>,
    ports: Vec<u16>,
}

impl AddressGuard {
    /// A guard that also lets through the ranges in `allow`, and only these `ports`; any where none is named.
    pub fn new(allow: Vec<Cidr>, ports: Vec<u16>) -> Self {
        Self { allow, ports }
    }

    /// Whether a port may be connected to.
    pub fn permits_port(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }

    /// Whether `address` may be connected to.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allow.iter().any(|range| range.contains(address)) || is_public(address)
    }
}

/// Whether an address is plain public unicast.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    // Only 2000::/3 is handed out; of it, the ranges below are not plain unicast.
    let global = (s[0] & 0xe000) == 0x2000;
    // IETF protocol assignments, Teredo, ORCHID; documentation.
    let assigned = s[0] == 0x2001 && (s[1] < 0x0200 || s[1] == 0x0db8);
    let special = assigned
        || s[0] == 0x2002 // 6to4 carries an IPv4 address
        || (s[0] == 0x3fff && s[1] < 0x1000) // documentation
        || (s[4] & 0xfcff == 0 && s[5] == 0x5efe); // ISATAP carries an IPv4 address
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_closed() {
        let guard = AddressGuard::default();
        for closed in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2600::5efe:7f00:1",
            "2600::200:5efe:a00:1",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!guard.permits(closed.parse().unwrap()), "{closed}");
        }
    }

    #[test]
    fn public_addresses_are_open() {
        let guard = AddressGuard::default();
        for open in
            ["1.1.1.1", "8.8.8.8", "100.63.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
        {
            assert!(guard.permits(open.parse().unwrap()), "{open}");
        }
    }

    #[test]
    fn ranges_are_opened_on_purpose() {
        let guard = AddressGuard::new(vec!["127.0.0.0/8".parse().unwrap()], vec![80]);
        assert!(guard.permits_port(80) && !guard.permits_port(8080));
        assert!(guard.permits("127.0.0.1".parse().unwrap()));
        assert!(guard.permits("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!guard.permits("::1".parse().unwrap()));
        assert!(!guard.permits("10.0.0.1".parse().unwrap()));
    }
}
