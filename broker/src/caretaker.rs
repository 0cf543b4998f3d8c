//! The active controller's eye on processes that end: whose connection broke and refuses a new one
//! is fenced at once, and its silence not waited for.
//!
//! A refusal says that the machine is there and that nobody listens, so the process is gone. All
//! else, such as a machine that does not answer, may be the network, and has its session.

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::controller::Decision;
use milena_cluster::metadata::image::BrokerImage;
use milena_protocol::ids::{BrokerEpoch, NodeId};

use crate::broker::Broker;
use crate::config::HostPort;
use crate::drivers::controller::Authority;
use crate::network::gone::is_refused;

/// How often a broker whose connection broke is tried: a process that ends does not close all its
/// sockets at the same moment.
const ATTEMPTS: usize = 5;
/// The rest between two attempts.
const REST: Duration = Duration::from_millis(20);
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks after all brokers whenever this controller becomes active: the one before it may have
/// died together with its broker. Ends with the runtime.
pub async fn take_over(broker: Arc<Broker>) {
    let mut view = broker.controller.watch();
    while view.wait_for(|view| view.is_leading).await.is_ok() {
        for known in broker.metadata.image_owned().brokers().filter(|known| !known.fenced) {
            if known.id != broker.node_id {
                tokio::spawn(look_after(broker.clone(), known.id, known.epoch));
            }
        }
        if view.wait_for(|view| !view.is_leading).await.is_err() {
            return;
        }
    }
}

/// Looks whether a broker whose connection broke is still there.
pub async fn look_after(broker: Arc<Broker>, node: NodeId, epoch: BrokerEpoch) {
    let image = broker.metadata.image_owned();
    let same = |known: &&BrokerImage| known.epoch == epoch && !known.fenced;
    let Some(known) = image.broker(node).filter(same) else { return };
    for _ in 0..ATTEMPTS {
        if !broker.controller.is_active() {
            return;
        }
        if is_gone(known).await {
            let expire = move |Authority { controller, sessions, .. }: Authority<'_>| {
                let same = |known: &&BrokerImage| known.epoch == epoch;
                let is_same = controller.image().broker(node).filter(same).is_some();
                if is_same {
                    sessions.expire(node);
                }
                Decision { records: Vec::new(), answer: is_same }
            };
            if let Ok(true) = broker.controller.call_with(expire).await {
                tracing::warn!(broker = node.0, "its process has ended: it is fenced");
            }
            return;
        }
        tokio::time::sleep(REST).await;
    }
}

/// Whether nobody listens any more at any of a broker's addresses.
async fn is_gone(known: &BrokerImage) -> bool {
    for endpoint in &known.endpoints {
        let address = HostPort { host: endpoint.host.to_string(), port: endpoint.port };
        if !is_refused(&address.to_string(), PATIENCE).await {
            return false;
        }
    }
    !known.endpoints.is_empty()
}
