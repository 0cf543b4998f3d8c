//! A cluster as a client sees it: the brokers it can reach and what it knows of topics.
//!
//! A [`Client`] is a handle: clones share connections and metadata. A request that a broker may
//! hold back, such as a fetch, would delay everything behind it on its connection; whoever sends
//! such takes connections of its own with [`Client::apart`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use milena_protocol::api::Request;
use milena_protocol::api::find_coordinator::FindCoordinatorRequest;
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::connection::{Connection, ConnectionOptions};
use crate::error::{ClientError, Refused};
use crate::metadata::{Metadata, Topic};

/// What FindCoordinator calls a group.
const GROUP: i8 = 0;
/// What FindCoordinator calls a transactional id.
const TRANSACTION: i8 = 1;

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Brokers to begin with, as `HOST:PORT`; one that answers is enough.
    pub bootstrap: Vec<String>,
    /// How long to wait for a topic or a leader that is not there yet.
    pub patience: Duration,
    /// How each connection behaves.
    pub connection: ConnectionOptions,
}

impl ClientOptions {
    /// Options for brokers given as `HOST:PORT[,HOST:PORT]…`.
    #[must_use]
    pub fn new(bootstrap: &str) -> Self {
        let bootstrap = bootstrap.split(',').map(str::trim).filter(|part| !part.is_empty());
        Self {
            bootstrap: bootstrap.map(str::to_owned).collect(),
            patience: Duration::from_secs(30),
            connection: ConnectionOptions::default(),
        }
    }
}

/// Which topics metadata is wanted of.
#[derive(Clone, Copy, Debug)]
pub enum Topics<'a> {
    /// None: only the brokers.
    None,
    /// All there are.
    All,
    /// These.
    Named(&'a [&'a str]),
    /// Those of these ids. One that does not exist is left out.
    WithIds(&'a BTreeSet<Uuid>),
}

/// A partition's leader, ready to be asked.
#[derive(Clone, Debug)]
pub struct Leader {
    /// The leader.
    pub node_id: NodeId,
    /// Its epoch; −1 where the broker does not tell.
    pub epoch: LeaderEpoch,
    /// A connection to it.
    pub connection: Arc<Connection>,
}

/// A handle of a cluster.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: ClientOptions,
    metadata: Mutex<Arc<Metadata>>,
    connections: Mutex<BTreeMap<String, Arc<Slot>>>,
}

/// A place for one connection: whoever finds it empty dials, the others wait.
type Slot = tokio::sync::Mutex<Option<Arc<Connection>>>;

impl Client {
    /// Connects to one of the brokers to begin with and learns the others.
    ///
    /// # Errors
    /// When none of them can be reached.
    pub async fn connect(options: ClientOptions) -> Result<Self, ClientError> {
        for given in &options.bootstrap {
            let port = given.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) {
                return Err(ClientError::BadAddress { given: given.clone() });
            }
        }
        let client = Self::unconnected(options);
        client.refresh(Topics::None, false).await?;
        Ok(client)
    }

    /// A client that has not asked anybody yet.
    pub(crate) fn unconnected(options: ClientOptions) -> Self {
        Self(Arc::new(Inner { options, metadata: Mutex::default(), connections: Mutex::default() }))
    }

    /// A client that knows the same and has connections of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self(Arc::new(Inner {
            options: self.0.options.clone(),
            metadata: Mutex::new(self.metadata()),
            connections: Mutex::default(),
        }))
    }

    /// What the client was made with.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.0.options
    }

    /// What is known now.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.0.metadata.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for metadata and keeps what comes. With `create`, brokers that allow it make the topics
    /// that are missing.
    ///
    /// # Errors
    /// When no broker answers. A topic that is missing is no error but one of
    /// [`Metadata::troubles`].
    pub async fn refresh(
        &self,
        topics: Topics<'_>,
        create: bool,
    ) -> Result<Arc<Metadata>, ClientError> {
        let named =
            |name: &&str| MetadataRequestTopic { name: Some((*name).into()), topic_id: Uuid::ZERO };
        let with_id = |id: &Uuid| MetadataRequestTopic { name: None, topic_id: *id };
        let request = MetadataRequest {
            topics: match topics {
                Topics::None => Some(Vec::new()),
                Topics::All => None,
                Topics::Named(names) => Some(names.iter().map(named).collect()),
                Topics::WithIds(ids) => Some(ids.iter().map(with_id).collect()),
            },
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let answer = self.ask_any(&request).await?;
        Refused::check(answer.error_code, None).map_err(|refused| refused.of("metadata"))?;
        Ok(self.learn(&answer, matches!(topics, Topics::All)))
    }

    /// Adds what an answer says to what is known, or replaces it by that.
    pub(crate) fn learn(&self, answer: &MetadataResponse, replaces: bool) -> Arc<Metadata> {
        let mut known = self.0.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let learned =
            if replaces { Metadata::default().learn(answer) } else { known.learn(answer) };
        *known = Arc::new(learned);
        Arc::clone(&known)
    }

    /// Forgets topics, so that whoever needs them next asks anew.
    pub fn forget<T: AsRef<str>>(&self, topics: &[T]) {
        let mut known = self.0.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = Arc::make_mut(&mut known);
        for topic in topics {
            metadata.topics.remove(topic.as_ref());
        }
    }

    /// A topic, waited for while it is being made or has no leader to tell of it.
    ///
    /// # Errors
    /// When it is not there within the client's patience, or cannot be there.
    pub async fn topic(&self, name: &str, create: bool) -> Result<Arc<Topic>, ClientError> {
        if let Some(topic) = self.metadata().topic(name) {
            return Ok(Arc::clone(topic));
        }
        let mut patience = self.patience(format!("topic {name} is not there"));
        loop {
            match self.look_for_topic(name, create).await {
                Ok(Some(topic)) => return Ok(topic),
                Ok(None) => patience.wait(None).await?,
                // What the broker says of the topic is final; that none answers is not.
                Err(error) if error.code().is_some() => return Err(error),
                Err(error) => patience.wait(Some(error)).await?,
            }
        }
    }

    /// Asks for a topic once; none while it may still come.
    async fn look_for_topic(
        &self,
        name: &str,
        create: bool,
    ) -> Result<Option<Arc<Topic>>, ClientError> {
        let metadata = self.refresh(Topics::Named(&[name]), create).await?;
        if let Some(topic) = metadata.topic(name) {
            return Ok(Some(Arc::clone(topic)));
        }
        let code = metadata.troubles.get(name).copied().unwrap_or_default();
        // A topic that is made on demand is unknown for a moment.
        let is_missing = code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let may_come = code.is_retriable() && (create || !is_missing);
        if code.is_none() || may_come {
            return Ok(None);
        }
        let message = is_missing.then(|| format!("there is no topic {name}"));
        Err(Refused { code, message }.of(format!("topic {name}")))
    }

    /// The leader of a partition, waited for while there is none.
    ///
    /// # Errors
    /// When there is no such partition, or no leader within the client's patience.
    pub async fn leader(
        &self,
        topic: &str,
        partition: PartitionIndex,
    ) -> Result<Leader, ClientError> {
        let known = self.topic(topic, false).await?;
        if usize::try_from(partition.0).map_or(true, |index| index >= known.partitions.len()) {
            let (topic, count) = (topic.to_owned(), known.partitions.len());
            return Err(ClientError::NoSuchPartition { topic, partition, count });
        }
        let what = format!("partition {partition} of topic {topic} has no leader");
        let mut patience = self.patience(what);
        loop {
            match self.look_for_leader(topic, partition).await {
                Ok(Some(leader)) => return Ok(leader),
                Ok(None) => patience.wait(None).await?,
                Err(error) => patience.wait(Some(error)).await?,
            }
            // A broker that cannot be asked leaves what is known as it is.
            if let Err(error) = self.refresh(Topics::Named(&[topic]), false).await
                && !error.is_retriable()
            {
                return Err(error);
            }
        }
    }

    async fn look_for_leader(
        &self,
        topic: &str,
        partition: PartitionIndex,
    ) -> Result<Option<Leader>, ClientError> {
        let Some((node_id, epoch)) = self.metadata().leader(topic, partition) else {
            return Ok(None);
        };
        let connection = self.broker(node_id).await?;
        Ok(Some(Leader { node_id, epoch, connection }))
    }

    /// A connection to a broker that metadata names.
    ///
    /// # Errors
    /// When it is unknown or cannot be reached.
    pub async fn broker(&self, node_id: NodeId) -> Result<Arc<Connection>, ClientError> {
        match self.metadata().brokers.get(&node_id) {
            Some(broker) => self.at(&broker.address).await,
            None => Err(ClientError::Unreachable {
                tried: vec![(format!("node {node_id}"), "it is no broker of the cluster".into())],
            }),
        }
    }

    /// A connection to any broker: one that is open, else a known one, else one to begin with.
    ///
    /// # Errors
    /// When none can be reached.
    pub async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        let known = self.metadata();
        let known = known.brokers.values().map(|broker| broker.address.clone());
        let mut addresses: Vec<String> = known.collect();
        for given in &self.0.options.bootstrap {
            if !addresses.contains(given) {
                addresses.push(given.clone());
            }
        }
        let mut tried = Vec::new();
        for address in addresses {
            match self.at(&address).await {
                Ok(connection) => return Ok(connection),
                Err(ClientError::Unreachable { tried: more }) => tried.extend(more),
                Err(error) if error.is_retriable() => tried.push((address, error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Err(ClientError::Unreachable { tried })
    }

    /// Asks any broker. A connection that is known to be lost is replaced first; one that is lost
    /// while it is asked is an error, for the request may have been carried out.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub async fn ask_any<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.any().await?.ask(request).await
    }

    /// Asks the broker that the others call the controller, or any when there is none.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub async fn ask_controller<R: Request>(
        &self,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        let connection = match self.metadata().controller {
            Some(node_id) => self.broker(node_id).await?,
            None => self.any().await?,
        };
        connection.ask(request).await
    }

    /// The broker that coordinates a group, waited for while there is none.
    ///
    /// # Errors
    /// When there is none within the client's patience.
    pub async fn coordinator(&self, group: &str) -> Result<(NodeId, Arc<Connection>), ClientError> {
        self.coordinator_of(GROUP, group, format!("the coordinator of group {group}")).await
    }

    /// The broker that coordinates the transactions of an id, waited for while there is none.
    ///
    /// # Errors
    /// When there is none within the client's patience.
    pub async fn transaction_coordinator(
        &self,
        id: &str,
    ) -> Result<(NodeId, Arc<Connection>), ClientError> {
        let what = format!("the coordinator of transactional id {id}");
        self.coordinator_of(TRANSACTION, id, what).await
    }

    async fn coordinator_of(
        &self,
        key_type: i8,
        key: &str,
        what: String,
    ) -> Result<(NodeId, Arc<Connection>), ClientError> {
        // Versions before 4 ask for one key, later ones for several.
        let request = FindCoordinatorRequest {
            key: key.into(),
            key_type,
            coordinator_keys: vec![key.into()],
        };
        let mut patience = self.patience(what.clone());
        loop {
            let answer = self.ask_any(&request).await?;
            let (node_id, code) = match answer.coordinators.first() {
                Some(one) => (one.node_id, one.error_code),
                None => (answer.node_id, answer.error_code),
            };
            match Refused::check(code, None) {
                Ok(()) => {
                    if !self.metadata().brokers.contains_key(&node_id) {
                        self.refresh(Topics::None, false).await?;
                    }
                    return Ok((node_id, self.broker(node_id).await?));
                }
                Err(refused) => patience.wait(Some(refused.of(&what))).await?,
            }
        }
    }

    async fn at(&self, address: &str) -> Result<Arc<Connection>, ClientError> {
        let slot = {
            let mut slots = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(address.to_owned()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_lost()) {
            return Ok(Arc::clone(connection));
        }
        let options = self.0.options.connection.clone();
        let connection = Arc::new(Connection::open(address, options).await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }

    fn patience(&self, what: String) -> Patience {
        let limit = self.0.options.patience;
        Patience { what, limit, deadline: Instant::now() + limit, backoff: Backoff::default() }
    }
}

/// Waiting for something that may still come.
struct Patience {
    what: String,
    limit: Duration,
    deadline: Instant,
    backoff: Backoff,
}

impl Patience {
    /// Waits before the next attempt. An error that does not heal, or the last one when the time is
    /// up, is given back.
    async fn wait(&mut self, last: Option<ClientError>) -> Result<(), ClientError> {
        if let Some(error) = last.as_ref().filter(|error| !error.is_retriable()) {
            return Err(error.clone());
        }
        let wait = self.backoff.next();
        if Instant::now() + wait > self.deadline {
            return Err(ClientError::GaveUp {
                what: self.what.clone(),
                after: self.limit,
                last: last.map(|error| error.to_string()),
            });
        }
        sleep(wait).await;
        Ok(())
    }
}
