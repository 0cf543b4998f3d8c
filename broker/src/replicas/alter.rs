//! Carrying the leaders' proposals of who is in sync to the controller, and its answers back.
//!
//! One request is under way at a time; what is proposed meanwhile goes with the next one. When to
//! propose, and what to make of an answer or of none, is the leaders' to decide.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::controller::isr::{Altered, IsrChange};
use milena_cluster::replica::Decided;
use milena_cluster::wire::{alter_partition_request, altered};
use milena_protocol::api::alter_partition::{AlterPartitionRequest, AlterPartitionResponse};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, PartitionIndex, Uuid};

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
        let answer = answer.and_then(|response| answers(&response));
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
        milena_client::select! {
            () = tokio::time::sleep_until(next.max(now + MIN_TICK)) => {}
            () = shared.retried() => {}
        }
    }
}

fn request(shared: &Shared, epoch: BrokerEpoch, proposals: &[Proposed]) -> AlterPartitionRequest {
    let mut changes: Vec<IsrChange> = proposals.iter().map(change).collect();
    changes.sort_by_key(|change| (change.topic_id, change.partition));
    alter_partition_request(shared.node(), epoch, &changes)
}

fn change(proposed: &Proposed) -> IsrChange {
    let Proposed { topic_id, index, proposal } = proposed;
    IsrChange {
        topic_id: *topic_id,
        partition: *index,
        leader_epoch: proposal.id.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        isr: proposal.isr.clone(),
        is_recovering: proposal.is_recovering,
    }
}

/// What the controller answers, by partition: a broker that comes back proposes for all at once.
type Answers = BTreeMap<(Uuid, PartitionIndex), Result<Altered, ErrorCode>>;

fn answers(response: &AlterPartitionResponse) -> Result<Answers, ErrorCode> {
    let by_partition = |(topic_id, index, outcome)| ((topic_id, index), outcome);
    Ok(altered(response)?.into_iter().map(by_partition).collect())
}

/// What became of one proposal.
fn verdict(proposed: &Proposed, answer: &Result<Answers, ErrorCode>) -> Result<Decided, ErrorCode> {
    let answered = answer.as_ref().map_err(|code| *code)?;
    let found = answered.get(&(proposed.topic_id, proposed.index));
    let found = found.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
    let altered = found.as_ref().map_err(|code| *code)?;
    Ok(Decided {
        leader_epoch: altered.leader_epoch,
        partition_epoch: altered.partition_epoch,
        isr: altered.isr.clone(),
        is_recovering: altered.leader_recovery_state != 0,
    })
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
