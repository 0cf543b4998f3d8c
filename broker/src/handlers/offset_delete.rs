//! OffsetDelete (47), versions 0: forgets offsets of a group (KIP-496).
//!
//! The rules are the coordinator's: `milena_cluster::group`.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// Topics that the group reads keep theirs.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let group = request.group_id.clone();
    let request = Request::DeleteOffsets(request);
    let asked = groups::ask(&broker, &context, Operation::Delete, &group, request);
    asked
        .await
        .unwrap_or_else(|error_code| OffsetDeleteResponse { error_code, ..Default::default() })
}
