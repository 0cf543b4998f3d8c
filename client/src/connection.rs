//! One connection to one broker: any request of the protocol, as many at a time as the caller
//! likes, answered in order.
//!
//! A connection begins with ApiVersions (KIP-35, KIP-511), so every request is asked in the highest
//! version that both sides know. A request that gets no answer in time closes the connection, for
//! every later answer stands behind the missing one.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use milena_protocol::api::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use milena_protocol::api::header::{RequestHeader, ResponseHeader};
use milena_protocol::api::{ApiKey, Request, request_header_version, response_header_version};
use milena_protocol::codec::{Reader, Writer};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::message::{Message, Versions};
use tokio::time::timeout;

use crate::error::{ClientError, Refused};
use crate::tcp::TcpStream;
use crate::wire::{Outcome, Wire};

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// What the broker's logs and quotas call this client.
    pub client_id: String,
    /// How long to wait for the connection and its first answer.
    pub connect_timeout: Duration,
    /// How long to wait for an answer.
    pub request_timeout: Duration,
    /// No answer may be longer, in bytes.
    pub max_answer_bytes: usize,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: "milena".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_answer_bytes: 128 << 20,
        }
    }
}

/// A feature of the cluster with the versions that the broker supports and the level that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name, such as `metadata.version`.
    pub name: String,
    /// What the broker supports.
    pub supported: Versions,
    /// The level that the cluster has agreed on; `None` if it has none.
    pub finalized: Option<i16>,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    wire: Arc<Wire>,
    options: ConnectionOptions,
    versions: BTreeMap<i16, Versions>,
    features: Vec<Feature>,
}

impl Connection {
    /// Connects to `HOST:PORT` and learns what the broker there serves.
    ///
    /// # Errors
    /// When nobody listens there, or whoever does speaks another protocol.
    pub async fn open(address: &str, options: ConnectionOptions) -> Result<Self, ClientError> {
        let unreachable =
            |why: String| ClientError::Unreachable { tried: vec![(address.to_owned(), why)] };
        let connect = TcpStream::connect(address);
        let stream = match timeout(options.connect_timeout, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable("no connection in time".to_owned())),
        };
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        let wire = Wire::new(address.to_owned(), stream, options.max_answer_bytes);
        let wire = Arc::new(wire);
        let mut connection =
            Self { wire, options, versions: BTreeMap::new(), features: Vec::new() };
        connection.shake_hands().await?;
        Ok(connection)
    }

    /// The address that was dialled.
    #[must_use]
    pub fn address(&self) -> &str {
        self.wire.address()
    }

    /// Whether nothing can be asked here any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.wire.is_lost()
    }

    /// The features of the cluster, as this broker told them.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The versions in which the broker serves an API.
    #[must_use]
    pub fn served(&self, key: ApiKey) -> Option<Versions> {
        self.versions.get(&key.number()).copied()
    }

    /// The highest version of a request that both sides know.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`].
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        let theirs = self.served(R::KEY);
        theirs.and_then(|theirs| common(R::VERSIONS, theirs)).ok_or_else(|| {
            ClientError::Unsupported {
                address: self.address().to_owned(),
                api: R::KEY,
                ours: R::VERSIONS,
                theirs,
            }
        })
    }

    /// Asks in the highest common version and waits for the answer.
    ///
    /// # Errors
    /// When there is no answer, or none that can be read. What the answer says is the caller's.
    pub async fn ask<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.submit(request, self.version_of::<R>()?)?.wait().await
    }

    /// Sends a request without waiting: the answer is awaited apart. Requests leave in the order of
    /// these calls, and their answers come in that order.
    ///
    /// # Errors
    /// When the connection is lost or the request does not exist in that version.
    pub fn submit<R: Request>(&self, request: &R, version: i16) -> Result<Answer<R>, ClientError> {
        self.hand_in(request, version, true)
    }

    /// Sends a request that the broker does not answer, such as a produce with `acks=0`. What is
    /// awaited is only that it was written; the answer is the type's default.
    ///
    /// # Errors
    /// As [`Connection::submit`].
    pub fn submit_unanswered<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<Answer<R>, ClientError> {
        self.hand_in(request, version, false)
    }

    fn hand_in<R: Request>(
        &self,
        request: &R,
        version: i16,
        answered: bool,
    ) -> Result<Answer<R>, ClientError> {
        let outcome = self.wire.submit(answered, |correlation_id| {
            let mut writer = Writer::new();
            writer.plain().extend_from_slice(&[0; 4]);
            let header = RequestHeader {
                api_key: R::KEY.number(),
                api_version: version,
                correlation_id,
                client_id: Some(self.options.client_id.as_str().into()),
            };
            header.write(&mut writer, request_header_version::<R>(version));
            request.write(&mut writer, version);
            writer.patch_frame_length();
            writer
                .into_chunks()
                .map_err(|error| ClientError::Unwritable { api: R::KEY, why: error.to_string() })
        })?;
        Ok(Answer {
            wire: Arc::clone(&self.wire),
            limit: self.options.request_timeout,
            outcome,
            version,
            answered,
            request: PhantomData,
        })
    }

    /// Learns the versions. A broker that does not know this client's newest ApiVersions answers in
    /// version 0 with UNSUPPORTED_VERSION and, where it is kind, the version to ask in.
    async fn shake_hands(&mut self) -> Result<(), ClientError> {
        let mut version = ApiVersionsRequest::VERSIONS.max;
        loop {
            let request = ApiVersionsRequest {
                client_software_name: "milena".into(),
                client_software_version: env!("CARGO_PKG_VERSION").into(),
            };
            let answer = self.submit(&request, version)?.bytes(self.options.connect_timeout);
            let response = self.read_versions(answer.await?, version)?;
            if response.error_code == ErrorCode::UNSUPPORTED_VERSION && version > 0 {
                let listed = response.api_keys.iter().find(|api| {
                    api.api_key == ApiKey::ApiVersions.number() && api.max_version < version
                });
                version = listed.map_or(0, |api| api.max_version.max(0));
                continue;
            }
            Refused::check(response.error_code, None)
                .map_err(|refused| refused.of(format!("connecting to {}", self.address())))?;
            self.learn(&response);
            return Ok(());
        }
    }

    fn read_versions(
        &self,
        bytes: Bytes,
        version: i16,
    ) -> Result<ApiVersionsResponse, ClientError> {
        // Behind the id of four bytes stands the code; with this one the rest is in version 0.
        let code = bytes.get(4..6).map(|mut code| ErrorCode(code.get_i16()));
        let refused = code == Some(ErrorCode::UNSUPPORTED_VERSION);
        let version = if refused { 0 } else { version };
        read_answer::<ApiVersionsRequest>(bytes, version)
            .map_err(|why| garbled(&self.wire, ApiKey::ApiVersions, why))
    }

    fn learn(&mut self, response: &ApiVersionsResponse) {
        let served = |api: &milena_protocol::api::api_versions::ApiVersion| {
            (api.api_key, Versions { min: api.min_version, max: api.max_version })
        };
        self.versions = response.api_keys.iter().map(served).collect();
        let finalized = |name: &str| {
            let of = response.finalized_features.iter().find(|feature| &*feature.name == name);
            of.map(|feature| feature.max_version_level)
        };
        self.features = response
            .supported_features
            .iter()
            .map(|feature| Feature {
                name: feature.name.to_string(),
                supported: Versions { min: feature.min_version, max: feature.max_version },
                finalized: finalized(&feature.name),
            })
            .collect();
    }
}

/// An answer that is under way. Dropping it forgets the answer; the broker still carries out what
/// was asked.
#[derive(Debug)]
pub struct Answer<R> {
    wire: Arc<Wire>,
    limit: Duration,
    outcome: Outcome,
    version: i16,
    answered: bool,
    request: PhantomData<R>,
}

impl<R: Request> Answer<R> {
    /// Waits for it, at most the connection's request timeout.
    ///
    /// # Errors
    /// When it does not come, or cannot be read.
    pub async fn wait(self) -> Result<R::Response, ClientError> {
        let limit = self.limit;
        self.wait_at_most(limit).await
    }

    /// Waits for it for a time of the caller's, for requests that the broker holds back.
    ///
    /// # Errors
    /// As [`Answer::wait`].
    pub async fn wait_at_most(self, limit: Duration) -> Result<R::Response, ClientError> {
        let (wire, version, answered) = (Arc::clone(&self.wire), self.version, self.answered);
        let bytes = self.bytes(limit).await?;
        if !answered {
            return Ok(R::Response::default());
        }
        read_answer::<R>(bytes, version).map_err(|why| garbled(&wire, R::KEY, why))
    }

    async fn bytes(self, limit: Duration) -> Result<Bytes, ClientError> {
        let address = || self.wire.address().to_owned();
        match timeout(limit, self.outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(ClientError::Disconnected {
                address: address(),
                why: "it was closed".to_owned(),
            }),
            Err(_) => {
                let error = ClientError::TimedOut { address: address(), api: R::KEY, after: limit };
                self.wire.close(error.clone());
                Err(error)
            }
        }
    }
}

fn garbled(wire: &Wire, api: ApiKey, why: impl std::fmt::Display) -> ClientError {
    let address = wire.address().to_owned();
    ClientError::Garbled { address, why: format!("answer to {api:?}: {why}") }
}

/// The highest version in both.
fn common(ours: Versions, theirs: Versions) -> Option<i16> {
    let highest = ours.max.min(theirs.max);
    (highest >= ours.min.max(theirs.min)).then_some(highest)
}

fn read_answer<R: Request>(bytes: Bytes, version: i16) -> Result<R::Response, String> {
    let mut reader = Reader::new(bytes);
    ResponseHeader::read(&mut reader, response_header_version::<R>(version))
        .map_err(|error| error.to_string())?;
    R::Response::read(&mut reader, version).map_err(|error| error.to_string())
}
