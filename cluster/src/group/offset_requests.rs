//! Committing offsets, asking for them, and forgetting them.

use milena_protocol::api::offset_commit::OffsetCommitRequest;
use milena_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use milena_protocol::api::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
};
use milena_protocol::api::txn_offset_commit::TxnOffsetCommitRequest;
use milena_protocol::codec::Text;
use milena_protocol::coordinator_record::offset::{OffsetCommitKey, OffsetCommitValue};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp, Uuid};

use super::classic::Committer;
use super::consumer;
use super::coordinator::{Coordinator, Outputs};
use super::held::Group;
use super::offsets::{Committed, Place};
use super::record;
use super::request::{Answer, Caller, CommitAnswer};
use crate::coordinator::{Append, OnFailure, Output, Producer, Record, Ticket};
use crate::time::Now;

/// From this version on a group that is not there has an error of its own.
const NAMES_MISSING_GROUPS: i16 = 9;

/// What one partition is to be committed.
struct Commit {
    partition: PartitionIndex,
    offset: Offset,
    leader_epoch: LeaderEpoch,
    metadata: Text,
}

/// A commit, whether in a transaction or not.
struct Commits {
    group: Text,
    topics: Vec<(Text, Uuid, Vec<Commit>)>,
    expires_at: Timestamp,
    transaction: Option<Producer>,
}

impl Coordinator {
    pub(super) fn commit(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: &Caller,
        request: OffsetCommitRequest,
        outputs: &mut Outputs,
    ) {
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            generation: request.generation_id_or_member_epoch,
            in_transaction: false,
        };
        let admitted = self.admit_commit(now, &request.group_id, committer, caller.version);
        let expires_at = match request.retention_time_ms {
            default if default < 0 => Timestamp::NONE,
            retention => Timestamp(now.wall.0.saturating_add(retention)),
        };
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|partition| Commit {
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.unwrap_or_default(),
            });
            (topic.name, topic.topic_id, partitions.collect())
        });
        let commits = Commits {
            group: request.group_id,
            topics: topics.collect(),
            expires_at,
            transaction: None,
        };
        self.store(now, ticket, commits, committer, admitted, outputs);
    }

    pub(super) fn commit_in_transaction(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: TxnOffsetCommitRequest,
        topic_ids: Vec<Uuid>,
        outputs: &mut Outputs,
    ) {
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            generation: request.generation_id,
            in_transaction: true,
        };
        let admitted = self.admit_commit(now, &request.group_id, committer, 0);
        assert_eq!(request.topics.len(), topic_ids.len(), "one id for each topic");
        let topics = request.topics.into_iter().zip(topic_ids).map(|(topic, topic_id)| {
            let partitions = topic.partitions.into_iter().map(|partition| Commit {
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.unwrap_or_default(),
            });
            (topic.name, topic_id, partitions.collect())
        });
        let commits = Commits {
            group: request.group_id,
            topics: topics.collect(),
            expires_at: Timestamp::NONE,
            transaction: Some(Producer { id: request.producer_id, epoch: request.producer_epoch }),
        };
        self.store(now, ticket, commits, committer, admitted, outputs);
    }

    /// Whether this one may commit for a partition: in a consumer group a member of an older epoch
    /// may for what it has had since.
    fn may_commit_of(
        &self,
        group: &Text,
        committer: &Committer<'_>,
        topic_id: Uuid,
        partition: PartitionIndex,
    ) -> Result<(), ErrorCode> {
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => {
                let committer = as_of_consumers(committer, i16::MAX);
                group.check_commit_of(&committer, topic_id, partition)
            }
            _ => Ok(()),
        }
    }

    /// Whether this one may commit for the group. A group that is not there may be committed to by
    /// whoever is no member: so do consumers that assign themselves.
    fn admit_commit(
        &mut self,
        now: Now,
        group: &Text,
        committer: Committer<'_>,
        version: i16,
    ) -> Result<(), ErrorCode> {
        if group.is_empty() && committer.generation >= 0 {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        if let Some(Group::Consumer(group)) = self.groups.get(group) {
            let committer = as_of_consumers(&committer, version);
            return group.check_commit(&committer).map_err(|refused| refused.code);
        }
        let generation = committer.generation;
        match self.with_classic(group, |group| group.admit_commit(now, committer)) {
            Some(admitted) => admitted,
            None if generation < 0 => Ok(()),
            None if version >= NAMES_MISSING_GROUPS => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            None => Err(ErrorCode::ILLEGAL_GENERATION),
        }
    }

    fn store(
        &mut self,
        now: Now,
        ticket: Ticket,
        commits: Commits,
        committer: Committer<'_>,
        admitted: Result<(), ErrorCode>,
        outputs: &mut Outputs,
    ) {
        let mut records = Vec::new();
        let mut answers: CommitAnswer = Vec::new();
        for (topic, topic_id, partitions) in &commits.topics {
            let decide = |commit: &Commit| {
                let allowed = admitted.and_then(|()| {
                    self.may_commit_of(&commits.group, &committer, *topic_id, commit.partition)
                });
                let record =
                    allowed.and_then(|()| self.stored(now, &commits, (topic, *topic_id), commit));
                let code = record.map(|record| records.push(record)).err();
                (commit.partition, code.unwrap_or(ErrorCode::NONE))
            };
            answers.push((topic.clone(), partitions.iter().map(decide).collect()));
        }
        if !records.is_empty() {
            let (transaction, on_failure) = (commits.transaction, OnFailure::Refuse);
            outputs.push(Output::Append(Append { records, transaction, on_failure }));
        }
        outputs.push(Output::Answer(ticket, Answer::Commit(answers)));
    }

    fn stored(
        &self,
        now: Now,
        commits: &Commits,
        (topic, topic_id): (&Text, Uuid),
        commit: &Commit,
    ) -> Result<Record, ErrorCode> {
        if commit.metadata.len() > self.settings.offset_metadata_max_bytes {
            return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
        }
        let key = OffsetCommitKey {
            group: commits.group.clone(),
            topic: topic.clone(),
            partition: commit.partition,
        };
        let value = OffsetCommitValue {
            offset: commit.offset,
            leader_epoch: commit.leader_epoch,
            metadata: commit.metadata.clone(),
            commit_timestamp: now.wall,
            expire_timestamp: commits.expires_at,
            topic_id,
        };
        // Names came in requests with the same bounds, so this does not happen.
        record::offset(key, &value).map_err(|_| ErrorCode::INVALID_REQUEST)
    }

    pub(super) fn fetch(
        &self,
        request: OffsetFetchRequestGroup,
        waits_for_transactions: bool,
    ) -> OffsetFetchResponseGroup {
        let group = request.group_id;
        if let Some(Group::Consumer(known)) = self.groups.get(&group)
            && let Err(error_code) =
                known.check_fetch(request.member_id.as_deref(), request.member_epoch)
        {
            return OffsetFetchResponseGroup { group_id: group, error_code, ..Default::default() };
        }
        let unstable = if waits_for_transactions {
            self.offsets.undecided_places(&group)
        } else {
            Default::default()
        };
        let answer = |place: &Place, committed: Option<&Committed>| {
            if unstable.contains(place) {
                return partition(place.1, None, ErrorCode::UNSTABLE_OFFSET_COMMIT);
            }
            partition(place.1, committed, ErrorCode::NONE)
        };
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        match request.topics {
            Some(asked) => topics.extend(asked.into_iter().map(|topic| {
                let find = |index: &PartitionIndex| {
                    let place = (topic.name.clone(), *index);
                    let committed = self.offsets.get(&group, &place);
                    answer(&place, committed.filter(|known| is_of(known, topic.topic_id)))
                };
                OffsetFetchResponseTopics {
                    partitions: topic.partition_indexes.iter().map(find).collect(),
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                }
            })),
            None => {
                for (place, committed) in self.offsets.of_group(&group) {
                    let named = self.topics.topic(&place.0);
                    if named.is_some_and(|topic| !is_of(committed, topic.id())) {
                        continue;
                    }
                    if topics.last().is_none_or(|last| last.name != place.0) {
                        let name = place.0.clone();
                        topics.push(OffsetFetchResponseTopics { name, ..Default::default() });
                    }
                    if let Some(last) = topics.last_mut() {
                        last.partitions.push(answer(place, Some(committed)));
                    }
                }
            }
        }
        OffsetFetchResponseGroup { group_id: group, topics, error_code: ErrorCode::NONE }
    }

    pub(super) fn delete_offsets(
        &mut self,
        ticket: Ticket,
        request: OffsetDeleteRequest,
        outputs: &mut Outputs,
    ) {
        let response = match self.check_offset_delete(&request.group_id) {
            Err(error_code) => OffsetDeleteResponse { error_code, ..Default::default() },
            Ok(()) => self.delete_each_offset(request, outputs),
        };
        outputs.push(Output::Answer(ticket, Answer::DeleteOffsets(response)));
    }

    fn check_offset_delete(&self, id: &Text) -> Result<(), ErrorCode> {
        match self.groups.get(id) {
            Some(Group::Classic(group)) if !group.is_deserted() && !group.is_of_consumers() => {
                Err(ErrorCode::NON_EMPTY_GROUP)
            }
            Some(_) => Ok(()),
            None if self.offsets.has_any(id) => Ok(()),
            None => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        }
    }

    fn delete_each_offset(
        &self,
        request: OffsetDeleteRequest,
        outputs: &mut Outputs,
    ) -> OffsetDeleteResponse {
        let id = request.group_id;
        let mut records = Vec::new();
        let topics = request.topics.into_iter().map(|topic| {
            let group = self.groups.get(&id).filter(|group| !group.is_deserted());
            let is_read = group.and_then(|group| group.subscribes(&topic.name)).unwrap_or(false);
            let error_code =
                if is_read { ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC } else { ErrorCode::NONE };
            let partitions = topic.partitions.iter().map(|asked| {
                let place = (topic.name.clone(), asked.partition_index);
                if !is_read && self.offsets.get(&id, &place).is_some() {
                    records.extend(record::no_offset(&id, &place.0, place.1).ok());
                }
                OffsetDeleteResponsePartition { partition_index: place.1, error_code }
            });
            let partitions = partitions.collect();
            OffsetDeleteResponseTopic { name: topic.name, partitions }
        });
        let topics = topics.collect();
        if !records.is_empty() {
            let on_failure = OnFailure::Refuse;
            outputs.push(Output::Append(Append { records, transaction: None, on_failure }));
        }
        OffsetDeleteResponse { topics, ..Default::default() }
    }
}

fn as_of_consumers<'a>(committer: &Committer<'a>, version: i16) -> consumer::Committer<'a> {
    consumer::Committer {
        member_id: committer.member_id,
        instance_id: committer.instance_id.map(|id| &**id),
        epoch: committer.generation,
        in_transaction: committer.in_transaction,
        version,
    }
}

/// Whether an offset was committed for this very topic, as far as both ids are known.
fn is_of(committed: &Committed, topic_id: Uuid) -> bool {
    let known = committed.value.topic_id;
    known == topic_id || known == Uuid::ZERO || topic_id == Uuid::ZERO
}

fn partition(
    partition_index: PartitionIndex,
    committed: Option<&Committed>,
    error_code: ErrorCode,
) -> OffsetFetchResponsePartitions {
    let value = committed.map(|committed| &committed.value);
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: value.map_or(Offset::NONE, |value| value.offset),
        committed_leader_epoch: value.map_or(LeaderEpoch::NONE, |value| value.leader_epoch),
        metadata: Some(value.map(|value| value.metadata.clone()).unwrap_or_default()),
        error_code,
    }
}
