//! How many connections there may be: of all clients, and of one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a connection has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many as there may be.
    Server,
    /// This client has as many as it may have.
    Client,
}

impl Full {
    /// Its name in metrics.
    pub(super) const fn limit(self) -> &'static str {
        match self {
            Self::Server => "connections",
            Self::Client => "connections_per_address",
        }
    }
}

/// The places of a listener.
#[derive(Clone, Debug)]
pub(super) struct Places {
    most: usize,
    most_of_client: Option<NonZeroUsize>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Only clients that have a place, and only where clients have a limit.
    by_client: HashMap<IpAddr, usize>,
}

/// A place, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    client: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(super) fn new(most: NonZeroUsize, most_of_client: Option<NonZeroUsize>) -> Self {
        Self { most: most.get(), most_of_client, taken: Arc::default() }
    }

    pub(super) fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let client = client(address);
        let mut taken = lock(&self.taken);
        if taken.all >= self.most {
            return Err(Full::Server);
        }
        if let Some(most) = self.most_of_client {
            let of_client = taken.by_client.entry(client).or_default();
            if *of_client >= most.get() {
                return Err(Full::Client);
            }
            *of_client += 1;
        }
        taken.all += 1;
        drop(taken);
        Ok(Place { client, taken: Arc::clone(&self.taken) })
    }

    /// How many are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        lock(&self.taken).all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        if let Some(of_client) = taken.by_client.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    // Nothing under the lock panics.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client has as many IPv6 addresses as it likes: a /64 is one.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_and_given_back() {
        let places = Places::new(NonZeroUsize::new(3).unwrap(), NonZeroUsize::new(2));
        let take = |address: &str| places.take(address.parse().unwrap());
        let held = [take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap()];
        assert_eq!(take("2001:db8::3").unwrap_err(), Full::Client);
        let other = take("::ffff:192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), Full::Server);
        assert_eq!(places.taken(), 3);
        drop(held);
        let again = take("192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), Full::Client);
        drop((other, again));
        assert_eq!(places.taken(), 0);
        assert!(lock(&places.taken).by_client.is_empty());
    }
}
