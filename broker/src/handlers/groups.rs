//! What the handlers of groups share: finding the coordinator, and asking it.

use milena_cluster::group::{Answer, Caller, Request};
use milena_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::entropy::new_uuid;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Who asks, as the coordinator wants to know it.
#[must_use]
pub fn caller(context: &Context) -> Caller {
    Caller {
        client_id: context.client_id.clone(),
        host: format!("/{}", context.peer.remote.ip().to_canonical()).into(),
        version: context.version,
        fresh_id: new_uuid(),
    }
}

/// Asks the coordinator of a group for the answer that belongs to the request.
///
/// # Errors
/// GROUP_AUTHORIZATION_FAILED, or why the coordinator does not answer.
pub async fn ask<T: TryFrom<Answer, Error = Answer>>(
    broker: &Broker,
    context: &Context,
    operation: Operation,
    group: &str,
    request: Request,
) -> Result<T, ErrorCode> {
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, operation, Resource::Group(group)) {
        return Err(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    }
    let coordinator = broker.groups.of_key(group).await?;
    let answer = coordinator.ask(request).await?;
    Ok(T::try_from(answer).expect("a coordinator answers what it was asked"))
}
