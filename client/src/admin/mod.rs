//! Administration: topics, configurations, offsets and the cluster itself.
//!
//! What is asked for several things at once is answered for each: the outer result says whether
//! there was an answer, the inner ones what became of each thing.

mod ask;
mod cluster;
mod configs;
mod groups;
mod members;
mod reassign;
mod records;
mod topics;
mod transactions;
mod written;

pub use crate::offsets::{FoundOffset, OffsetSpec};
pub use ask::{Admin, Each};
pub use cluster::{
    ClusterDescription, DescribedBroker, Listener, LogDir, QuorumReplica, QuorumStatus, ReplicaSize,
};
pub use configs::{ConfigChange, ConfigEntry, ConfigSource, Resource};
pub use groups::{DescribedGroup, GroupMember, ListedGroup, TopicPartition};
pub use reassign::{Move, Reassignment};
pub use topics::{CreatedTopic, NewTopic};
pub use transactions::{
    DescribedTransaction, HangingTransaction, ListedTransaction, PartitionProducer,
    TransactionFilter,
};
