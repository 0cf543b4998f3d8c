//! What only the active controller decides goes there from whichever broker it came to, with the
//! principal of who asked (KIP-590).

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milena_protocol::api::envelope::EnvelopeRequest;
use milena_protocol::api::header::{RequestHeader, ResponseHeader};
use milena_protocol::api::{Request, request_header_version, response_header_version};
use milena_protocol::codec::{Reader, Writer};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::message::Message;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::request::Context;

/// How long a request looks for an active controller.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets the active controller decide: here, where that is this node's, else by asking it.
pub async fn at_the_controller<R, F>(
    broker: Arc<Broker>,
    context: Context,
    request: R,
    decide: impl FnOnce(Arc<Broker>, Context, R) -> F,
) -> R::Response
where
    R: Request,
    F: Future<Output = R::Response>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if broker.controller.is_active() || context.peer.is_forwarded {
            return decide(broker, context, request).await;
        }
        match ask(&broker, &context, &request).await {
            Ok(response) => return response,
            Err(error) => {
                tracing::debug!(api = ?R::KEY, %error, "not forwarded");
            }
        }
        if !broker.active_controller.rest(deadline).await {
            // It says for each part of the request that this is not the controller.
            return decide(broker, context, request).await;
        }
    }
}

async fn ask<R: Request>(
    broker: &Broker,
    context: &Context,
    request: &R,
) -> Result<R::Response, ErrorCode> {
    let envelope = EnvelopeRequest {
        request_data: packed(context, request)?,
        request_principal: Some(context.peer.principal.to_bytes()),
        client_host_address: address_bytes(context.peer.remote.ip()),
    };
    let answer = broker.active_controller.ask(&envelope).await?;
    if !answer.error_code.is_none() {
        return Err(answer.error_code);
    }
    let data = answer.response_data.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
    unpacked::<R>(data, context.version).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)
}

/// A request as it came: header and body, without the length.
fn packed<R: Request>(context: &Context, request: &R) -> Result<Bytes, ErrorCode> {
    let mut writer = Writer::new();
    let header = RequestHeader {
        api_key: R::KEY.number(),
        api_version: context.version,
        correlation_id: context.correlation_id,
        client_id: Some(context.client_id.clone()),
    };
    header.write(&mut writer, request_header_version::<R>(context.version));
    request.write(&mut writer, context.version);
    writer.into_bytes().map_err(|_| ErrorCode::INVALID_REQUEST)
}

fn unpacked<R: Request>(data: Bytes, version: i16) -> Option<R::Response> {
    let mut reader = Reader::new(data);
    ResponseHeader::read(&mut reader, response_header_version::<R>(version)).ok()?;
    R::Response::read(&mut reader, version).ok()
}

fn address_bytes(address: IpAddr) -> Bytes {
    match address {
        IpAddr::V4(address) => Bytes::copy_from_slice(&address.octets()),
        IpAddr::V6(address) => Bytes::copy_from_slice(&address.octets()),
    }
}
