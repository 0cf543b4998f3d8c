//! What the nodes say of the cluster, asked again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_client::ClientError;
use milena_client::connection::{Connection, ConnectionOptions};
use milena_protocol::api::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumRequest, DescribeQuorumTopic,
};
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Uuid};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::plan::{Node, NodeId};

/// How often a node is asked.
const PERIOD: Duration = Duration::from_millis(20);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A partition as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// Who leads it.
    pub leader: Option<NodeId>,
    /// Who has a copy.
    pub replicas: Vec<NodeId>,
    /// Whose copy is in sync.
    pub isr: Vec<NodeId>,
}

/// The cluster as a node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Who leads the metadata quorum.
    pub controller: Option<NodeId>,
    /// The topic's partitions.
    pub partitions: Vec<Partition>,
}

/// What each node said last; one that does not answer says nothing.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    views: Arc<Mutex<BTreeMap<NodeId, View>>>,
}

impl Watch {
    /// Asks each node about a topic, as long as the runtime lives.
    #[must_use]
    pub fn begin(runtime: &Handle, nodes: &[Node], topic: &str) -> Self {
        let watch = Self::default();
        for node in nodes {
            let address = format!("127.0.0.1:{}", node.clients.advertised);
            runtime.spawn(follow(watch.clone(), node.id, address, topic.to_owned()));
        }
        watch
    }

    /// What the nodes say now.
    #[must_use]
    pub fn views(&self) -> BTreeMap<NodeId, View> {
        self.views.lock().clone()
    }

    /// The leader of the quorum whom most of the nodes name, but for those left out.
    #[must_use]
    pub fn controller(&self, except: Option<NodeId>) -> Option<NodeId> {
        let mut named: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (id, view) in &*self.views.lock() {
            if Some(*id) != except
                && let Some(controller) = view.controller
            {
                *named.entry(controller).or_default() += 1;
            }
        }
        named.into_iter().max_by_key(|(_, count)| *count).map(|(id, _)| id)
    }

    /// The partitions that a node leads, as the others say, or itself.
    #[must_use]
    pub fn led_by(&self, id: NodeId) -> Vec<i32> {
        let views = self.views.lock();
        let Some(view) = views.get(&id).or_else(|| views.values().next()) else {
            return Vec::new();
        };
        let led = view.partitions.iter().filter(|partition| partition.leader == Some(id));
        led.map(|partition| partition.index).collect()
    }

    /// The partitions of which a node has a copy and another node is the leader.
    #[must_use]
    pub fn followed_by(&self, id: NodeId) -> Vec<i32> {
        let views = self.views.lock();
        let partitions = views.values().next().map(|view| view.partitions.as_slice());
        let is_copy = |it: &&Partition| it.leader != Some(id) && it.replicas.contains(&id);
        let copies = partitions.unwrap_or_default().iter().filter(is_copy);
        copies.map(|partition| partition.index).collect()
    }

    /// Who leads a partition.
    #[must_use]
    pub fn leader(&self, index: i32) -> Option<NodeId> {
        let views = self.views.lock();
        let partitions = views.values().flat_map(|view| &view.partitions);
        partitions.filter(|partition| partition.index == index).find_map(|it| it.leader)
    }

    /// Whether a node answers, and everybody else who does says that its copies are all in sync.
    #[must_use]
    pub fn is_in_sync(&self, id: NodeId) -> bool {
        let views = self.views.lock();
        let mut others = views.iter().filter(|(other, _)| views.len() == 1 || **other != id);
        let is_in_sync = |view: &View| {
            let mut copies = view.partitions.iter().filter(|it| it.replicas.contains(&id));
            copies.all(|partition| partition.isr.contains(&id))
        };
        views.contains_key(&id) && others.all(|(_, view)| is_in_sync(view))
    }

    /// Whether all of so many nodes answer, agree on who leads what, and every copy is in sync.
    #[must_use]
    pub fn is_whole(&self, nodes: usize) -> bool {
        let views = self.views.lock();
        let is_whole = |view: &View| {
            let is_led = |partition: &Partition| {
                partition.leader.is_some() && partition.isr.len() == partition.replicas.len()
            };
            !view.partitions.is_empty()
                && view.controller.is_some()
                && view.partitions.iter().all(is_led)
        };
        let leaders = |view: &View| -> Vec<Option<NodeId>> {
            view.partitions.iter().map(|partition| partition.leader).collect()
        };
        let mut agreed = views.values().map(|view| (view.controller, leaders(view)));
        let first = agreed.next();
        views.len() == nodes
            && views.values().all(is_whole)
            && agreed.all(|other| Some(other) == first)
    }
}

async fn follow(watch: Watch, id: NodeId, address: String, topic: String) {
    let options = ConnectionOptions {
        client_id: "nemesis".to_owned(),
        connect_timeout: PATIENCE,
        request_timeout: PATIENCE,
        ..Default::default()
    };
    loop {
        if let Ok(connection) = Connection::open(&address, options.clone()).await {
            while let Ok(view) = ask(&connection, &topic).await {
                watch.views.lock().insert(id, view);
                tokio::time::sleep(PERIOD).await;
            }
        }
        watch.views.lock().remove(&id);
        tokio::time::sleep(PERIOD).await;
    }
}

async fn ask(connection: &Connection, topic: &str) -> Result<View, ClientError> {
    let (controller, partitions) =
        tokio::join!(controller(connection), partitions(connection, topic));
    Ok(View { controller: controller?, partitions: partitions? })
}

async fn controller(connection: &Connection) -> Result<Option<NodeId>, ClientError> {
    let partition = DescribeQuorumPartition { partition_index: PartitionIndex(0) };
    let request = DescribeQuorumRequest {
        topics: vec![DescribeQuorumTopic {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![partition],
        }],
    };
    let response = connection.ask(&request).await?;
    let partition = response.topics.first().and_then(|topic| topic.partitions.first());
    let led = partition.filter(|partition| partition.error_code == ErrorCode::NONE);
    Ok(led.and_then(|partition| known(partition.leader_id.0)))
}

async fn partitions(connection: &Connection, topic: &str) -> Result<Vec<Partition>, ClientError> {
    let wanted = MetadataRequestTopic { topic_id: Uuid::ZERO, name: Some(topic.into()) };
    let request = MetadataRequest {
        topics: Some(vec![wanted]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let response = connection.ask(&request).await?;
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let mut partitions: Vec<Partition> = partitions
        .map(|partition| Partition {
            index: partition.partition_index.0,
            leader: known(partition.leader_id.0),
            replicas: partition.replica_nodes.iter().map(|id| NodeId(id.0)).collect(),
            isr: partition.isr_nodes.iter().map(|id| NodeId(id.0)).collect(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Ok(partitions)
}

fn known(id: i32) -> Option<NodeId> {
    (id >= 0).then_some(NodeId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(leader: Option<i32>, isr: &[i32]) -> View {
        let partition = Partition {
            index: 0,
            leader: leader.map(NodeId),
            replicas: vec![NodeId(1), NodeId(2)],
            isr: isr.iter().copied().map(NodeId).collect(),
        };
        View { controller: Some(NodeId(1)), partitions: vec![partition] }
    }

    fn watch(views: &[View]) -> Watch {
        let watch = Watch::default();
        *watch.views.lock() = (1..).map(NodeId).zip(views.iter().cloned()).collect();
        watch
    }

    /// The next fault would come before the last one is healed, and both copies be gone.
    #[test]
    fn a_cluster_is_whole_once_all_agree_and_every_copy_is_in_sync() {
        let good = view(Some(1), &[1, 2]);
        assert!(watch(&[good.clone(), good.clone()]).is_whole(2));
        assert!(!watch(std::slice::from_ref(&good)).is_whole(2));
        for bad in [view(Some(1), &[1]), view(None, &[1, 2]), view(Some(2), &[1, 2])] {
            assert!(!watch(&[good.clone(), bad]).is_whole(2));
        }
        assert!(!watch(&[View::default(), View::default()]).is_whole(2));
    }

    /// A copy that is behind would count as back.
    #[test]
    fn a_node_is_in_sync_once_the_others_say_so() {
        let (with, without) = (view(Some(1), &[1, 2]), view(Some(1), &[1]));
        assert!(watch(&[with.clone(), without.clone()]).is_in_sync(NodeId(2)));
        assert!(!watch(&[without, with]).is_in_sync(NodeId(2)));
        assert!(!watch(&[view(Some(1), &[1, 2])]).is_in_sync(NodeId(2)));
    }

    /// The victim would be the wrong one.
    #[test]
    fn leaders_are_found() {
        let watch = watch(&[view(Some(2), &[1, 2]), view(Some(2), &[1, 2])]);
        assert_eq!((watch.led_by(NodeId(2)), watch.led_by(NodeId(1))), (vec![0], vec![]));
        assert_eq!((watch.followed_by(NodeId(1)), watch.followed_by(NodeId(2))), (vec![0], vec![]));
        assert_eq!((watch.leader(0), watch.leader(1)), (Some(NodeId(2)), None));
        assert_eq!(watch.controller(None), Some(NodeId(1)));
    }
}
