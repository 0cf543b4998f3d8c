//! One HTTP request as the handlers of the wire see it: who asks, over which connection, and the
//! addresses under which the answer names other resources.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::request::Parts;
use milena_client::metadata::host_and_port;
use milena_protocol::api;
use milena_protocol::api::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataTopic};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::message::Message;
use tokio::net::TcpStream;

use super::error::Failure;
use crate::broker::Broker;
use crate::handlers::{describe_cluster, metadata};
use crate::request::{Context, Peer, Scope};
use crate::security::{Operation, Resource};

/// The name under which HTTP stands among the listeners.
const LISTENER: &str = "HTTP";
/// Where the same resources stand a second time, as in Confluent's cloud.
pub const CLOUD_PREFIX: &str = "/kafka";

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    local: SocketAddr,
    remote: SocketAddr,
}

impl Ends {
    /// The ends of a connection.
    ///
    /// # Errors
    /// When the other end is gone already.
    pub fn of(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self { local: stream.local_addr()?, remote: stream.peer_addr()? })
    }
}

/// One request.
#[derive(Clone)]
pub struct Call {
    /// The broker it is put to.
    pub broker: Arc<Broker>,
    peer: Arc<Peer>,
    /// Scheme, host and prefix of the addresses in the answer.
    base: Arc<str>,
}

impl FromRequestParts<Arc<Broker>> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, broker: &Arc<Broker>) -> Result<Self, Failure> {
        // The listener gives it to every request.
        let ends = *parts.extensions.get::<Ends>().ok_or_else(no_ends)?;
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.map_or_else(|| ends.local.to_string(), str::to_owned);
        let path = parts.extensions.get::<OriginalUri>().map_or("", |uri| uri.path());
        let prefix = if path.starts_with(CLOUD_PREFIX) { CLOUD_PREFIX } else { "" };
        let peer = Peer::anonymous(LISTENER.into(), Scope::Brokers, ends.local, ends.remote);
        Ok(Self {
            broker: broker.clone(),
            peer: Arc::new(peer),
            base: format!("http://{host}{prefix}").into(),
        })
    }
}

fn no_ends() -> Failure {
    let message = "the request came over no connection";
    Failure::plain(StatusCode::INTERNAL_SERVER_ERROR, message)
}

impl Call {
    /// Whether the caller may do something.
    ///
    /// # Errors
    /// When he may not.
    pub fn check(&self, operation: Operation, resource: Resource<'_>) -> Result<(), Failure> {
        if self.broker.authorizer.allows(&self.peer.principal, operation, resource) {
            return Ok(());
        }
        let code = match resource {
            Resource::Group(_) => ErrorCode::GROUP_AUTHORIZATION_FAILED,
            Resource::Topic(_) => ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            _ => ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
        };
        Err(Failure::of_wire(code, None))
    }

    /// The context of a wire request in its newest version.
    #[must_use]
    pub fn context<R: api::Request>(&self) -> Context {
        self.context_in(<R as Message>::VERSIONS.max)
    }

    /// The context of a wire request in a version.
    #[must_use]
    pub fn context_in(&self, version: i16) -> Context {
        Context {
            peer: self.peer.clone(),
            version,
            correlation_id: 0,
            client_id: "http".into(),
            received_at: Instant::now(),
            frame_bytes: 0,
        }
    }

    /// The address of all clusters.
    #[must_use]
    pub fn clusters_url(&self) -> String {
        format!("{}/v3/clusters", self.base)
    }

    /// The address of a path below the cluster.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}/v3/clusters/{}{path}", self.base, self.broker.cluster_id)
    }

    /// The name of a resource below the cluster, as Confluent writes it.
    #[must_use]
    pub fn name(&self, path: &str) -> String {
        format!("crn:///kafka={}{path}", self.broker.cluster_id)
    }

    /// The cluster and its live brokers, at the addresses where a Kafka client that reached this
    /// connection's address reaches them.
    ///
    /// # Errors
    /// When the caller may not know.
    pub async fn cluster(&self) -> Result<DescribeClusterResponse, Failure> {
        self.describe_cluster(false).await
    }

    /// The brokers of the cluster, those that are fenced too.
    ///
    /// # Errors
    /// As [`Call::cluster`].
    pub async fn registered(&self) -> Result<Vec<DescribeClusterBroker>, Failure> {
        Ok(self.describe_cluster(true).await?.brokers)
    }

    async fn describe_cluster(
        &self,
        include_fenced_brokers: bool,
    ) -> Result<DescribeClusterResponse, Failure> {
        let mut context = self.context::<DescribeClusterRequest>();
        if let Some(peer) = self.as_kafka_client() {
            context.peer = Arc::new(peer);
        }
        let request = DescribeClusterRequest { include_fenced_brokers, ..Default::default() };
        let response = describe_cluster::handle(self.broker.clone(), context, request).await;
        Failure::unless_none(response.error_code, response.error_message.as_ref())?;
        Ok(response)
    }

    /// This caller, had it come to the broker's first Kafka listener. Where this node is only a
    /// controller, that is the first listener of some broker.
    fn as_kafka_client(&self) -> Option<Peer> {
        let image = self.broker.metadata.image_owned();
        let Some(node) = image.broker(self.broker.node_id) else {
            let listener = image.brokers().find_map(|broker| broker.endpoints.first())?;
            let listener = listener.name.as_str().into();
            return Some(Peer { listener, ..(*self.peer).clone() });
        };
        let endpoint = node.endpoints.first()?;
        Some(Peer {
            listener: endpoint.name.as_str().into(),
            local: SocketAddr::new(self.peer.local.ip(), endpoint.port),
            ..(*self.peer).clone()
        })
    }

    /// Where a Kafka client that reached this connection's address reaches this node, as
    /// `host:port`; nothing where it has no Kafka listener.
    #[must_use]
    pub fn kafka_address(&self) -> Option<String> {
        let peer = self.as_kafka_client()?;
        let image = self.broker.metadata.image_owned();
        let endpoint =
            self.broker.endpoints.of_broker(image.broker(self.broker.node_id)?, &peer)?;
        Some(host_and_port(&endpoint.host, endpoint.port))
    }

    /// All topics, by name.
    pub async fn topics(&self) -> Vec<MetadataTopic> {
        self.metadata(None).await
    }

    /// One topic.
    ///
    /// # Errors
    /// When it does not exist, or the caller may not know of it.
    pub async fn topic(&self, name: &str) -> Result<MetadataTopic, Failure> {
        let asked = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let found = self.metadata(Some(vec![asked])).await.into_iter().next();
        let missing = || Failure::missing(format!("there is no topic {name}"));
        let topic = found.ok_or_else(missing)?;
        if topic.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
            let message = Text::from(format!("there is no topic {name}"));
            return Err(Failure::of_wire(topic.error_code, Some(&message)));
        }
        Failure::unless_none(topic.error_code, None)?;
        Ok(topic)
    }

    async fn metadata(&self, topics: Option<Vec<MetadataRequestTopic>>) -> Vec<MetadataTopic> {
        let request = MetadataRequest {
            topics,
            allow_auto_topic_creation: false,
            include_topic_authorized_operations: true,
            ..Default::default()
        };
        let context = self.context::<MetadataRequest>();
        metadata::handle(self.broker.clone(), context, request).await.topics
    }
}
