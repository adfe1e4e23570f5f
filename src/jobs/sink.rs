//! Message queues by which owners may be told, beside URLs.

#[cfg(feature = "amqp")]
pub mod amqp;

use std::fmt;
use std::str::FromStr;

use futures::future::BoxFuture;

use super::notify::Message;

/// Longest name, in bytes: what the protocols of brokers have room for.
const MAX_NAME_BYTES: usize = 200;

/// Where in a broker a message goes. As a notification's target it is written `mq:queue/NAME` or `mq:topic/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A queue, of whose readers one gets the message.
    Queue(String),
    /// A topic, of whose readers all do.
    Topic(String),
}

impl Address {
    /// Whether a broker has room for such a name: 1 to 200 of `A-Z a-z 0-9 - _ . :`.
    pub fn is_name(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(name) => write!(f, "mq:queue/{name}"),
            Self::Topic(name) => write!(f, "mq:topic/{name}"),
        }
    }
}

impl FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, name) = text.strip_prefix("mq:").and_then(|text| text.split_once('/')).ok_or(())?;
        match kind {
            _ if !Self::is_name(name) => Err(()),
            "queue" => Ok(Self::Queue(name.to_owned())),
            "topic" => Ok(Self::Topic(name.to_owned())),
            _ => Err(()),
        }
    }
}

/// A broker. What it has taken it keeps; what it has not is sent again, as messages to URLs are.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Has the broker take a message, which `id` names among all others: the same for each attempt.
    ///
    /// # Errors
    /// Why it has not, in words for the notification's owner.
    fn send<'a>(&'a self, to: &'a Address, id: &'a str, message: &'a Message) -> BoxFuture<'a, Result<(), String>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for address in [Address::Queue("q1".to_owned()), Address::Topic("a-b_c.d:e".to_owned())] {
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        let long = format!("mq:queue/{}", "x".repeat(201));
        for text in
            ["", "mq:", "mq:queue", "mq:queue/", "mq:fanout/a", "mq:queue/a b", "mq:queue/a/b", "http://a/b", &long]
        {
            assert_eq!(text.parse::<Address>(), Err(()), "{text}");
        }
    }
}
