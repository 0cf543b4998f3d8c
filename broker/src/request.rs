//! What a request is before and after its handler: who sent it, its header, its answer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use milena_protocol::api::header::ResponseHeader;
use milena_protocol::api::{ApiKey, Request, response_header_version};
use milena_protocol::codec::{DecodeError, EncodeError, Reader, Text, Writer};
use milena_protocol::ids::{BrokerEpoch, NodeId};
use milena_protocol::message::Message;

use crate::security::Principal;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The name of the listener it came in on.
    pub listener: Arc<str>,
    /// Our address as the client reached it.
    pub local: SocketAddr,
    /// Its address.
    pub remote: SocketAddr,
    /// Whom it speaks for.
    pub principal: Principal,
    /// Which APIs are served to it.
    pub scope: Scope,
    /// Whether another broker passed on what it asks.
    pub is_forwarded: bool,
    /// The broker that says over this connection that it lives.
    pub lives_as: OnceLock<(NodeId, BrokerEpoch)>,
    /// Since when it is connected.
    pub since: tokio::time::Instant,
}

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Clients and brokers.
    Brokers,
    /// The members of the quorum, and brokers that ask the active controller.
    Controllers,
    /// Everybody: the quorum has no listener of its own.
    All,
}

impl Peer {
    /// A peer that did not authenticate.
    #[must_use]
    pub fn anonymous(
        listener: Arc<str>,
        scope: Scope,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Self {
        let principal = Principal::anonymous();
        Self {
            listener,
            local,
            remote,
            principal,
            scope,
            is_forwarded: false,
            lives_as: OnceLock::new(),
            since: tokio::time::Instant::now(),
        }
    }
}

/// Why a connection is closed instead of answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such API, or not on this listener.
    UnknownApi(i16),
    /// The API is not served in this version.
    UnsupportedVersion(ApiKey, i16),
    /// The bytes are not such a request.
    Malformed(DecodeError),
    /// The answer cannot be written in this version.
    Unwritable(ApiKey, EncodeError),
    /// A produce with acks=0 failed: there is no other way to tell the client.
    UnacknowledgedFailure,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownApi(key) => write!(f, "API key {key} is not served"),
            Self::UnsupportedVersion(key, version) => {
                write!(f, "{key:?} is not served in version {version}")
            }
            Self::Malformed(error) => write!(f, "malformed request: {error}"),
            Self::Unwritable(key, error) => write!(f, "cannot write a {key:?} answer: {error}"),
            Self::UnacknowledgedFailure => f.write_str("a produce with acks=0 failed"),
        }
    }
}

/// A request whose header was read.
#[derive(Debug)]
pub struct Opened {
    /// Who asks, and how.
    pub context: Context,
    /// Which API.
    pub key: ApiKey,
    /// The body.
    pub body: Reader,
}

impl Opened {
    /// Whether this is a produce, which may overlap with produces before it.
    #[must_use]
    pub fn is_produce(&self) -> bool {
        self.key == ApiKey::Produce
    }
}

/// What every handler is told about its request.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks.
    pub peer: Arc<Peer>,
    /// The API's version.
    pub version: i16,
    /// Comes back in the answer.
    pub correlation_id: i32,
    /// What the client calls itself; empty when it says nothing.
    pub client_id: Text,
    /// When the frame was complete.
    pub received_at: Instant,
    /// The frame's size.
    pub frame_bytes: usize,
}

/// What a request comes to.
#[derive(Debug)]
pub enum Answer {
    /// A whole frame in pieces.
    Send(Vec<Bytes>),
    /// Nothing at all: a produce with acks=0.
    Nothing,
    /// The connection is closed.
    Close(Refusal),
}

impl Context {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn decode<R: Request>(&self, mut body: Reader) -> Result<R, Refusal> {
        R::read(&mut body, self.version).map_err(Refusal::Malformed)
    }

    /// The frame of an answer in the version of the request.
    #[must_use]
    pub fn answer<R: Request>(&self, response: &R::Response) -> Answer {
        self.frame(R::KEY, response, self.version, response_header_version::<R>(self.version))
    }

    /// The frame of an answer in a given version.
    #[must_use]
    pub fn frame<M: Message>(
        &self,
        key: ApiKey,
        response: &M,
        version: i16,
        header_version: i16,
    ) -> Answer {
        let mut writer = Writer::with_capacity(256);
        writer.plain().extend_from_slice(&[0; 4]);
        let header = ResponseHeader { correlation_id: self.correlation_id };
        header.write(&mut writer, header_version);
        response.write(&mut writer, version);
        writer.patch_frame_length();
        match writer.into_chunks() {
            Ok(chunks) => Answer::Send(chunks),
            Err(error) => {
                tracing::error!(?key, version, %error, "an answer cannot be written");
                Answer::Close(Refusal::Unwritable(key, error))
            }
        }
    }
}
