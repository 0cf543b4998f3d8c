//! How a member of a group behaves; the names and defaults are those of Kafka's consumer where it
//! has them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What a member wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// These topics, also those that do not exist yet.
    Topics(BTreeSet<Arc<str>>),
    /// Every topic whose whole name matches an expression of RE2, now and later. The broker
    /// evaluates it, so only the consumer protocol has it.
    Pattern(Arc<str>),
}

impl Subscription {
    /// A subscription to topics.
    pub fn topics<T: Into<Arc<str>>>(names: impl IntoIterator<Item = T>) -> Self {
        Self::Topics(names.into_iter().map(Into::into).collect())
    }

    /// A subscription to every topic whose name matches.
    pub fn pattern(expression: impl Into<Arc<str>>) -> Self {
        Self::Pattern(expression.into())
    }
}

/// How members share partitions among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// As the broker can: the consumer protocol, else the classic one.
    #[default]
    Auto,
    /// The consumer protocol (KIP-848): the broker assigns.
    Consumer,
    /// The classic protocol: one of the members assigns.
    Classic,
}

/// How a member of the classic protocol assigns, where it is the one that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassicAssignor {
    /// Each topic in ranges, as Kafka's `range`. Members give everything up before they are
    /// assigned anew.
    Range,
    /// Evenly, and each keeps what it has where that is even, as Kafka's `cooperative-sticky`.
    CooperativeSticky,
}

impl ClassicAssignor {
    /// The name that members agree on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// How a member of a group behaves.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// The group.
    pub group: String,
    /// The member's name, if it is static: one that comes back in time finds its partitions again.
    pub instance_id: Option<String>,
    /// Which protocol is spoken.
    pub protocol: GroupProtocol,
    /// The broker's assignor, such as `uniform` or `range`; the broker chooses without one. Only of
    /// the consumer protocol.
    pub server_assignor: Option<String>,
    /// The assignors that the member knows, best first. Only of the classic protocol. With
    /// [`ClassicAssignor::CooperativeSticky`] alone partitions are read on during a rebalance.
    pub classic_assignors: Vec<ClassicAssignor>,
    /// How long without a heartbeat the member counts as gone. Only of the classic protocol: in the
    /// other the broker says it.
    pub session_timeout: Duration,
    /// How long between heartbeats. Only of the classic protocol.
    pub heartbeat_interval: Duration,
    /// A member that is not polled for so long leaves; within it partitions must be given up.
    pub max_poll_interval: Duration,
    /// How often positions are committed by themselves; `None` leaves it to the caller.
    pub auto_commit: Option<Duration>,
}

impl GroupOptions {
    /// A dynamic member of a group, with Kafka's defaults.
    #[must_use]
    pub fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            instance_id: None,
            protocol: GroupProtocol::default(),
            server_assignor: None,
            classic_assignors: vec![ClassicAssignor::Range, ClassicAssignor::CooperativeSticky],
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            auto_commit: Some(Duration::from_secs(5)),
        }
    }
}
