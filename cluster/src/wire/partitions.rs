//! ElectLeaders (43) and AlterPartition (56).

use milena_protocol::api::alter_partition::{
    AlterPartitionBrokerState, AlterPartitionPartition, AlterPartitionPartitionResponse,
    AlterPartitionRequest, AlterPartitionResponse, AlterPartitionTopic,
    AlterPartitionTopicResponse,
};
use milena_protocol::api::elect_leaders::{
    ElectLeadersPartitionResult, ElectLeadersRequest, ElectLeadersResponse, ElectLeadersTopicResult,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, PartitionIndex, Uuid};

use super::decided::{Decided, checked, outcome};
use crate::controller::elections::Elected;
use crate::controller::isr::{AlterPartitionAnswer, Altered, IsrChange};
use crate::controller::{Controller, Decision, Refused, Sessions};
use crate::time::Now;

const NO_EPOCH: BrokerEpoch = BrokerEpoch(-1);
const RECOVERING: i8 = 1;
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// The proposals of a request, in their order.
fn proposals(request: &AlterPartitionRequest) -> Vec<IsrChange> {
    let partitions = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, partition)));
    partitions
        .map(|(topic_id, it)| IsrChange {
            topic_id,
            partition: it.partition_index,
            leader_epoch: it.leader_epoch,
            partition_epoch: it.partition_epoch,
            isr: members(it),
            is_recovering: it.leader_recovery_state == RECOVERING,
        })
        .collect()
}

/// Who shall be in sync. Version 2 tells no epochs; what was not sent may have both.
fn members(partition: &AlterPartitionPartition) -> Vec<(NodeId, Option<BrokerEpoch>)> {
    if partition.new_isr_with_epochs.is_empty() {
        return partition.new_isr.iter().map(|id| (*id, None)).collect();
    }
    let epoch = |it: BrokerEpoch| (it != NO_EPOCH).then_some(it);
    let states = partition.new_isr_with_epochs.iter();
    states.map(|it| (it.broker_id, epoch(it.broker_epoch))).collect()
}

/// The request of a broker that proposes changes to partitions that it leads, good for every
/// version.
#[must_use]
pub fn alter_partition_request(
    broker_id: NodeId,
    broker_epoch: BrokerEpoch,
    changes: &[IsrChange],
) -> AlterPartitionRequest {
    let mut topics: Vec<AlterPartitionTopic> = Vec::new();
    for wanted in changes {
        let partition = AlterPartitionPartition {
            partition_index: wanted.partition,
            leader_epoch: wanted.leader_epoch,
            new_isr: wanted.isr.iter().map(|(id, _)| *id).collect(),
            new_isr_with_epochs: wanted
                .isr
                .iter()
                .map(|(broker_id, epoch)| AlterPartitionBrokerState {
                    broker_id: *broker_id,
                    broker_epoch: epoch.unwrap_or(NO_EPOCH),
                })
                .collect(),
            leader_recovery_state: i8::from(wanted.is_recovering),
            partition_epoch: wanted.partition_epoch,
        };
        match topics.last_mut().filter(|topic| topic.topic_id == wanted.topic_id) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(AlterPartitionTopic {
                topic_id: wanted.topic_id,
                partitions: vec![partition],
            }),
        }
    }
    AlterPartitionRequest { broker_id, broker_epoch, topics }
}

/// What became of a proposal.
pub type AlteredPartition = (Uuid, PartitionIndex, Result<Altered, ErrorCode>);

/// What became of the proposals of a request.
///
/// # Errors
/// What the controller answers to the request as a whole.
pub fn altered(response: &AlterPartitionResponse) -> Result<Vec<AlteredPartition>, ErrorCode> {
    let partitions = response
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, partition)));
    let read = |(topic_id, it): (Uuid, &AlterPartitionPartitionResponse)| {
        let altered = Altered {
            leader: it.leader_id,
            leader_epoch: it.leader_epoch,
            isr: it.isr.clone(),
            leader_recovery_state: it.leader_recovery_state,
            partition_epoch: it.partition_epoch,
        };
        (topic_id, it.partition_index, checked(it.error_code, altered))
    };
    checked(response.error_code, partitions.map(read).collect())
}

impl Decided for AlterPartitionRequest {
    type Answer = AlterPartitionAnswer;

    fn ask(
        &self,
        _: Now,
        controller: &Controller,
        _: &mut Sessions,
    ) -> Decision<Result<AlterPartitionAnswer, Refused>> {
        controller.alter_partitions(self.broker_id, self.broker_epoch, &proposals(self))
    }

    fn tell(&self, answer: AlterPartitionAnswer) -> AlterPartitionResponse {
        let mut results = answer.into_iter();
        let mut partition = |it: &AlterPartitionPartition| {
            let partition_index = it.partition_index;
            match results.next() {
                Some(Ok(altered)) => AlterPartitionPartitionResponse {
                    partition_index,
                    error_code: ErrorCode::NONE,
                    leader_id: altered.leader,
                    leader_epoch: altered.leader_epoch,
                    isr: altered.isr,
                    leader_recovery_state: altered.leader_recovery_state,
                    partition_epoch: altered.partition_epoch,
                },
                refused => AlterPartitionPartitionResponse {
                    partition_index,
                    error_code: refused
                        .and_then(Result::err)
                        .map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |refused| refused.code),
                    ..Default::default()
                },
            }
        };
        let topics = self.topics.iter().map(|topic| AlterPartitionTopicResponse {
            topic_id: topic.topic_id,
            partitions: topic.partitions.iter().map(&mut partition).collect(),
        });
        AlterPartitionResponse { topics: topics.collect(), ..Default::default() }
    }

    fn refuse(refused: Refused) -> AlterPartitionResponse {
        AlterPartitionResponse { error_code: refused.code, ..Default::default() }
    }
}

impl Decided for ElectLeadersRequest {
    type Answer = Vec<Elected>;

    fn ask(
        &self,
        _: Now,
        controller: &Controller,
        _: &mut Sessions,
    ) -> Decision<Result<Vec<Elected>, Refused>> {
        let kind = self.election_type;
        if ![PREFERRED, UNCLEAN].contains(&kind) {
            let message = format!("there is no type {kind} of elections");
            let refused = Refused::new(ErrorCode::INVALID_REQUEST, message);
            return Decision { records: Vec::new(), answer: Err(refused) };
        }
        let named: Option<Vec<(Text, PartitionIndex)>> =
            self.topic_partitions.as_ref().map(|all| {
                let each = all.iter().flat_map(|topic| {
                    topic.partitions.iter().map(|index| (topic.topic.clone(), *index))
                });
                each.collect()
            });
        let Decision { records, answer } =
            controller.elect_leaders(named.as_deref(), kind == UNCLEAN);
        Decision { records, answer: Ok(answer) }
    }

    fn tell(&self, answer: Vec<Elected>) -> ElectLeadersResponse {
        let mut topics: Vec<ElectLeadersTopicResult> = Vec::new();
        for (name, partition_id, result) in answer {
            let (error_code, error_message) = outcome(&result);
            let partition = ElectLeadersPartitionResult { partition_id, error_code, error_message };
            match topics.last_mut().filter(|topic| topic.topic == name) {
                Some(topic) => topic.partition_result.push(partition),
                None => topics.push(ElectLeadersTopicResult {
                    topic: name,
                    partition_result: vec![partition],
                }),
            }
        }
        ElectLeadersResponse { replica_election_results: topics, ..Default::default() }
    }

    fn refuse(refused: Refused) -> ElectLeadersResponse {
        ElectLeadersResponse { error_code: refused.code, ..Default::default() }
    }
}
