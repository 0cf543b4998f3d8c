//! How well the cluster is, as `milena cluster health` has it.

use axum::Json;
use milena_client::metadata::host_and_port;
use milena_cluster::configs::Resolver;

use super::call::Call;
use super::error::Failure;
use super::path::{At, ClusterPath};
use crate::diagnosis::{Diagnosis, Examination, Fenced, Standing};
use crate::security::{Operation, Resource};

impl Call {
    /// The brokers that are fenced, where Kafka clients would reach them.
    async fn fenced(&self) -> Result<Vec<Fenced>, Failure> {
        let brokers = self.registered().await?;
        let fenced = brokers.into_iter().filter(|broker| broker.is_fenced);
        let fenced = fenced.map(|broker| Fenced {
            node_id: broker.broker_id.0,
            address: host_and_port(&broker.host, broker.port),
        });
        Ok(fenced.collect())
    }

    /// Looks at all partitions that this node knows of. Topics that the caller may not know of are
    /// not named.
    fn examine(&self) -> Examination {
        let image = self.broker.metadata.image_owned();
        let static_values = self.broker.config.static_values();
        let resolver = Resolver { node: self.broker.node_id, static_values, image: &image };
        let mut examination = Examination::default();
        for topic in image.topics() {
            let may_know = self.check(Operation::Describe, Resource::Topic(topic.name())).is_ok();
            let name = may_know.then_some(&**topic.name());
            let min_in_sync = resolver.topic_number(topic.name(), "min.insync.replicas");
            let min_in_sync = usize::try_from(min_in_sync).unwrap_or(1);
            for (index, partition) in topic.partitions() {
                let standing = Standing::of(partition, min_in_sync);
                examination.partition(name, index, &standing);
            }
        }
        examination
    }
}

/// What is wrong with the cluster, and what to do about it.
///
/// Any node tells, as far as it knows: one that finds no leader of the metadata quorum within five
/// seconds says so, and tells the rest as it last heard.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/health", operation_id = "getClusterHealth",
    tag = "Clusters", params(ClusterPath),
    responses((status = 200, description = "Well or not.", body = Diagnosis), Failure))]
pub async fn health(at: At<ClusterPath>) -> Result<Json<Diagnosis>, Failure> {
    at.check(Operation::Describe, Resource::Cluster)?;
    let fenced = at.fenced().await?;
    // Whoever is asked may find nobody that leads.
    let quorum = at.quorum_status().await.ok();
    Ok(Json(at.examine().diagnose(&fenced, quorum.as_ref())))
}
