//! Where objects of buckets are served, for answers that have their addresses.

use std::collections::HashMap;

/// Names of buckets, and the port of those that have none.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Host names that buckets are served under, by bucket.
    pub domains: HashMap<String, Vec<String>>,
    /// The port of the delivery listener, for buckets without a host name of their own.
    pub delivery_port: u16,
}

impl Served {
    /// Hosts that a bucket is served under: its own names, else the delivery listener of the host that was asked.
    pub fn hosts_of(&self, bucket: &str, asked: &str) -> Vec<String> {
        let own: Vec<String> = self.domains_of(bucket).filter(|domain| *domain != "*").map(str::to_owned).collect();
        if !own.is_empty() {
            return own;
        }
        vec![beside(asked, self.delivery_port)]
    }

    /// What the address of each of a bucket's objects begins with, without scheme and slash at its end; `None` where another
    /// bucket answers in its place.
    pub fn base_of(&self, bucket: &str, asked: &str) -> Option<String> {
        let host = self.hosts_of(bucket, asked).into_iter().next()?;
        match (self.domains_of(bucket).next(), self.domains.values().flatten().any(|domain| domain == "*")) {
            (Some(_), _) => Some(host),
            (None, true) => None,
            (None, false) => Some(format!("{host}/{bucket}")),
        }
    }

    fn domains_of(&self, bucket: &str) -> impl Iterator<Item = &str> {
        self.domains.get(bucket).into_iter().flatten().map(String::as_str)
    }
}

/// Another port of the host that was asked.
pub fn beside(asked: &str, port: u16) -> String {
    let end = asked.rfind(':').filter(|colon| !asked[*colon..].contains(']')).unwrap_or(asked.len());
    format!("{}:{port}", &asked[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_served_under_their_names() {
        type Names = [(&'static str, &'static [&'static str])];
        let rows: &[(&Names, &str, Option<&str>)] = &[
            (&[("a", &["i.example", "j.example"])], "api:80", Some("i.example")),
            (&[("a", &["*"])], "api:80", Some("api:7")),
            (&[("a", &[])], "api", Some("api:7/a")),
            (&[], "[::1]", Some("[::1]:7/a")),
            (&[], "[::1]:80", Some("[::1]:7/a")),
            (&[("b", &["*"])], "api", None),
            (&[("a", &["i.example"]), ("b", &["*"])], "api", Some("i.example")),
        ];
        for (names, asked, base) in rows {
            let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            let domains = names.iter().map(|(bucket, names)| ((*bucket).to_owned(), owned(names))).collect();
            let served = Served { domains, delivery_port: 7 };
            assert_eq!(served.base_of("a", asked).as_deref(), *base, "{names:?} {asked}");
        }
    }
}
