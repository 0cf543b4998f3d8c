//! An incremental fetch session as the one who fetches has it (KIP-227): only what is new is said.

use std::collections::BTreeMap;

use milena_protocol::api::fetch::{
    FetchForgottenTopic, FetchPartition, FetchRequest, FetchResponse, FetchTopic,
};
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::super::role::Ask;
use super::lanes::Key;

/// What all that is asked of a leader has been so far.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    /// Of the next request; 0 begins a session.
    epoch: i32,
    said: BTreeMap<Key, Ask>,
}

impl Session {
    /// Fills in what is asked, as the next request of the session.
    pub(super) fn ask(
        &mut self,
        asks: &BTreeMap<Key, Ask>,
        max_bytes: i32,
        request: &mut FetchRequest,
    ) {
        if self.epoch == 0 {
            self.said.clear();
        }
        request.session_id = self.id;
        request.session_epoch = self.epoch;
        let is_gone = |key: &&Key| !asks.contains_key(*key);
        for (topic_id, index) in self.said.keys().filter(is_gone).copied() {
            forget(&mut request.forgotten_topics_data, topic_id, index);
        }
        self.said.retain(|key, _| asks.contains_key(key));
        for (key, ask) in asks {
            if self.said.get(key) != Some(ask) {
                say(&mut request.topics, *key, ask, max_bytes);
                self.said.insert(*key, *ask);
            }
        }
    }

    /// What was asked of a partition in this session.
    pub(super) fn asked(&self, key: &Key) -> Option<&Ask> {
        self.said.get(key)
    }

    /// The leader answered; whether it has the session.
    pub(super) fn answered(&mut self, response: &FetchResponse) -> bool {
        if !response.error_code.is_none() {
            self.end();
            return false;
        }
        self.id = response.session_id;
        self.epoch = match (self.id, self.epoch) {
            (0, _) => 0,
            (_, i32::MAX) => 1,
            (_, epoch) => epoch + 1,
        };
        true
    }

    /// The leader may have forgotten it: begin anew.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}

fn say(topics: &mut Vec<FetchTopic>, (topic_id, index): Key, ask: &Ask, max_bytes: i32) {
    let partition = FetchPartition {
        partition: index,
        current_leader_epoch: ask.leadership.epoch,
        fetch_offset: ask.fetch_offset,
        last_fetched_epoch: ask.last_epoch,
        log_start_offset: ask.log_start_offset,
        partition_max_bytes: max_bytes,
        high_watermark: ask.high_watermark,
        ..Default::default()
    };
    match topics.last_mut() {
        Some(last) if last.topic_id == topic_id => last.partitions.push(partition),
        _ => {
            topics.push(FetchTopic { topic_id, partitions: vec![partition], ..Default::default() })
        }
    }
}

fn forget(topics: &mut Vec<FetchForgottenTopic>, topic_id: Uuid, index: PartitionIndex) {
    match topics.last_mut() {
        Some(last) if last.topic_id == topic_id => last.partitions.push(index),
        _ => topics.push(FetchForgottenTopic {
            topic_id,
            partitions: vec![index],
            ..Default::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use milena_cluster::replica::follower::Leadership;
    use milena_protocol::error_code::ErrorCode;
    use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

    use super::*;

    fn asks(offsets: &[(i32, i64)]) -> BTreeMap<Key, Ask> {
        let ask = |offset| Ask {
            leadership: Leadership { leader: NodeId(1), epoch: LeaderEpoch(0) },
            fetch_offset: Offset(offset),
            last_epoch: LeaderEpoch(0),
            log_start_offset: Offset(0),
            high_watermark: Offset(0),
        };
        let key = |index| (Uuid::from_u128(7), PartitionIndex(index));
        offsets.iter().map(|(index, offset)| (key(*index), ask(*offset))).collect()
    }

    fn next(session: &mut Session, offsets: &[(i32, i64)]) -> (i32, Vec<i32>, Vec<i32>) {
        let mut request = FetchRequest::default();
        session.ask(&asks(offsets), 100, &mut request);
        let said = request.topics.iter().flat_map(|topic| &topic.partitions);
        let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| &topic.partitions);
        (
            request.session_epoch,
            said.map(|partition| partition.partition.0).collect(),
            forgotten.map(|index| index.0).collect(),
        )
    }

    /// Requests would grow with the partitions and not with what is new, or leave something out.
    #[test]
    fn a_request_says_what_is_new() {
        let mut session = Session::default();
        assert_eq!(next(&mut session, &[(0, 5), (1, 5)]), (0, vec![0, 1], vec![]));
        let answer = FetchResponse { session_id: 9, ..Default::default() };
        assert!(session.answered(&answer));
        assert_eq!(next(&mut session, &[(0, 5), (1, 8)]), (1, vec![1], vec![]));
        assert!(session.answered(&answer));
        assert_eq!(next(&mut session, &[(1, 8)]), (2, vec![], vec![0]));
        let unknown = ErrorCode::FETCH_SESSION_ID_NOT_FOUND;
        assert!(!session.answered(&FetchResponse { error_code: unknown, ..Default::default() }));
        assert_eq!(next(&mut session, &[(1, 8)]), (0, vec![1], vec![]));
    }

    /// A leader that has no room for a session would be asked for one that it does not know.
    #[test]
    fn without_a_session_everything_is_said() {
        let mut session = Session::default();
        for _ in 0..2 {
            assert_eq!(next(&mut session, &[(0, 5)]), (0, vec![0], vec![]));
            assert!(session.answered(&FetchResponse::default()));
        }
    }
}
