//! Where the broker of message queues is.

use percent_encoding::percent_decode_str;

use crate::settings::Secret;
use crate::settings::document::Node;
use crate::settings::value::{Refusal, Setting};

/// `amqp://USER:PASSWORD@HOST:PORT/VHOST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Its host.
    pub host: String,
    /// Its port. Default 5672.
    pub port: u16,
    /// Who sends. Default `guest`.
    pub user: String,
    /// By which password. Default `guest`.
    pub password: Secret,
    /// The virtual host. Default `/`.
    pub virtual_host: String,
}

/// Longest text that the protocol has room for, in bytes.
const MAX_TEXT_BYTES: usize = 255;

impl Setting for BrokerUrl {
    fn read(node: &Node) -> Result<Self, Refusal> {
        let text = Secret::read(node)?;
        let refusal = || Refusal::new("is not a broker", "write amqp://USER:PASSWORD@HOST:PORT/VHOST");
        if !cfg!(feature = "amqp") {
            return Err(Refusal::new("is of no use to this build", "build mogr with the feature amqp"));
        }
        parse(text.expose()).ok_or_else(refusal)
    }
}

/// A part that is empty has its default; the virtual host `/` may be left out, or written `%2F`.
fn parse(text: &str) -> Option<BrokerUrl> {
    let url = url::Url::parse(text).ok().filter(|url| url.scheme() == "amqp" && url.query().is_none())?;
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        (text.len() <= MAX_TEXT_BYTES && !text.contains('\0')).then(|| text.into_owned())
    };
    let or = |text: &str, default: &str| if text.is_empty() { Some(default.to_owned()) } else { decoded(text) };
    let virtual_host = url.path().strip_prefix('/').unwrap_or_default();
    if virtual_host.contains('/') {
        return None;
    }
    Some(BrokerUrl {
        host: url.host_str()?.to_owned(),
        port: url.port().unwrap_or(5672),
        user: or(url.username(), "guest")?,
        password: Secret::new(or(url.password().unwrap_or_default(), "guest")?),
        virtual_host: or(virtual_host, "/")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_named_by_urls() {
        for (text, expected) in [
            ("amqp://me:p%40ss@mq.example:1/jobs", Some(("mq.example", 1, "me", "p@ss", "jobs"))),
            ("amqp://mq.example", Some(("mq.example", 5672, "guest", "guest", "/"))),
            ("amqp://mq.example/%2F", Some(("mq.example", 5672, "guest", "guest", "/"))),
            ("amqp://mq.example/a/b", None),
            ("amqp://mq.example/%ff", None),
            ("amqps://mq.example", None),
            ("mq.example", None),
            ("amqp:", None),
        ] {
            let read = parse(text);
            let parts =
                read.as_ref().map(|it| (&*it.host, it.port, &*it.user, it.password.expose(), &*it.virtual_host));
            assert_eq!(parts, expected, "{text}");
        }
    }
}
