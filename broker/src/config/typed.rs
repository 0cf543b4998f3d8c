//! The configuration as the rest of the broker reads it.
//!
//! A field is called what its key is called. Spans are `Duration`s, sizes are bytes. What can be
//! changed at run time is here as it was at start; the metadata image knows what holds now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use milena_cluster::group;
use milena_protocol::ids::NodeId;

use super::declared;
use super::error::Warning;
use super::listeners::{self, HostPort, HttpListener, Listener, SecurityProtocol, Voter};
use super::reading::Reading;
use super::settings::{Setting, Settings, Source};
use super::sources::Sources;

/// What a node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessRoles {
    /// It keeps partitions and serves clients.
    pub broker: bool,
    /// It is a member of the metadata quorum.
    pub controller: bool,
}

/// How far a client's batch is checked before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordValidation {
    /// Every record in it, through the compression.
    #[default]
    Records,
    /// Its header and checksum.
    Batch,
}

/// Sockets of the Kafka protocol.
#[derive(Clone, Debug, Default)]
pub struct SocketConfig {
    /// `SO_SNDBUF`; none leaves it to the system.
    pub send_buffer_bytes: Option<usize>,
    /// `SO_RCVBUF`; none leaves it to the system.
    pub receive_buffer_bytes: Option<usize>,
    /// The largest request frame.
    pub request_max_bytes: usize,
    /// Connections that wait to be accepted.
    pub listen_backlog_size: i32,
}

/// What topics get that say nothing themselves. Negative numbers mean without limit.
#[derive(Clone, Debug, Default)]
pub struct LogDefaults {
    /// `delete`, `compact`, or both.
    pub cleanup_policy: Vec<String>,
    /// From `log.retention.ms`, `.minutes` or `.hours`, the first that is set.
    pub retention_ms: i64,
    /// How much a partition keeps.
    pub retention_bytes: i64,
    /// How often retention is applied.
    pub retention_check_interval: Duration,
    /// The largest segment.
    pub segment_bytes: i32,
    /// From `log.roll.ms` or `.hours`.
    pub roll_ms: i64,
    /// From `log.roll.jitter.ms` or `.hours`.
    pub roll_jitter_ms: i64,
    /// How long files of deleted segments stay.
    pub segment_delete_delay: Duration,
    /// Records between two syncs.
    pub flush_interval_messages: i64,
    /// From `log.flush.interval.ms` or `log.flush.scheduler.interval.ms`.
    pub flush_interval_ms: i64,
    /// Bytes between two index entries.
    pub index_interval_bytes: i32,
    /// The largest index.
    pub index_size_max_bytes: i32,
    /// Whether segments are allocated whole.
    pub preallocate: bool,
    /// `CreateTime` or `LogAppendTime`.
    pub message_timestamp_type: String,
    /// How far a record's timestamp may lie ahead.
    pub message_timestamp_after_max_ms: i64,
    /// How far a record's timestamp may lie behind.
    pub message_timestamp_before_max_ms: i64,
}

/// How followers follow.
#[derive(Clone, Debug, Default)]
pub struct ReplicaConfig {
    /// A follower that did not catch up for so long leaves the ISR.
    pub lag_time_max: Duration,
    /// How long a follower's fetch may wait.
    pub fetch_wait_max: Duration,
    /// What a follower's fetch waits for.
    pub fetch_min_bytes: i32,
    /// What a follower asks per partition.
    pub fetch_max_bytes: i32,
    /// What a follower asks altogether.
    pub fetch_response_max_bytes: i32,
    /// How long a follower rests after an error.
    pub fetch_backoff: Duration,
    /// How long a follower waits for an answer.
    pub socket_timeout: Duration,
    /// How often high watermarks are written down.
    pub high_watermark_checkpoint_interval: Duration,
    /// Whether consumers read from replicas in their rack, as `replica.selector.class` says
    /// (KIP-392).
    pub is_read_by_rack: bool,
}

/// Groups and their offsets.
#[derive(Clone, Debug, Default)]
pub struct GroupConfig {
    /// The coordinators' rules.
    pub settings: group::Settings,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: i32,
    /// `offsets.commit.timeout.ms`.
    pub offsets_commit_timeout: Duration,
}

/// Transactions.
#[derive(Clone, Debug, Default)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration: Duration,
    /// Whether the coordinator is asked before older clients write in a transaction.
    pub partition_verification_enable: bool,
    /// `transaction.state.log.num.partitions`.
    pub state_log_num_partitions: i32,
    /// `transaction.state.log.replication.factor`.
    pub state_log_replication_factor: i16,
    /// `transaction.state.log.min.isr`.
    pub state_log_min_isr: i32,
    /// `transaction.state.log.segment.bytes`.
    pub state_log_segment_bytes: i32,
}

/// The metadata quorum.
#[derive(Clone, Debug, Default)]
pub struct QuorumConfig {
    /// `controller.quorum.voters`.
    pub voters: Vec<Voter>,
    /// `controller.quorum.bootstrap.servers`.
    pub bootstrap_servers: Vec<HostPort>,
    /// `controller.quorum.auto.join.enable`, where somebody set it.
    pub auto_join: Option<bool>,
    /// Whether this node joined its cluster and has not voted in it yet.
    pub wants_vote: bool,
    /// How long a candidate waits for votes.
    pub election_timeout: Duration,
    /// The longest rest between two elections.
    pub election_backoff_max: Duration,
    /// A follower that fetched nothing for so long calls an election.
    pub fetch_timeout: Duration,
    /// How long a request of the quorum may take.
    pub request_timeout: Duration,
    /// The rest before a request is repeated.
    pub retry_backoff: Duration,
    /// How long the leader gathers records before it syncs.
    pub append_linger: Duration,
}

/// The metadata log.
#[derive(Clone, Debug, Default)]
pub struct MetadataLogConfig {
    /// The largest segment.
    pub segment_bytes: i32,
    /// The oldest active segment.
    pub segment_ms: i64,
    /// A snapshot is due after so many bytes.
    pub max_record_bytes_between_snapshots: i64,
    /// A snapshot is due after so long; zero leaves it to the bytes.
    pub max_snapshot_interval: Duration,
    /// How often an idle controller writes a record; zero means never.
    pub max_idle_interval: Duration,
    /// How much log and snapshots may take; negative means without limit.
    pub max_retention_bytes: i64,
    /// How long log and snapshots stay; negative means for ever.
    pub max_retention_ms: i64,
}

/// What a node was told.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "a field without a line here is the key of the same name")]
pub struct Config {
    /// `node.id`, or `broker.id`; without one the data directory's is used, or one is generated.
    pub node_id: Option<NodeId>,
    /// The cluster's id for an empty data directory; without one, one is generated.
    pub cluster_id: Option<String>,
    /// `--join`: a server of the cluster that this node shall be part of.
    pub join: Option<HostPort>,
    pub process_roles: ProcessRoles,
    pub broker_rack: Option<String>,

    /// At least one; names are unique and in upper case.
    pub listeners: Vec<Listener>,
    /// By listener name. Where a listener has none, clients are told the address they reached.
    /// Port 0 stands for the port that was bound.
    pub advertised_listeners: BTreeMap<String, HostPort>,
    /// The listener that brokers use among themselves.
    pub inter_broker_listener_name: String,
    /// Listeners of the quorum; empty means that it shares the brokers' listener.
    pub controller_listener_names: Vec<String>,
    /// Empty means no HTTP.
    pub http_listeners: Vec<HttpListener>,
    pub http_allow_unauthenticated: bool,

    /// At least one.
    pub log_dirs: Vec<PathBuf>,
    /// Where the metadata log is; the first of `log_dirs` unless `metadata.log.dir` says else.
    pub metadata_log_dir: PathBuf,

    pub quorum: QuorumConfig,
    pub metadata_log: MetadataLogConfig,
    pub socket: SocketConfig,
    pub log: LogDefaults,
    pub group: GroupConfig,
    /// Transactions.
    pub transaction: TransactionConfig,
    pub replica: ReplicaConfig,

    pub num_partitions: i32,
    pub default_replication_factor: i16,
    pub min_insync_replicas: i32,
    pub auto_create_topics_enable: bool,
    pub auto_leader_rebalance_enable: bool,
    pub delete_topic_enable: bool,
    pub controlled_shutdown_enable: bool,
    pub unclean_leader_election_enable: bool,
    pub compression_type: String,
    pub message_max_bytes: i32,
    pub fetch_max_bytes: i32,
    pub record_validation: RecordValidation,

    pub connections_max_idle: Duration,
    pub max_connections: usize,
    pub max_connections_per_ip: usize,
    pub max_connection_creation_rate: i32,
    /// None leaves the bound to Milena.
    pub queued_max_request_bytes: Option<usize>,
    pub max_incremental_fetch_session_cache_slots: usize,
    pub max_request_partition_size_limit: i32,
    pub producer_id_expiration: Duration,
    pub producer_id_expiration_check_interval: Duration,
    pub request_timeout: Duration,
    pub broker_heartbeat_interval: Duration,
    pub broker_session_timeout: Duration,
    pub initial_broker_registration_timeout: Duration,

    settings: Settings,
    static_values: BTreeMap<String, String>,
    warnings: Vec<Warning>,
}

impl Config {
    /// What somebody set, by key, each with its source.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What somebody set, by key; secrets, and values of keys that nobody knows, as `[hidden]`.
    #[must_use]
    pub fn static_values(&self) -> &BTreeMap<String, String> {
        &self.static_values
    }

    /// Takes the node's id as if somebody had set it, so that it is shown to those who ask.
    pub fn settle_node_id(&mut self, node_id: NodeId) {
        self.node_id = Some(node_id);
        self.static_values.insert("node.id".to_owned(), node_id.to_string());
    }

    /// What is odd in this configuration, to be logged once logging works.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The value of a key: what was set, and by whom, or nothing.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    /// The value that holds for a key, as it may be shown, and its source.
    #[must_use]
    pub fn effective(&self, key: &str) -> (Option<String>, Source) {
        if let Some(setting) = self.settings.get(key) {
            return (Some(setting.value.shown().to_owned()), setting.source.clone());
        }
        let value = match key {
            "log.dir" => None,
            "log.dirs" => {
                let dirs: Vec<_> = self.log_dirs.iter().map(|dir| dir.to_string_lossy()).collect();
                Some(dirs.join(","))
            }
            "cluster.id" => self.cluster_id.clone(),
            "inter.broker.listener.name" => Some(self.inter_broker_listener_name.clone()),
            _ => declared::find(key).and_then(|declared| declared.default).map(str::to_owned),
        };
        (value, Source::Default)
    }

    pub(super) fn keep(&mut self, settings: Settings, warnings: Vec<Warning>) {
        self.static_values = settings
            .iter()
            .map(|(key, setting)| (key.clone(), setting.value.shown().to_owned()))
            .collect();
        self.settings = settings;
        self.warnings = warnings;
    }

    /// Reads the typed values; what is wrong is collected in `reading`.
    pub(super) fn read(reading: &mut Reading<'_>, sources: &Sources) -> Self {
        let mut config = Self {
            node_id: ["node.id", "broker.id"]
                .into_iter()
                .find_map(|key| reading.number(key).filter(|id| *id >= 0))
                .and_then(|id| i32::try_from(id).ok())
                .map(NodeId),
            cluster_id: cluster_id(reading),
            process_roles: process_roles(reading),
            broker_rack: reading.text("broker.rack").map(str::to_owned),
            http_listeners: reading.parsed("http.listeners", listeners::http_listeners),
            http_allow_unauthenticated: reading.boolean("http.allow.unauthenticated"),
            log_dirs: log_dirs(reading, sources),
            quorum: quorum(reading),
            metadata_log: metadata_log(reading),
            socket: SocketConfig {
                send_buffer_bytes: reading.optional_size("socket.send.buffer.bytes"),
                receive_buffer_bytes: reading.optional_size("socket.receive.buffer.bytes"),
                request_max_bytes: reading.size("socket.request.max.bytes"),
                listen_backlog_size: reading.int("socket.listen.backlog.size"),
            },
            log: log_defaults(reading),
            group: groups(reading),
            transaction: transactions(reading),
            replica: replica(reading),
            ..Self::limits(reading)
        };
        config.metadata_log_dir = reading
            .text("metadata.log.dir")
            .map(PathBuf::from)
            .or_else(|| config.log_dirs.first().cloned())
            .unwrap_or_default();
        config.read_listeners(reading);
        config.check_http(reading);
        config
    }

    fn limits(reading: &Reading<'_>) -> Self {
        Self {
            num_partitions: reading.int("num.partitions"),
            default_replication_factor: reading
                .int("default.replication.factor")
                .try_into()
                .unwrap_or(i16::MAX),
            min_insync_replicas: reading.int("min.insync.replicas"),
            auto_create_topics_enable: reading.boolean("auto.create.topics.enable"),
            auto_leader_rebalance_enable: reading.boolean("auto.leader.rebalance.enable"),
            delete_topic_enable: reading.boolean("delete.topic.enable"),
            controlled_shutdown_enable: reading.boolean("controlled.shutdown.enable"),
            unclean_leader_election_enable: reading.boolean("unclean.leader.election.enable"),
            compression_type: reading.text("compression.type").unwrap_or_default().to_owned(),
            message_max_bytes: reading.int("message.max.bytes"),
            fetch_max_bytes: reading.int("fetch.max.bytes"),
            record_validation: match reading.text("milena.record.validation") {
                Some(text) if text.eq_ignore_ascii_case("batch") => RecordValidation::Batch,
                _ => RecordValidation::Records,
            },
            connections_max_idle: match u64::try_from(reading.long("connections.max.idle.ms")) {
                Ok(millis) => Duration::from_millis(millis),
                // A negative one lets connections be idle for ever.
                Err(_) => Duration::MAX,
            },
            max_connections: reading.size("max.connections"),
            max_connections_per_ip: reading.size("max.connections.per.ip"),
            max_connection_creation_rate: reading.int("max.connection.creation.rate"),
            queued_max_request_bytes: reading.optional_size("queued.max.request.bytes"),
            max_incremental_fetch_session_cache_slots: reading
                .size("max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: reading.int("max.request.partition.size.limit"),
            producer_id_expiration: reading.millis("producer.id.expiration.ms"),
            producer_id_expiration_check_interval: reading
                .millis("producer.id.expiration.check.interval.ms"),
            request_timeout: reading.millis("request.timeout.ms"),
            broker_heartbeat_interval: reading.millis("broker.heartbeat.interval.ms"),
            broker_session_timeout: reading.millis("broker.session.timeout.ms"),
            initial_broker_registration_timeout: reading
                .millis("initial.broker.registration.timeout.ms"),
            ..Self::default()
        }
    }

    fn read_listeners(&mut self, reading: &mut Reading<'_>) {
        let map = reading.parsed("listener.security.protocol.map", listeners::protocol_map);
        self.controller_listener_names = reading
            .list("controller.listener.names")
            .into_iter()
            .map(|name| name.to_uppercase())
            .collect();
        let named = reading.parsed("listeners", listeners::named_endpoints);
        if named.is_empty() && !reading.is_refused("listeners") {
            reading.refuse("listeners", "at least one NAME://host:port".to_owned());
        }
        for (name, HostPort { host, port }) in named {
            // Kafka lets listeners of the quorum be plain where nobody says otherwise.
            let plain = self.controller_listener_names.contains(&name)
                && !reading.is_set("listener.security.protocol.map");
            let mapped = map.get(&name).copied();
            let protocol = mapped.or(plain.then_some(SecurityProtocol::Plaintext));
            match protocol {
                Some(SecurityProtocol::Plaintext) => {}
                Some(other) => {
                    let name = other.name();
                    let legal = format!("listeners of PLAINTEXT; {name} is not served yet");
                    reading.refuse("listeners", legal);
                }
                None => {
                    let legal = format!("each listener's protocol; {name} has none");
                    reading.refuse("listener.security.protocol.map", legal);
                }
            }
            let security_protocol = protocol.unwrap_or(SecurityProtocol::Plaintext);
            self.listeners.push(Listener { name, security_protocol, host, port });
        }
        self.check_ports(reading);
        self.check_controller_listeners(reading);
        self.read_advertised(reading);
        self.read_inter_broker(reading);
    }

    fn check_ports(&self, reading: &mut Reading<'_>) {
        for (index, listener) in self.listeners.iter().enumerate() {
            let endpoint = listener.endpoint();
            let others = self.listeners.iter().take(index);
            if endpoint.port != 0 && others.into_iter().any(|other| other.endpoint() == endpoint) {
                let legal = format!("each address once, {endpoint} is there twice");
                reading.refuse("listeners", legal);
            }
        }
    }

    fn has_listener(&self, name: &str) -> bool {
        self.listeners.iter().any(|listener| listener.name == name)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.listeners.iter().map(|listener| listener.name.as_str()).collect();
        names.join(", ")
    }

    fn check_controller_listeners(&self, reading: &mut Reading<'_>) {
        let is_known = |name: &String| self.has_listener(name);
        if self.process_roles.controller && !self.controller_listener_names.iter().all(is_known) {
            let legal = format!("names from listeners: {}", self.names());
            reading.refuse("controller.listener.names", legal);
        }
    }

    fn read_advertised(&mut self, reading: &mut Reading<'_>) {
        let named = reading.parsed("advertised.listeners", listeners::named_endpoints);
        for (name, endpoint) in named {
            let is_anywhere = matches!(endpoint.host.as_str(), "0.0.0.0" | "::" | "");
            if is_anywhere {
                let legal = format!("hosts that a client can connect to, not {endpoint}");
                reading.refuse("advertised.listeners", legal);
            } else if !self.has_listener(&name) {
                let legal = format!("names from listeners: {}", self.names());
                reading.refuse("advertised.listeners", legal);
            }
            self.advertised_listeners.insert(name, endpoint);
        }
    }

    fn read_inter_broker(&mut self, reading: &mut Reading<'_>) {
        let asked = reading.text("inter.broker.listener.name").map(str::to_uppercase);
        if asked.is_some() && reading.is_set("security.inter.broker.protocol") {
            let legal = "not both this and security.inter.broker.protocol".to_owned();
            reading.refuse("inter.broker.listener.name", legal);
        }
        let protocol =
            reading.text("security.inter.broker.protocol").and_then(SecurityProtocol::parse);
        let found = self.listeners.iter().find(|listener| match &asked {
            Some(name) => listener.name == *name,
            None => {
                Some(listener.security_protocol) == protocol
                    && !self.controller_listener_names.contains(&listener.name)
            }
        });
        match found {
            Some(listener) => self.inter_broker_listener_name = listener.name.clone(),
            None if asked.is_some() => {
                let legal = format!("a name from listeners: {}", self.names());
                reading.refuse("inter.broker.listener.name", legal);
            }
            None if self.process_roles.broker && !self.listeners.is_empty() => {
                let legal = "at least one listener that is not only the controller's".to_owned();
                reading.refuse("listeners", legal);
            }
            None => {}
        }
    }

    fn check_http(&self, reading: &mut Reading<'_>) {
        let is_open = |listener: &HttpListener| !listener.endpoint.is_loopback();
        if !self.http_allow_unauthenticated && self.http_listeners.iter().any(is_open) {
            let legal = "a loopback address such as http://127.0.0.1:9644, because HTTP has no \
                         authentication; http.allow.unauthenticated=true opens it to whoever \
                         reaches this machine";
            reading.refuse("http.listeners", legal.to_owned());
        }
    }
}

fn cluster_id(reading: &mut Reading<'_>) -> Option<String> {
    let id = reading.text("cluster.id")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if id.len() > 64 || !id.chars().all(is_name) {
        reading.refuse("cluster.id", "up to 64 letters, digits, '-', '_' and '.'".to_owned());
    }
    Some(id.to_owned())
}

fn process_roles(reading: &mut Reading<'_>) -> ProcessRoles {
    let roles = reading.list("process.roles");
    if roles.is_empty() {
        reading.refuse("process.roles", "broker, controller, or both".to_owned());
    }
    ProcessRoles {
        broker: roles.iter().any(|role| role.eq_ignore_ascii_case("broker")),
        controller: roles.iter().any(|role| role.eq_ignore_ascii_case("controller")),
    }
}

/// `log.dirs`, else `log.dir`, else the user's own place for data.
fn log_dirs(reading: &Reading<'_>, sources: &Sources) -> Vec<PathBuf> {
    let asked = ["log.dirs", "log.dir"].map(|key| reading.list(key));
    match asked.into_iter().find(|dirs| !dirs.is_empty()) {
        Some(dirs) => dirs.into_iter().map(PathBuf::from).collect(),
        None => vec![default_log_dir(sources)],
    }
}

/// `$XDG_DATA_HOME/milena`, else `$HOME/.local/share/milena`, else `milena-data` right here.
///
/// Not the working directory, because starting the same broker from another place must find the
/// same data; not a temporary directory, because some are emptied.
fn default_log_dir(sources: &Sources) -> PathBuf {
    let absolute = |name: &str| sources.variable(name).map(Path::new).filter(|p| p.is_absolute());
    match (absolute("XDG_DATA_HOME"), absolute("HOME")) {
        (Some(data), _) => data.join("milena"),
        (None, Some(home)) => home.join(".local/share/milena"),
        (None, None) => PathBuf::from("milena-data"),
    }
}

fn quorum(reading: &mut Reading<'_>) -> QuorumConfig {
    QuorumConfig {
        voters: reading.parsed("controller.quorum.voters", listeners::voters),
        bootstrap_servers: reading
            .parsed("controller.quorum.bootstrap.servers", listeners::servers),
        auto_join: reading
            .is_set("controller.quorum.auto.join.enable")
            .then(|| reading.boolean("controller.quorum.auto.join.enable")),
        wants_vote: false,
        election_timeout: reading.millis("controller.quorum.election.timeout.ms"),
        election_backoff_max: reading.millis("controller.quorum.election.backoff.max.ms"),
        fetch_timeout: reading.millis("controller.quorum.fetch.timeout.ms"),
        request_timeout: reading.millis("controller.quorum.request.timeout.ms"),
        retry_backoff: reading.millis("controller.quorum.retry.backoff.ms"),
        append_linger: reading.millis("controller.quorum.append.linger.ms"),
    }
}

fn metadata_log(reading: &Reading<'_>) -> MetadataLogConfig {
    MetadataLogConfig {
        segment_bytes: reading.int("metadata.log.segment.bytes"),
        segment_ms: reading.long("metadata.log.segment.ms"),
        max_record_bytes_between_snapshots: reading
            .long("metadata.log.max.record.bytes.between.snapshots"),
        max_snapshot_interval: reading.millis("metadata.log.max.snapshot.interval.ms"),
        max_idle_interval: reading.millis("metadata.max.idle.interval.ms"),
        max_retention_bytes: reading.long("metadata.max.retention.bytes"),
        max_retention_ms: reading.long("metadata.max.retention.ms"),
    }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The first of several keys that is set, in milliseconds; all negative spans are −1, for ever.
fn first_millis(reading: &Reading<'_>, keys: &[(&str, i64)]) -> i64 {
    keys.iter()
        .find_map(|(key, unit_ms)| Some(reading.number(key)?.saturating_mul(*unit_ms)))
        .unwrap_or(-1)
        .max(-1)
}

fn log_defaults(reading: &Reading<'_>) -> LogDefaults {
    LogDefaults {
        cleanup_policy: reading.list("log.cleanup.policy"),
        retention_ms: first_millis(
            reading,
            &[
                ("log.retention.ms", 1),
                ("log.retention.minutes", MINUTE_MS),
                ("log.retention.hours", HOUR_MS),
            ],
        ),
        retention_bytes: reading.long("log.retention.bytes"),
        retention_check_interval: reading.millis("log.retention.check.interval.ms"),
        segment_bytes: reading.int("log.segment.bytes"),
        roll_ms: first_millis(reading, &[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)]),
        roll_jitter_ms: first_millis(
            reading,
            &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR_MS)],
        ),
        segment_delete_delay: reading.millis("log.segment.delete.delay.ms"),
        flush_interval_messages: reading.long("log.flush.interval.messages"),
        flush_interval_ms: first_millis(
            reading,
            &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        ),
        index_interval_bytes: reading.int("log.index.interval.bytes"),
        index_size_max_bytes: reading.int("log.index.size.max.bytes"),
        preallocate: reading.boolean("log.preallocate"),
        message_timestamp_type: reading
            .text("log.message.timestamp.type")
            .unwrap_or_default()
            .to_owned(),
        message_timestamp_after_max_ms: reading.long("log.message.timestamp.after.max.ms"),
        message_timestamp_before_max_ms: reading.long("log.message.timestamp.before.max.ms"),
    }
}

/// So many of the largest groups fit into a segment of their topic. A batch that changes a group's
/// protocol has the group twice, and its keys.
const GROUPS_PER_SEGMENT: usize = 4;

fn max_group_bytes(reading: &Reading<'_>) -> usize {
    reading.size("offsets.topic.segment.bytes") / GROUPS_PER_SEGMENT
}

fn groups(reading: &Reading<'_>) -> GroupConfig {
    GroupConfig {
        settings: group::Settings {
            initial_rebalance_delay: reading.millis("group.initial.rebalance.delay.ms"),
            min_session_timeout: reading.millis("group.min.session.timeout.ms"),
            max_session_timeout: reading.millis("group.max.session.timeout.ms"),
            max_size: reading.size("group.max.size"),
            max_group_bytes: max_group_bytes(reading),
            offsets_retention: Duration::from_secs(
                60 * u64::try_from(reading.long("offsets.retention.minutes")).unwrap_or_default(),
            ),
            offsets_retention_check_interval: reading.millis("offsets.retention.check.interval.ms"),
            offset_metadata_max_bytes: reading.size("offset.metadata.max.bytes"),
            consumer: consumer_groups(reading),
        },
        offsets_topic_partitions: reading.int("offsets.topic.num.partitions"),
        offsets_topic_replication_factor: reading
            .int("offsets.topic.replication.factor")
            .try_into()
            .unwrap_or(i16::MAX),
        offsets_topic_segment_bytes: reading.int("offsets.topic.segment.bytes"),
        offsets_commit_timeout: reading.millis("offsets.commit.timeout.ms"),
    }
}

fn consumer_groups(reading: &Reading<'_>) -> group::consumer::Settings {
    let assignors = reading.list("group.consumer.assignors");
    let migration = reading.text("group.consumer.migration.policy").unwrap_or_default();
    group::consumer::Settings {
        max_size: reading.size("group.consumer.max.size"),
        max_bytes: max_group_bytes(reading),
        session_timeout: reading.millis("group.consumer.session.timeout.ms"),
        heartbeat_interval: reading.millis("group.consumer.heartbeat.interval.ms"),
        is_heartbeat_interval_set: reading.is_set("group.consumer.heartbeat.interval.ms"),
        assignment_interval: reading.millis("group.consumer.assignment.interval.ms"),
        assignors: assignors
            .iter()
            .filter_map(|name| group::assignor::Kind::of_name(name))
            .collect(),
        migration: group::consumer::Migration::of_name(migration).unwrap_or_default(),
    }
}

fn transactions(reading: &Reading<'_>) -> TransactionConfig {
    TransactionConfig {
        max_timeout_ms: reading.int("transaction.max.timeout.ms"),
        id_expiration: reading.millis("transactional.id.expiration.ms"),
        partition_verification_enable: reading.boolean("transaction.partition.verification.enable"),
        state_log_num_partitions: reading.int("transaction.state.log.num.partitions"),
        state_log_replication_factor: reading
            .int("transaction.state.log.replication.factor")
            .try_into()
            .unwrap_or(i16::MAX),
        state_log_min_isr: reading.int("transaction.state.log.min.isr"),
        state_log_segment_bytes: reading.int("transaction.state.log.segment.bytes"),
    }
}

fn replica(reading: &Reading<'_>) -> ReplicaConfig {
    ReplicaConfig {
        lag_time_max: reading.millis("replica.lag.time.max.ms"),
        fetch_wait_max: reading.millis("replica.fetch.wait.max.ms"),
        fetch_min_bytes: reading.int("replica.fetch.min.bytes"),
        fetch_max_bytes: reading.int("replica.fetch.max.bytes"),
        fetch_response_max_bytes: reading.int("replica.fetch.response.max.bytes"),
        fetch_backoff: reading.millis("replica.fetch.backoff.ms"),
        socket_timeout: reading.millis("replica.socket.timeout.ms"),
        high_watermark_checkpoint_interval: reading
            .millis("replica.high.watermark.checkpoint.interval.ms"),
        is_read_by_rack: reading
            .text("replica.selector.class")
            .is_some_and(|class| class.ends_with("RackAwareReplicaSelector")),
    }
}
