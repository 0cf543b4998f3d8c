//! Access control lists: there is no authorizer to keep them, and that is what every request is
//! told, as Kafka tells it (SECURITY_DISABLED).

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::error::Failure;
use super::path::{At, ClusterPath};

fn no_authorizer() -> Failure {
    let message = Text::from("no authorizer is configured on this broker: everyone may do all");
    Failure::of_wire(ErrorCode::SECURITY_DISABLED, Some(&message))
}

/// Refused: there are no access control lists.
#[utoipa::path(
    get,
    path = "/v3/clusters/{cluster_id}/acls",
    operation_id = "listAcls",
    tag = "ACLs",
    params(ClusterPath),
    responses(Failure)
)]
pub async fn list(_: At<ClusterPath>) -> Failure {
    no_authorizer()
}

/// Refused: there are no access control lists.
#[utoipa::path(
    post,
    path = "/v3/clusters/{cluster_id}/acls",
    operation_id = "createAcl",
    tag = "ACLs",
    params(ClusterPath),
    responses(Failure)
)]
pub async fn create(_: At<ClusterPath>) -> Failure {
    no_authorizer()
}

/// Refused: there are no access control lists.
#[utoipa::path(
    delete,
    path = "/v3/clusters/{cluster_id}/acls",
    operation_id = "deleteAcls",
    tag = "ACLs",
    params(ClusterPath),
    responses(Failure)
)]
pub async fn delete(_: At<ClusterPath>) -> Failure {
    no_authorizer()
}

/// Refused: there are no access control lists.
#[utoipa::path(
    post,
    path = "/v3/clusters/{cluster_id}/acls:batch",
    operation_id = "createAcls",
    tag = "ACLs",
    params(ClusterPath),
    responses(Failure)
)]
pub async fn create_many(_: At<ClusterPath>) -> Failure {
    no_authorizer()
}
