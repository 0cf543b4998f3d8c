//! What a consumer group is configured with.

use std::time::Duration;

use crate::group::assignor::Kind;

/// Which groups may change their protocol while they have members:
/// `group.consumer.migration.policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Migration {
    /// None.
    Disabled,
    /// Classic groups become consumer groups.
    Upgrade,
    /// Consumer groups become classic groups.
    Downgrade,
    /// Both.
    #[default]
    Bidirectional,
}

impl Migration {
    /// The policy of a name, in any case.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [
            ("disabled", Self::Disabled),
            ("upgrade", Self::Upgrade),
            ("downgrade", Self::Downgrade),
            ("bidirectional", Self::Bidirectional),
        ];
        all.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, it)| it)
    }

    /// Whether classic groups become consumer groups.
    #[must_use]
    pub const fn upgrades(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    /// Whether consumer groups become classic groups.
    #[must_use]
    pub const fn downgrades(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}

/// What a consumer group is configured with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `group.consumer.max.size`.
    pub max_size: usize,
    /// What the members of a group may say of themselves, in bytes of its records.
    pub max_bytes: usize,
    /// `consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `consumer.heartbeat.interval.ms`: no member is told a longer one.
    pub heartbeat_interval: Duration,
    /// Whether somebody has set that interval. Members of a stable group are then told exactly it;
    /// else they are told less while there are few of them.
    pub is_heartbeat_interval_set: bool,
    /// `consumer.assignment.interval.ms`: in the long run one assignment each.
    pub assignment_interval: Duration,
    /// `group.consumer.assignors`; the first is for those who do not care.
    pub assignors: Vec<Kind>,
    /// `group.consumer.migration.policy`.
    pub migration: Migration,
}

impl Settings {
    /// The assignor for those who do not care.
    #[must_use]
    pub fn default_assignor(&self) -> Kind {
        self.assignors.first().copied().unwrap_or(Kind::Uniform)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_size: i32::MAX as usize,
            max_bytes: 25 << 20,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            is_heartbeat_interval_set: false,
            assignment_interval: Duration::from_secs(1),
            assignors: vec![Kind::Uniform, Kind::Range],
            migration: Migration::Bidirectional,
        }
    }
}
