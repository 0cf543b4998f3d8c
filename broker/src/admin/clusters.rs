//! Clusters and brokers.

use axum::Json;
use axum::extract::{Path, State};
use milena_cluster::metadata::image::BrokerImage;
use milena_protocol::ids::NodeId;
use serde_json::{Value, json};

use super::Admin;
use super::error::Failure;

impl Admin {
    /// The address of a path below the cluster.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/v3/clusters/{}{path}", self.local, self.broker.cluster_id)
    }

    /// The name of a resource, as Confluent writes it.
    pub(super) fn name(&self, path: &str) -> String {
        format!("crn:///kafka={}{path}", self.broker.cluster_id)
    }

    /// Checks that a path names this cluster.
    pub(super) fn check_cluster(&self, id: &str) -> Result<(), Failure> {
        if *id == *self.broker.cluster_id.as_str() { Ok(()) } else { Err(Failure::no_cluster(id)) }
    }

    /// A list in Confluent's form.
    pub(super) fn list(&self, kind: &str, path: &str, data: Vec<Value>) -> Json<Value> {
        Json(json!({
            "kind": kind,
            "metadata": { "self": self.url(path), "next": null },
            "data": data,
        }))
    }

    fn cluster(&self) -> Value {
        let controller = self.broker.controller.quorum().leader;
        json!({
            "kind": "KafkaCluster",
            "metadata": { "self": self.url(""), "resource_name": self.name("") },
            "cluster_id": self.broker.cluster_id.as_str(),
            "controller": { "related": self.url(&format!("/brokers/{controller}")) },
            "acls": { "related": self.url("/acls") },
            "brokers": { "related": self.url("/brokers") },
            "broker_configs": { "related": self.url("/broker-configs") },
            "consumer_groups": { "related": self.url("/consumer-groups") },
            "topics": { "related": self.url("/topics") },
            "partition_reassignments": {
                "related": self.url("/topics/-/partitions/-/reassignment"),
            },
        })
    }

    fn broker(&self, broker: &BrokerImage) -> Value {
        let path = format!("/brokers/{}", broker.id);
        let endpoint = broker.endpoints.first();
        json!({
            "kind": "KafkaBroker",
            "metadata": {
                "self": self.url(&path),
                "resource_name": self.name(&format!("/broker={}", broker.id)),
            },
            "cluster_id": self.broker.cluster_id.as_str(),
            "broker_id": broker.id.0,
            "host": endpoint.map(|endpoint| endpoint.host.as_str()),
            "port": endpoint.map(|endpoint| endpoint.port),
            "rack": broker.rack.as_deref(),
            "configs": { "related": self.url(&format!("{path}/configs")) },
            "partition_replicas": { "related": self.url(&format!("{path}/partition-replicas")) },
        })
    }
}

/// `GET /v3/clusters`
pub async fn list(State(admin): State<Admin>) -> Json<Value> {
    let me = format!("http://{}/v3/clusters", admin.local);
    Json(json!({
        "kind": "KafkaClusterList",
        "metadata": { "self": me, "next": null },
        "data": [admin.cluster()],
    }))
}

/// `GET /v3/clusters/{cluster}`
pub async fn one(
    State(admin): State<Admin>,
    Path(cluster): Path<String>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    Ok(Json(admin.cluster()))
}

/// `GET …/brokers`
pub async fn brokers(
    State(admin): State<Admin>,
    Path(cluster): Path<String>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let image = admin.broker.metadata.image_owned();
    let data = image.brokers().map(|broker| admin.broker(broker)).collect();
    Ok(admin.list("KafkaBrokerList", "/brokers", data))
}

/// `GET …/brokers/{broker}`
pub async fn broker(
    State(admin): State<Admin>,
    Path((cluster, id)): Path<(String, i32)>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let image = admin.broker.metadata.image_owned();
    let broker = image.broker(NodeId(id)).ok_or_else(|| {
        let message = format!("there is no broker {id}");
        Failure::new(axum::http::StatusCode::NOT_FOUND, 40404, message)
    })?;
    Ok(Json(admin.broker(broker)))
}
