//! Whoever commits the offsets of a group: what it was told to be committed it finds again.

use milena_cluster::coordinator::partition_for;
use milena_cluster::group::{Answer, Caller, Request};
use milena_cluster::quorum;
use milena_cluster::replica;
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::api::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, PartitionIndex};

use super::administrator::topic_id;
use super::{PATIENCE, address, index, kind};
use crate::checks::require;
use crate::host::Key;
use crate::network::Message;
use crate::plan::GROUPS;
use crate::quorum_checks::Violation;
use crate::world::{Event, World};

/// Its kind of client.
pub const KIND: usize = 2;
/// Milliseconds between two requests, at most.
const INTERVAL: u64 = 120;
/// The topic that is read, in every group; a coordinator forgets those that do not exist.
const TOPIC: &str = "t0";

/// The only member of a group that commits.
#[derive(Debug, Default)]
pub struct Committer {
    /// What it was told to be committed, and what it asked for last.
    committed: i64,
    pub asked: i64,
    attempts: u64,
    /// The newest attempt that a coordinator has heard of. An older one came over a connection that
    /// is gone by then; nothing else keeps a commit outside of a generation from coming late.
    heard: u64,
    /// The attempt that it waits for, what was committed when it asked, and until when it waits.
    waiting: Option<(u64, i64, u64)>,
}

impl Committer {
    /// Whether it was told of everything that it asked for.
    pub fn is_done(&self) -> bool {
        self.committed == self.asked
    }
}

fn commit(group: &str, offset: i64) -> Request {
    let partition = OffsetCommitRequestPartition {
        partition_index: PartitionIndex(0),
        committed_offset: Offset(offset),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: TOPIC.into(),
        topic_id: topic_id(0),
        partitions: vec![partition],
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    Request::Commit(Caller { version: 9, ..Default::default() }, request)
}

fn fetch(group: &str) -> Request {
    let topic = OffsetFetchRequestTopics {
        name: TOPIC.into(),
        topic_id: topic_id(0),
        partition_indexes: vec![PartitionIndex(0)],
    };
    let request = OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    Request::Fetch(request, false)
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A committer asks for the next offset, or for what is committed.
    pub fn commit_next(&mut self, at: usize) {
        let pause = self.rng.within(1, INTERVAL);
        self.at(pause, Event::GoOn(address(KIND, at)));
        let is_waiting = |waits: (u64, i64, u64)| waits.2 > self.now;
        if self.clients.committers[at].waiting.is_some_and(is_waiting) {
            return;
        }
        let group = format!("group-{at}");
        let Some(key) = self.partition_of(&group) else { return };
        let Some(leader) = self.known_leader(key) else { return };
        let (looks, steps) = (self.rng.chance(300), self.rng.within(1, 3) as i64);
        let (is_resting, now) = (self.is_resting(), self.now);
        let committer = &mut self.clients.committers[at];
        committer.attempts += 1;
        let attempt = committer.attempts;
        committer.waiting = Some((attempt, committer.committed, now + PATIENCE));
        if committer.is_done() && !looks && !is_resting {
            committer.asked += steps;
        }
        let request = match committer.is_done() {
            true => fetch(&group),
            false => commit(&group, committer.asked),
        };
        let message = Message::AskGroup { key, attempt, request };
        self.send(address(KIND, at), leader, None, message);
    }

    /// The partition that a group belongs to.
    fn partition_of(&self, group: &str) -> Option<Key> {
        let topic = self.newest.topic(GROUPS)?;
        Some((topic.id(), partition_for(group, topic.partitions().len())))
    }

    /// Whether a request may still come.
    pub fn may_come(&mut self, client: NodeId, attempt: u64) -> bool {
        if kind(client) != KIND {
            // Members name their generation, which fences what comes late.
            return true;
        }
        let committer = &mut self.clients.committers[index(client, KIND)];
        committer.heard = committer.heard.max(attempt);
        committer.heard == attempt
    }

    /// A coordinator answers.
    pub fn group_told(
        &mut self,
        client: NodeId,
        attempt: u64,
        result: Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        if kind(client) != KIND {
            return self.member_told(client, attempt, result);
        }
        let at = index(client, KIND);
        let committer = &mut self.clients.committers[at];
        let Some((_, committed, _)) = committer.waiting.filter(|waits| waits.0 == attempt) else {
            return Ok(());
        };
        committer.waiting = None;
        match result {
            Ok(Answer::Commit(topics)) => {
                let codes = topics.iter().flat_map(|(_, partitions)| partitions);
                if codes.into_iter().all(|(_, code)| code.is_none()) {
                    committer.committed = committer.asked;
                    self.met("offset committed");
                }
                Ok(())
            }
            Ok(Answer::Fetch(group)) if group.error_code.is_none() => {
                let found = group.topics.first().and_then(|topic| topic.partitions.first());
                let found = found.map_or(-1, |partition| partition.committed_offset.0);
                let asked = committer.asked;
                self.met("offset found");
                require(found.max(0) >= committed && found <= asked, || {
                    format!("{client} committed {committed}, and {found} is found again")
                })
            }
            _ => {
                self.met("group refused");
                Ok(())
            }
        }
    }
}
