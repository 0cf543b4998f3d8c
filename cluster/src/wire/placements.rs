//! AlterPartitionReassignments (45), ListPartitionReassignments (46) and AssignReplicasToDirs (73).

use milena_protocol::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsPartition, AlterPartitionReassignmentsPartitionResponse,
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    AlterPartitionReassignmentsTopicResponse,
};
use milena_protocol::api::assign_replicas_to_dirs::{
    AssignReplicasToDirsDirectory, AssignReplicasToDirsDirectoryResponse,
    AssignReplicasToDirsPartition, AssignReplicasToDirsPartitionResponse,
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, AssignReplicasToDirsTopic,
    AssignReplicasToDirsTopicResponse,
};
use milena_protocol::api::list_partition_reassignments::{
    ListPartitionReassignmentsPartitionResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, ListPartitionReassignmentsTopicResponse,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, PartitionIndex};

use super::decided::{Decided, checked, outcome, sentence};
use crate::controller::directories::{Placed, PlacedAnswer};
use crate::controller::reassign::{self, Reassignment};
use crate::controller::{Controller, Decision, Refused, Sessions};
use crate::metadata::image::MetadataImage;
use crate::time::Now;

impl Decided for AlterPartitionReassignmentsRequest {
    type Answer = Vec<Result<(), Refused>>;

    fn ask(
        &self,
        _: Now,
        controller: &Controller,
        _: &mut Sessions,
    ) -> Decision<Result<Self::Answer, Refused>> {
        let each = self.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|it| Reassignment {
                topic: topic.name.clone(),
                partition: it.partition_index,
                replicas: it.replicas.clone(),
            })
        });
        let wanted: Vec<Reassignment> = each.collect();
        let Decision { records, answer } =
            controller.reassign(&wanted, self.allow_replication_factor_change);
        Decision { records, answer: Ok(answer) }
    }

    fn tell(&self, answer: Self::Answer) -> AlterPartitionReassignmentsResponse {
        let mut results = answer.iter();
        let mut partition = |it: &AlterPartitionReassignmentsPartition| {
            let (error_code, error_message) =
                results.next().map_or((ErrorCode::UNKNOWN_SERVER_ERROR, None), outcome);
            AlterPartitionReassignmentsPartitionResponse {
                partition_index: it.partition_index,
                error_code,
                error_message,
            }
        };
        let topics = self.topics.iter().map(|topic| AlterPartitionReassignmentsTopicResponse {
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(&mut partition).collect(),
        });
        AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: self.allow_replication_factor_change,
            responses: topics.collect(),
            ..Default::default()
        }
    }

    fn refuse(refused: Refused) -> AlterPartitionReassignmentsResponse {
        AlterPartitionReassignmentsResponse {
            error_code: refused.code,
            error_message: sentence(&refused),
            ..Default::default()
        }
    }
}

/// The moves that go on, as an image has them: nothing needs to be decided.
#[must_use]
pub fn list_moving(
    image: &MetadataImage,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let named: Option<Vec<(Text, Vec<PartitionIndex>)>> = request.topics.as_ref().map(|all| {
        all.iter().map(|topic| (topic.name.clone(), topic.partition_indexes.clone())).collect()
    });
    let mut topics: Vec<ListPartitionReassignmentsTopicResponse> = Vec::new();
    for it in reassign::moving(image, named.as_deref()) {
        let partition = ListPartitionReassignmentsPartitionResponse {
            partition_index: it.partition,
            replicas: it.replicas,
            adding_replicas: it.adding,
            removing_replicas: it.removing,
        };
        match topics.last_mut().filter(|topic| topic.name == it.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(ListPartitionReassignmentsTopicResponse {
                name: it.topic,
                partitions: vec![partition],
            }),
        }
    }
    ListPartitionReassignmentsResponse { topics, ..Default::default() }
}

/// The request of a broker that tells where it has put its replicas.
#[must_use]
pub fn assign_replicas_request(
    broker_id: NodeId,
    broker_epoch: BrokerEpoch,
    placed: &[Placed],
) -> AssignReplicasToDirsRequest {
    let mut sorted = placed.to_vec();
    sorted.sort_by_key(|it| (it.directory, it.topic_id, it.partition));
    let mut directories: Vec<AssignReplicasToDirsDirectory> = Vec::new();
    for it in sorted {
        if directories.last().is_none_or(|last| last.id != it.directory) {
            directories
                .push(AssignReplicasToDirsDirectory { id: it.directory, topics: Vec::new() });
        }
        let Some(directory) = directories.last_mut() else { continue };
        let partition = AssignReplicasToDirsPartition { partition_index: it.partition };
        match directory.topics.last_mut().filter(|topic| topic.topic_id == it.topic_id) {
            Some(topic) => topic.partitions.push(partition),
            None => directory.topics.push(AssignReplicasToDirsTopic {
                topic_id: it.topic_id,
                partitions: vec![partition],
            }),
        }
    }
    AssignReplicasToDirsRequest { broker_id, broker_epoch, directories }
}

/// What became of each replica that was told of.
///
/// # Errors
/// What the controller answers to the request as a whole.
pub fn placed(
    response: &AssignReplicasToDirsResponse,
) -> Result<Vec<(Placed, ErrorCode)>, ErrorCode> {
    let each = response.directories.iter().flat_map(|directory| {
        directory.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|it| {
                let placed = Placed {
                    directory: directory.id,
                    topic_id: topic.topic_id,
                    partition: it.partition_index,
                };
                (placed, it.error_code)
            })
        })
    });
    checked(response.error_code, each.collect())
}

fn placements(request: &AssignReplicasToDirsRequest) -> Vec<Placed> {
    let each = request.directories.iter().flat_map(|directory| {
        directory.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|it| Placed {
                directory: directory.id,
                topic_id: topic.topic_id,
                partition: it.partition_index,
            })
        })
    });
    each.collect()
}

impl Decided for AssignReplicasToDirsRequest {
    type Answer = PlacedAnswer;

    fn ask(
        &self,
        _: Now,
        controller: &Controller,
        _: &mut Sessions,
    ) -> Decision<Result<PlacedAnswer, Refused>> {
        controller.place_replicas(self.broker_id, self.broker_epoch, &placements(self))
    }

    fn tell(&self, answer: PlacedAnswer) -> AssignReplicasToDirsResponse {
        let mut results = answer.iter();
        let mut partition = |it: &AssignReplicasToDirsPartition| {
            let (error_code, _) =
                results.next().map_or((ErrorCode::UNKNOWN_SERVER_ERROR, None), outcome);
            let partition_index = it.partition_index;
            AssignReplicasToDirsPartitionResponse { partition_index, error_code }
        };
        let mut topic = |it: &AssignReplicasToDirsTopic| AssignReplicasToDirsTopicResponse {
            topic_id: it.topic_id,
            partitions: it.partitions.iter().map(&mut partition).collect(),
        };
        let directories = self.directories.iter().map(|it| AssignReplicasToDirsDirectoryResponse {
            id: it.id,
            topics: it.topics.iter().map(&mut topic).collect(),
        });
        AssignReplicasToDirsResponse { directories: directories.collect(), ..Default::default() }
    }

    fn refuse(refused: Refused) -> AssignReplicasToDirsResponse {
        AssignReplicasToDirsResponse { error_code: refused.code, ..Default::default() }
    }
}
