//! What a configuration belongs to.

use std::fmt;

use milena_protocol::codec::Text;
use milena_protocol::ids::NodeId;

/// The kind of a configured resource; the number is that of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ResourceKind {
    /// A topic.
    Topic = 2,
    /// A broker by its id, or all brokers where the name is empty.
    Broker = 4,
    /// The loggers of a broker; they are not kept in the metadata.
    BrokerLogger = 8,
    /// A subscription to client metrics (KIP-714).
    ClientMetrics = 16,
    /// A group (KIP-848).
    Group = 32,
}

impl ResourceKind {
    /// The kind with a number of the protocol.
    #[must_use]
    pub fn from_number(number: i8) -> Option<Self> {
        [Self::Topic, Self::Broker, Self::BrokerLogger, Self::ClientMetrics, Self::Group]
            .into_iter()
            .find(|kind| kind.number() == number)
    }

    /// The kind's number in the protocol.
    #[must_use]
    pub const fn number(self) -> i8 {
        self as i8
    }
}

/// A configured resource. The name of [`ResourceKind::Broker`] is empty for all brokers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// What it is called.
    pub name: Text,
}

impl Resource {
    /// A topic.
    #[must_use]
    pub fn topic(name: impl Into<Text>) -> Self {
        Self { kind: ResourceKind::Topic, name: name.into() }
    }

    /// One broker.
    #[must_use]
    pub fn broker(id: NodeId) -> Self {
        Self { kind: ResourceKind::Broker, name: id.to_string().into() }
    }

    /// All brokers.
    #[must_use]
    pub fn all_brokers() -> Self {
        Self { kind: ResourceKind::Broker, name: Text::default() }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.name.as_str()) {
            (ResourceKind::Broker, "") => f.write_str("the brokers' defaults"),
            (ResourceKind::Topic, name) => write!(f, "topic {name}"),
            (ResourceKind::Broker, name) => write!(f, "broker {name}"),
            (ResourceKind::BrokerLogger, name) => write!(f, "the loggers of broker {name}"),
            (ResourceKind::ClientMetrics, name) => write!(f, "client metrics {name}"),
            (ResourceKind::Group, name) => write!(f, "group {name}"),
        }
    }
}
