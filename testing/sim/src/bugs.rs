//! Bugs planted on purpose, those of the simulations of the single machines: the composed one has
//! to find them too. None is in the machines.

#[path = "../../../cluster/tests/quorum_sim/bugs.rs"]
pub mod quorum;
#[path = "../../../cluster/tests/replica_sim/bugs.rs"]
pub mod replica;

/// What only shows where the machines meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostBug {
    /// None.
    #[default]
    None,
    /// A broker takes its roles before its loss witness names the registration: the next run, which
    /// takes up the same registration, takes them again, in the same leader epochs.
    RoleBeforeWitness,
    /// A broker on the node of the active controller does not note that it registers: killed before
    /// the answer, it is taken for one that has lost records.
    UnnotedRegistration,
    /// A coordinator answers before what it says is committed.
    AnswersBeforeCommit,
    /// A leader says of a marker that it is written when nobody else has it.
    UnreplicatedMarkers,
    /// A leader does not ask the coordinator before a producer writes in a transaction.
    UnaskedTransactions,
    /// Whoever reads what is committed is shown what is undecided.
    UndecidedIsShown,
    /// A coordinator that takes over knows of offsets, and of no group.
    GroupsForgotten,
    /// A coordinator that takes over reads what it knows to be committed, and not all of the log.
    LoadedToHighWatermark,
    /// Members are not told that they are to join again.
    NobodyIsToldToJoin,
}

/// What the hosts do badly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bugs {
    /// Where the machines meet.
    pub host: HostBug,
    /// The quorum's driver.
    pub driver: quorum::DriverBug,
    /// What surrounds the replicas.
    pub broker: replica::Bug,
}

impl From<quorum::DriverBug> for Bugs {
    fn from(driver: quorum::DriverBug) -> Self {
        Self { driver, ..Self::default() }
    }
}

impl From<replica::Bug> for Bugs {
    fn from(broker: replica::Bug) -> Self {
        Self { broker, ..Self::default() }
    }
}

impl From<HostBug> for Bugs {
    fn from(host: HostBug) -> Self {
        Self { host, ..Self::default() }
    }
}
