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
const COORDINATOR: &str = "the coordinators run on the connections' threads, without buffers";
const STREAMS: &str = "streams groups are not served yet";
const SHARE: &str = "share groups are not served yet";
const ON_TIME: &str = "what is due is done when it is due, without a sweep";
const TWO_PHASES: &str = "two-phase commit is not served";
const WAITS: &str = "a request waits for the transaction before instead of asking again";
const QUOTAS: &str = "quotas are not served yet";
const METRICS: &str = "metrics are served at /metrics, without reporters and samples";
const WITH_MARKS: &str = "it is written with the other marks of a log";
const PLUGIN: &str = "Java plug-ins cannot be loaded";
const BUFFERS: &str = "the system sizes socket buffers by what a connection carries";
const INTERNAL: &str = "internal to Kafka";
const UNUSED: &str = "nothing in Milena reads it";

/// Families of keys without effect, by prefix. The first that fits holds.
const WITHOUT: &[(&str, &str)] = &[
    ("add.partitions.to.txn.", WAITS),
    ("alter.config.policy.", PLUGIN),
    ("alter.log.dirs.", QUOTAS),
    ("authorizer.", AUTHORIZATION),
    ("background.threads", THREADS),
    ("client.quota.", PLUGIN),
    ("compression.lz4.", "LZ4 is written at one level only"),
    ("config.providers", PLUGIN),
    ("connection.failed.authentication.", SASL),
    ("connections.max.reauth.", SASL),
    ("controller.performance.", INTERNAL),
    ("controller.quorum.append.", "what comes during a sync shares the next one"),
    ("controller.quorum.election.backoff.", "voters wait by a rank that all of them know"),
    ("controller.quorum.fetch.max.", UNUSED),
    ("controller.quorum.fetch.snapshot.", UNUSED),
    ("controller.quota.", QUOTAS),
    ("controller.socket.", UNUSED),
    ("cordoned.", UNUSED),
    ("create.topic.policy.", PLUGIN),
    ("delegation.token.", AUTHORIZATION),
    ("delete.records.purgatory.", PURGATORY),
    ("early.start.", AUTHORIZATION),
    ("fetch.purgatory.", PURGATORY),
    ("follower.fetch.", TIERED),
    ("group.share.", SHARE),
    ("group.streams.", STREAMS),
    ("group.coordinator.", COORDINATOR),
    ("group.consumer.regex.", "expressions are looked up when topics change"),
    ("internal.", INTERNAL),
    ("kafka.metrics.", METRICS),
    ("log.dir.failure.", UNUSED),
    ("log.flush.offset.", UNUSED),
    ("log.flush.start.", UNUSED),
    ("log.initial.task.", INTERNAL),
    ("log.local.", TIERED),
    ("log.preallocate", UNUSED),
    ("max.connection.creation.", QUOTAS),
    ("max.connections.per.ip.overrides", "one limit holds for every address"),
    ("metadata.log.segment.ms", UNUSED),
    ("metadata.max.idle.", "followers are told of progress without records"),
    ("metadata.max.retention.", UNUSED),
    ("metric.reporters", METRICS),
    ("metrics.", METRICS),
    ("num.io.", THREADS),
    ("num.network.", THREADS),
    ("num.recovery.", THREADS),
    ("num.replica.alter.", UNUSED),
    ("offsets.load.", COORDINATOR),
    ("offsets.topic.compression.", COORDINATOR),
    ("principal.", PLUGIN),
    ("producer.id.expiration.check.", UNUSED),
    ("producer.purgatory.", PURGATORY),
    ("queued.max.requests", UNUSED),
    ("quota.", QUOTAS),
    ("remote.", TIERED),
    ("replica.alter.log.dirs.", QUOTAS),
    ("replica.high.watermark.checkpoint.", WITH_MARKS),
    ("replica.socket.receive.", BUFFERS),
    ("sasl.", SASL),
    ("security.providers", JVM),
    ("server.max.startup.", INTERNAL),
    ("share.", SHARE),
    ("socket.connection.setup.", UNUSED),
    ("socket.receive.buffer.", BUFFERS),
    ("socket.send.buffer.", BUFFERS),
    ("ssl.", TLS),
    ("telemetry.", UNUSED),
    ("transaction.abort.", ON_TIME),
    ("transaction.remove.", ON_TIME),
    ("transaction.state.log.load.", UNUSED),
    ("transaction.two.", TWO_PHASES),
    ("unclean.leader.election.interval.", "looked at together with the balance of leaders"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::declared;

    /// A family that is gone, or was never there, would be excused for ever.
    #[test]
    fn every_family_has_a_key() {
        for (index, (prefix, _)) in WITHOUT.iter().enumerate() {
            let is_first = |name: &str| {
                WITHOUT.iter().position(|(prefix, _)| name.starts_with(prefix)) == Some(index)
            };
            let has_key = declared::all().iter().any(|declared| is_first(declared.name));
            assert!(has_key, "no key begins with {prefix}");
        }
    }

    /// The keys that everybody sets would be called without effect, or secrets with one.
    #[test]
    fn the_keys_of_one_node_have_an_effect() {
        for key in ["listeners", "log.dirs", "log.retention.ms", "num.partitions", "node.id"] {
            assert_eq!(acting(key), Acting::Yes, "{key}");
        }
        for key in ["ssl.key.password", "num.io.threads", "replica.socket.receive.buffer.bytes"] {
            assert_ne!(acting(key), Acting::Yes, "{key}");
        }
    }
}
