//! ElectLeaders (43), versions 0–2: preferred or unclean. A single replica always leads, so on one
//! node no election is ever needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_protocol::api::elect_leaders::{
    ElectLeadersPartitionResult, ElectLeadersRequest, ElectLeadersResponse, ElectLeadersTopicResult,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use super::forward;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

const UNCLEAN: i8 = 1;

/// Elects leaders; null partitions means all that need one.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::Alter, Resource::Cluster) {
        return ElectLeadersResponse {
            error_code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
            ..Default::default()
        };
    }
    let unclean = request.election_type == UNCLEAN;
    // Null asks for all partitions: those that need no election are not mentioned.
    let wanted: Option<Vec<(Text, PartitionIndex)>> = request.topic_partitions.map(|asked| {
        let named = asked.into_iter().flat_map(|topic| {
            let name = topic.topic.detach();
            topic.partitions.into_iter().map(move |index| (name.clone(), index))
        });
        named.collect()
    });
    let decided = broker
        .controller
        .call(move |controller, _| controller.elect_leaders(wanted.as_deref(), unclean))
        .await;
    let answers = match decided {
        Ok(answers) => answers,
        Err(error_code) => return ElectLeadersResponse { error_code, ..Default::default() },
    };
    let mut topics: BTreeMap<Text, Vec<ElectLeadersPartitionResult>> = BTreeMap::new();
    for (topic, partition_id, answer) in answers {
        let refused = answer.err();
        topics.entry(topic).or_default().push(ElectLeadersPartitionResult {
            partition_id,
            error_code: refused.as_ref().map_or(ErrorCode::NONE, |refused| refused.code),
            error_message: refused.map(|refused| refused.message.into()),
        });
    }
    ElectLeadersResponse {
        replica_election_results: topics
            .into_iter()
            .map(|(topic, partition_result)| ElectLeadersTopicResult { topic, partition_result })
            .collect(),
        ..Default::default()
    }
}
