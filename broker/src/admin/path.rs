//! What stands in a path, and the one extractor that finds it and checks the cluster in it.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::call::Call;
use super::error::Failure;
use crate::broker::Broker;

/// A request to a resource of this node's cluster.
pub struct At<P> {
    call: Call,
    /// What its path names.
    pub path: P,
}

impl<P> Deref for At<P> {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}

impl<P: InCluster + DeserializeOwned + Send> FromRequestParts<Arc<Broker>> for At<P> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, broker: &Arc<Broker>) -> Result<Self, Failure> {
        let call = Call::from_request_parts(parts, broker).await?;
        let found = Path::<P>::from_request_parts(parts, broker).await;
        // `/brokers/x` names no broker, so there is nothing there.
        let Path(path) = found.map_err(|rejection| {
            let text = rejection.body_text();
            Failure::missing(text.strip_prefix("Invalid URL: ").unwrap_or(&text))
        })?;
        if path.cluster_id() != broker.cluster_id.as_str() {
            let id = path.cluster_id();
            let message = format!("there is no cluster {id} here; GET /v3/clusters lists it");
            return Err(Failure::missing(message));
        }
        Ok(Self { call, path })
    }
}

/// A path below a cluster.
pub trait InCluster {
    /// The id that it gives.
    fn cluster_id(&self) -> &str;
}

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Deserialize, IntoParams)]
            #[into_params(parameter_in = Path)]
            pub struct $name {
                /// The cluster's id, as `GET /v3/clusters` has it.
                cluster_id: String,
                $($(#[$field_doc])* pub $field: $kind,)*
            }

            impl InCluster for $name {
                fn cluster_id(&self) -> &str {
                    &self.cluster_id
                }
            }
        )*
    };
}

paths! {
    /// `/clusters/{cluster_id}`
    ClusterPath {}
    /// `…/broker-configs/{name}`
    ClusterConfigPath {
        /// The configuration's name.
        name: String,
    }
    /// `…/brokers/{broker_id}`
    BrokerPath {
        /// The broker's id.
        broker_id: i32,
    }
    /// `…/brokers/{broker_id}/configs/{name}`
    BrokerConfigPath {
        /// The broker's id.
        broker_id: i32,
        /// The configuration's name.
        name: String,
    }
    /// `…/topics/{topic_name}`
    TopicPath {
        /// The topic's name.
        topic_name: String,
    }
    /// `…/consumer-groups/{consumer_group_id}`
    GroupPath {
        /// The group's name.
        consumer_group_id: String,
    }
    /// `…/consumer-groups/{consumer_group_id}/consumers/{consumer_id}`
    ConsumerPath {
        /// The group's name.
        consumer_group_id: String,
        /// The consumer's id.
        consumer_id: String,
    }
    /// `…/consumers/{consumer_id}/assignments/{topic_name}/partitions/{partition_id}`
    AssignmentPath {
        /// The group's name.
        consumer_group_id: String,
        /// The consumer's id.
        consumer_id: String,
        /// The topic's name.
        topic_name: String,
        /// The partition's number, from 0.
        partition_id: i32,
    }
    /// `…/consumer-groups/{consumer_group_id}/offsets/{topic_name}`
    GroupTopicPath {
        /// The group's name.
        consumer_group_id: String,
        /// The topic's name.
        topic_name: String,
    }
    /// `…/consumer-groups/{consumer_group_id}/lags/{topic_name}/partitions/{partition_id}`
    GroupPartitionPath {
        /// The group's name.
        consumer_group_id: String,
        /// The topic's name.
        topic_name: String,
        /// The partition's number, from 0.
        partition_id: i32,
    }
    /// `…/topics/{topic_name}/configs/{name}`
    TopicConfigPath {
        /// The topic's name.
        topic_name: String,
        /// The configuration's name.
        name: String,
    }
    /// `…/topics/{topic_name}/partitions/{partition_id}`
    PartitionPath {
        /// The topic's name.
        topic_name: String,
        /// The partition's number, from 0.
        partition_id: i32,
    }
    /// `…/partitions/{partition_id}/replicas/{broker_id}`
    ReplicaPath {
        /// The topic's name.
        topic_name: String,
        /// The partition's number, from 0.
        partition_id: i32,
        /// The broker that holds the replica.
        broker_id: i32,
    }
}
