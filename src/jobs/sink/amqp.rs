//! A broker that speaks AMQP 0-9-1, as RabbitMQ does. Messages are persistent, and taken only when the broker says so.

use std::fmt;
use std::time::Duration;

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{BasicPublishArguments, Channel, ConfirmSelectArguments};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, mpsc};

use super::{Address, Sink};
use crate::config::BrokerUrl;
use crate::jobs::notify::Message;

/// How long the broker may take for each message, a new connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// A broker, which is connected to when there is something to say.
pub struct Broker {
    url: BrokerUrl,
    /// One message at a time: whose is confirmed is never in question.
    line: Mutex<Option<Line>>,
}

/// A connection that is open.
struct Line {
    channel: Channel,
    _connection: Connection,
    heard: mpsc::UnboundedReceiver<Heard>,
}

/// What the broker says of the message under way.
#[derive(Debug)]
enum Heard {
    Taken,
    Refused,
    /// There is nowhere to put it; whether it was taken is said all the same.
    Returned(String),
    Closed(String),
}

impl Broker {
    /// A broker that nobody has connected to yet.
    pub fn new(url: BrokerUrl) -> Self {
        Self { url, line: Mutex::new(None) }
    }

    async fn take(&self, to: &Address, id: &str, message: &Message) -> Result<(), String> {
        let mut line = self.line.lock().await;
        let mut open = match line.take().filter(|open| open.channel.is_open()) {
            Some(open) => open,
            None => self.connect().await?,
        };
        let taken = open.take(to, id, message).await;
        // Whatever has failed may have left the channel unusable, or an answer on its way.
        if taken.is_ok() {
            *line = Some(open);
        }
        taken
    }

    async fn connect(&self) -> Result<Line, String> {
        let BrokerUrl { host, port, user, password, virtual_host } = &self.url;
        let mut arguments = OpenConnectionArguments::new(host, *port, user, password.expose());
        arguments.virtual_host(virtual_host).connection_name("mogr");
        let failed = |error| format!("the broker cannot be used: {error}");
        let connection = Connection::open(&arguments).await.map_err(failed)?;
        let channel = connection.open_channel(None).await.map_err(failed)?;
        let (says, heard) = mpsc::unbounded_channel();
        channel.register_callback(Ear(says)).await.map_err(failed)?;
        channel.confirm_select(ConfirmSelectArguments::default()).await.map_err(failed)?;
        Ok(Line { channel, _connection: connection, heard })
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Sink for Broker {
    fn send<'a>(&'a self, to: &'a Address, id: &'a str, message: &'a Message) -> BoxFuture<'a, Result<(), String>> {
        let taken = tokio::time::timeout(PATIENCE, self.take(to, id, message));
        let late = |_| Err(format!("the broker does not answer within {} s", PATIENCE.as_secs()));
        taken.map(move |taken| taken.unwrap_or_else(late)).boxed()
    }
}

impl Line {
    async fn take(&mut self, to: &Address, id: &str, message: &Message) -> Result<(), String> {
        let mut arguments = match to {
            // Every queue is bound to the nameless exchange by its own name.
            Address::Queue(name) => BasicPublishArguments::new("", name),
            Address::Topic(name) => BasicPublishArguments::new(name, ""),
        };
        // A topic may have no readers. A queue that is not there would lose the message.
        arguments.mandatory(matches!(to, Address::Queue(_)));
        let mut properties = BasicProperties::default();
        properties.with_content_type(message.content_type).with_message_id(id).with_persistence(true);
        let published = self.channel.basic_publish(properties, message.body.to_vec(), arguments).await;
        published.map_err(|error| format!("the broker cannot be used: {error}"))?;
        let mut returned = None;
        loop {
            match self.heard.recv().await {
                Some(Heard::Taken) => return returned.map_or(Ok(()), Err),
                Some(Heard::Returned(why)) => returned = Some(format!("the broker has no {to}: {why}")),
                Some(Heard::Refused) => return Err("the broker refused the message".to_owned()),
                Some(Heard::Closed(why)) => return Err(format!("the broker refused {to}: {why}")),
                None => return Err("the connection to the broker ended".to_owned()),
            }
        }
    }
}

/// Passes on what the broker says.
struct Ear(mpsc::UnboundedSender<Heard>);

impl Ear {
    fn pass_on(&self, heard: Heard) {
        // Nobody listens any more where the message was given up.
        let _ = self.0.send(heard);
    }
}

#[async_trait]
impl ChannelCallback for Ear {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> Result<(), amqprs::error::Error> {
        self.pass_on(Heard::Closed(close.reply_text().clone()));
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, _: Ack) {
        self.pass_on(Heard::Taken);
    }

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {
        self.pass_on(Heard::Refused);
    }

    async fn publish_return(&mut self, _: &Channel, returned: Return, _: BasicProperties, _: Vec<u8>) {
        self.pass_on(Heard::Returned(returned.reply_text().clone()));
    }
}
