//! Which keys Milena acts on, and why it leaves the others alone.
//!
//! A setting without effect is told at start, so that nobody relies on it.

/// Whether a key has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acting {
    /// It has.
    Yes,
    /// It has none, for this reason.
    No(&'static str),
}

const JVM: &str = "concerns the Java machine, which Milena does without";
const THREADS: &str = "Milena has no thread pool of this kind";
const PURGATORY: &str = "Milena waits without a purgatory";
const TIERED: &str = "tiered storage is not served";
const TLS: &str = "TLS is not served yet";
const SASL: &str = "SASL is not served yet";
const AUTHORIZATION: &str = "access control and delegation tokens are not served yet";
const GROUPS: &str = "consumer groups are not served yet";
const SHARE: &str = "share groups are not served yet";
const TRANSACTIONS: &str = "transactions are not served yet";
const QUOTAS: &str = "quotas are not served yet";
const COMPACTION: &str = "compaction is not served yet";
const METRICS: &str = "metrics are served at /metrics, without reporters and samples";
const ONE_NODE: &str = "has an effect only between several nodes";
const PLUGIN: &str = "Java plug-ins cannot be loaded";
const INTERNAL: &str = "internal to Kafka";
const UNUSED: &str = "nothing in Milena reads it";

/// Families of keys without effect, by prefix. The first that fits holds.
const WITHOUT: &[(&str, &str)] = &[
    ("add.partitions.to.txn.", TRANSACTIONS),
    ("alter.config.policy.", PLUGIN),
    ("alter.log.dirs.", QUOTAS),
    ("authorizer.", AUTHORIZATION),
    ("auto.leader.rebalance.", ONE_NODE),
    ("background.threads", THREADS),
    ("client.quota.", PLUGIN),
    ("compression.gzip.", UNUSED),
    ("compression.lz4.", UNUSED),
    ("compression.zstd.", UNUSED),
    ("config.providers", PLUGIN),
    ("connection.failed.authentication.", SASL),
    ("connections.max.reauth.", SASL),
    ("controlled.shutdown.", ONE_NODE),
    ("controller.performance.", INTERNAL),
    ("controller.quorum.", ONE_NODE),
    ("controller.quota.", QUOTAS),
    ("controller.socket.", ONE_NODE),
    ("cordoned.", UNUSED),
    ("create.topic.policy.", PLUGIN),
    ("default.replication.factor.", ONE_NODE),
    ("delegation.token.", AUTHORIZATION),
    ("delete.records.purgatory.", PURGATORY),
    ("early.start.", AUTHORIZATION),
    ("fetch.purgatory.", PURGATORY),
    ("follower.", TIERED),
    ("group.share.", SHARE),
    ("group.", GROUPS),
    ("initial.broker.registration.", ONE_NODE),
    ("internal.", INTERNAL),
    ("kafka.metrics.", METRICS),
    ("leader.imbalance.", ONE_NODE),
    ("log.cleaner.", COMPACTION),
    ("log.dir.failure.", UNUSED),
    ("log.flush.offset.", UNUSED),
    ("log.flush.start.", UNUSED),
    ("log.initial.task.", INTERNAL),
    ("log.local.", TIERED),
    ("log.preallocate", UNUSED),
    ("metadata.log.segment.", UNUSED),
    ("metadata.max.idle.", ONE_NODE),
    ("metadata.max.retention.", UNUSED),
    ("metric.reporters", METRICS),
    ("metrics.", METRICS),
    ("num.io.", THREADS),
    ("num.network.", THREADS),
    ("num.recovery.", THREADS),
    ("num.replica.", ONE_NODE),
    ("offset.metadata.", GROUPS),
    ("offsets.", GROUPS),
    ("principal.", PLUGIN),
    ("producer.purgatory.", PURGATORY),
    ("queued.max.requests", UNUSED),
    ("quota.", QUOTAS),
    ("remote.", TIERED),
    ("replica.", ONE_NODE),
    ("replication.quota.", QUOTAS),
    ("request.timeout.", ONE_NODE),
    ("sasl.", SASL),
    ("security.providers", JVM),
    ("server.max.startup.", INTERNAL),
    ("share.", SHARE),
    ("socket.connection.setup.", ONE_NODE),
    ("ssl.", TLS),
    ("telemetry.", UNUSED),
    ("transaction", TRANSACTIONS),
    ("unclean.leader.election.", ONE_NODE),
    ("unstable.", INTERNAL),
];

/// Whether Milena acts on a key.
#[must_use]
pub fn acting(name: &str) -> Acting {
    WITHOUT
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map_or(Acting::Yes, |(_, reason)| Acting::No(reason))
}
