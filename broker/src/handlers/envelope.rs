//! Envelope (58), version 0: a client's request that another broker passes on (KIP-590).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use milena_protocol::api::envelope::{EnvelopeRequest, EnvelopeResponse};
use milena_protocol::error_code::ErrorCode;

use super::dispatch::{self, Begun};
use super::served;
use crate::broker::Broker;
use crate::request::{Answer, Context, Peer};
use crate::security::{Operation, Principal, Resource};

/// Bytes of a frame's length.
const LENGTH: usize = 4;

/// Carries out what is inside as if its client had come here, if this controller is active.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: EnvelopeRequest,
) -> EnvelopeResponse {
    match open(broker, &context, request).await {
        Ok(data) => EnvelopeResponse { response_data: Some(data), error_code: ErrorCode::NONE },
        Err(error_code) => EnvelopeResponse { response_data: None, error_code },
    }
}

async fn open(
    broker: Arc<Broker>,
    context: &Context,
    request: EnvelopeRequest,
) -> Result<Bytes, ErrorCode> {
    let sender = &context.peer.principal;
    if !broker.authorizer.allows(sender, Operation::ClusterAction, Resource::Cluster) {
        return Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    if !broker.controller.is_active() {
        return Err(ErrorCode::NOT_CONTROLLER);
    }
    let principal = request.request_principal.as_ref().and_then(Principal::from_bytes);
    let peer = Peer {
        principal: principal.ok_or(ErrorCode::PRINCIPAL_DESERIALIZATION_FAILURE)?,
        remote: SocketAddr::new(address(&request.client_host_address)?, 0),
        is_forwarded: true,
        ..(*context.peer).clone()
    };
    let opened = dispatch::open(&Arc::new(peer), request.request_data)
        .map_err(|_| ErrorCode::UNSUPPORTED_VERSION)?;
    if !served::is_forwarded(opened.key) {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    let answer = match dispatch::begin(&broker, opened) {
        Ok(Begun::Done(answer)) => answer,
        Ok(Begun::Produce(later) | Begun::Other(later)) => later.await,
        Err(_) => return Err(ErrorCode::INVALID_REQUEST),
    };
    match answer {
        Answer::Send(chunks) => Ok(without_length(chunks)),
        Answer::Nothing | Answer::Close(_) => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

/// A frame in one piece, and without its length.
fn without_length(chunks: Vec<Bytes>) -> Bytes {
    let mut frame: Bytes = match <[Bytes; 1]>::try_from(chunks) {
        Ok([whole]) => whole,
        Err(pieces) => pieces.concat().into(),
    };
    frame.advance(LENGTH.min(frame.len()));
    frame
}

fn address(bytes: &[u8]) -> Result<IpAddr, ErrorCode> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(bytes).map_err(|_| ErrorCode::INVALID_REQUEST)?;
    Ok(Ipv6Addr::from(octets).into())
}
