//! Carrying the leaders' proposals of who is in sync to the controller, and its answers back.
//!
//! One request is under way at a time; what is proposed meanwhile goes with the next one. When to
//! propose, and what to make of an answer or of none, is the leaders' to decide.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::replica::Decided;
use milena_protocol::api::alter_partition::{
    AlterPartitionBrokerState, AlterPartitionPartition, AlterPartitionPartitionResponse,
    AlterPartitionRequest, AlterPartitionResponse, AlterPartitionTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::BrokerEpoch;

use super::Replicas;
use super::shared::{Proposed, Shared};

/// Leaders are not looked at more often.
const MIN_TICK: Duration = Duration::from_millis(50);

/// The way to the active controller.
pub trait ControllerChannel: Send + Sync + 'static {
    /// Asks it, and returns its answer; a code where there is none.
    fn alter_partition(
        &self,
        request: AlterPartitionRequest,
    ) -> impl Future<Output = Result<AlterPartitionResponse, ErrorCode>> + Send;
}

/// Lets leaders propose, and carries that to the controller, until the runtime ends.
pub async fn run<C: ControllerChannel>(replicas: Arc<Replicas>, controller: Arc<C>) {
    tokio::join!(carry(&replicas, &*controller), keep_time(&replicas));
}

async fn carry<C: ControllerChannel>(replicas: &Replicas, controller: &C) {
    let shared = replicas.shared();
    loop {
        let proposals = shared.proposals().await;
        let broker_epoch = shared.broker_epoch().await;
        let request = request(shared, broker_epoch, &proposals);
        let answer = controller.alter_partition(request).await;
        if let Err(code) = &answer {
            tracing::debug!(%code, proposals = proposals.len(), "no answer of the controller");
        }
        for proposed in &proposals {
            tell(replicas, proposed, verdict(proposed, &answer));
        }
        // Some of them may want to try again after a while.
        shared.retry();
    }
}

/// Lets leaders look at the clock: a follower that says nothing lags.
async fn keep_time(replicas: &Replicas) {
    let shared = replicas.shared();
    loop {
        let now = tokio::time::Instant::now();
        let mut next = now + replicas.max_lag() / 2;
        for partition in replicas.all().iter().filter(|partition| partition.is_leading()) {
            if let Some(at) = partition.tick() {
                next = next.min(shared.clock().at(at));
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(next.max(now + MIN_TICK)) => {}
            () = shared.retried() => {}
        }
    }
}

fn request(shared: &Shared, epoch: BrokerEpoch, proposals: &[Proposed]) -> AlterPartitionRequest {
    let mut sorted: Vec<&Proposed> = proposals.iter().collect();
    sorted.sort_by_key(|proposed| (proposed.topic_id, proposed.index));
    let mut topics: Vec<AlterPartitionTopic> = Vec::new();
    for proposed in sorted {
        let proposal = &proposed.proposal;
        let isr = proposal.isr.iter().map(|(broker_id, epoch)| AlterPartitionBrokerState {
            broker_id: *broker_id,
            broker_epoch: epoch.unwrap_or(BrokerEpoch(-1)),
        });
        let partition = AlterPartitionPartition {
            partition_index: proposed.index,
            leader_epoch: proposal.id.leader_epoch,
            new_isr_with_epochs: isr.collect(),
            leader_recovery_state: i8::from(proposal.is_recovering),
            partition_epoch: proposal.partition_epoch,
            ..Default::default()
        };
        match topics.last_mut() {
            Some(last) if last.topic_id == proposed.topic_id => last.partitions.push(partition),
            _ => topics.push(AlterPartitionTopic {
                topic_id: proposed.topic_id,
                partitions: vec![partition],
            }),
        }
    }
    AlterPartitionRequest { broker_id: shared.node(), broker_epoch: epoch, topics }
}

fn verdict(
    proposed: &Proposed,
    answer: &Result<AlterPartitionResponse, ErrorCode>,
) -> Result<Decided, ErrorCode> {
    let response = answer.as_ref().map_err(|code| *code)?;
    if !response.error_code.is_none() {
        return Err(response.error_code);
    }
    let topics = response.topics.iter().filter(|topic| topic.topic_id == proposed.topic_id);
    let mut partitions = topics.flat_map(|topic| &topic.partitions);
    let found = partitions.find(|partition| partition.partition_index == proposed.index);
    match found {
        Some(found) if found.error_code.is_none() => Ok(decided(found)),
        Some(found) => Err(found.error_code),
        None => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

fn decided(answered: &AlterPartitionPartitionResponse) -> Decided {
    Decided {
        leader_epoch: answered.leader_epoch,
        partition_epoch: answered.partition_epoch,
        isr: answered.isr.clone(),
        is_recovering: answered.leader_recovery_state != 0,
    }
}

fn tell(replicas: &Replicas, proposed: &Proposed, verdict: Result<Decided, ErrorCode>) {
    // One that is gone needs no answer.
    let Ok(partition) = replicas.hosting(&proposed.topic_id, proposed.index) else { return };
    if let Err(code) = &verdict {
        tracing::debug!(?partition, %code, "who shall be in sync was refused");
        replicas.shared().count_failed_isr_change();
    }
    partition.answered(proposed.proposal.id, verdict);
}
