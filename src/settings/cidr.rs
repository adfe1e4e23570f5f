//! Ranges of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses: `10.0.0.0/8`, `::1/128`; an address alone is the range of just that address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Whether `address` is in the range. An IPv4 address is the same written as `::ffff:a.b.c.d`.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                self.masked(address.to_canonical()) == self.masked(self.address)
            }
            _ => false,
        }
    }

    /// Whether the address has bits set that the prefix does not cover, as `127.0.0.1/8` has.
    pub fn has_host_bits(self) -> bool {
        self.masked(self.address) != number(self.address)
    }

    /// The same range with those bits cleared.
    #[must_use]
    pub fn network(self) -> Self {
        let masked = self.masked(self.address);
        let address = match self.address {
            // A masked IPv4 number is at most the number it was made of, which has 32 bits.
            IpAddr::V4(_) => IpAddr::V4((masked as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(masked.into()),
        };
        Self { address, ..self }
    }

    fn masked(self, address: IpAddr) -> u128 {
        let free = u32::from(width(address).saturating_sub(self.bits));
        let number = number(address);
        // A shift by all 128 bits is not defined: it leaves nothing of the address.
        number.checked_shr(free).and_then(|prefix| prefix.checked_shl(free)).unwrap_or(0)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl FromStr for Cidr {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| ())?;
        let bits = bits.map_or(Ok(width(address)), |bits| bits.trim().parse().map_err(|_| ()))?;
        if bits > width(address) { Err(()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains() {
        for (range, address, inside) in [
            ("127.0.0.0/8", "127.9.9.9", true),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("127.0.0.0/8", "::1", false),
            ("::1/128", "::1", true),
            ("::1", "::2", false),
            ("fd00::/8", "fd12::1", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "8.8.8.8", false),
        ] {
            let range: Cidr = range.parse().unwrap();
            assert_eq!(range.contains(address.parse().unwrap()), inside, "{range} {address}");
        }
    }

    #[test]
    fn refuses() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "localhost", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn host_bits() {
        let range: Cidr = "127.0.0.1/8".parse().unwrap();
        assert!(range.has_host_bits());
        assert_eq!(range.network().to_string(), "127.0.0.0/8");
        assert_eq!("fd00::1/8".parse::<Cidr>().unwrap().network().to_string(), "fd00::/8");
    }
}
