//! The coordinators of groups.

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::group::{self, Answer, Coordinator, consumer};
use milena_cluster::quorum;
use milena_cluster::replica;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId};

use super::Leading;
use super::shard::{Asked, Caller, Kind, Shard};
use crate::bugs::{Bugs, HostBug};
use crate::host::Key;
use crate::network::Message;
use crate::plan::GROUPS;
use crate::quorum_checks::Violation;
use crate::world::World;

/// The type of the keys of offsets, in both their versions.
const OFFSET_KEYS: [[u8; 2]; 2] = [[0, 0], [0, 1]];

/// The usual settings, with waits so short that more happens in a run.
fn settings() -> group::Settings {
    let consumer = consumer::Settings {
        session_timeout: Duration::from_millis(1_500),
        heartbeat_interval: Duration::from_millis(300),
        assignment_interval: Duration::from_millis(100),
        ..consumer::Settings::default()
    };
    group::Settings {
        initial_rebalance_delay: Duration::from_millis(200),
        min_session_timeout: Duration::from_millis(100),
        consumer,
        ..group::Settings::default()
    }
}

impl Kind for Coordinator {
    const TOPIC: &'static str = GROUPS;
    const NAME: &'static str = "groups";
    const LOADED: &'static str = "groups loaded";

    fn new(_: LeaderEpoch) -> Self {
        Self::new(Arc::new(settings()))
    }

    fn of<L>(leading: &Leading<L>) -> &Option<Shard<Self>> {
        &leading.groups
    }

    fn of_mut<L>(leading: &mut Leading<L>) -> &mut Option<Shard<Self>> {
        &mut leading.groups
    }

    fn is_kept(bugs: &Bugs, key: &[u8]) -> bool {
        let is_offset = OFFSET_KEYS.iter().any(|kind| key.starts_with(kind));
        is_offset || bugs.host != HostBug::GroupsForgotten
    }

    fn execute<Q: quorum::Rules, L: replica::Rules>(
        _: &mut World<Q, L>,
        _: NodeId,
        _: Key,
        never: Self::Effect,
    ) -> Result<(), Violation> {
        match never {}
    }

    fn answer<Q: quorum::Rules, L: replica::Rules>(
        world: &mut World<Q, L>,
        id: NodeId,
        key: Key,
        asked: Asked<Self>,
        answer: Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        let Caller::Client(client, attempt) = asked.caller else { return Ok(()) };
        let result = answer.map(|answer| bent(&world.bugs, answer));
        let led = world.host(id).broker().and_then(|broker| broker.leading(key));
        let epoch = led.map(|leading| leading.machine.leader_epoch());
        let newest = world.newest.partition(key.0, key.1);
        let is_current = newest.is_some_and(|it| it.leader == id && Some(it.leader_epoch) == epoch);
        world.send(id, client, None, Message::GroupTold { key, attempt, result, is_current });
        Ok(())
    }
}

/// An answer as a bug lets it be told.
fn bent(bugs: &Bugs, mut answer: Answer) -> Answer {
    if let Answer::Heartbeat(told) = &mut answer
        && bugs.host == HostBug::NobodyIsToldToJoin
        && told.error_code == ErrorCode::REBALANCE_IN_PROGRESS
    {
        told.error_code = ErrorCode::NONE;
    }
    answer
}
