//! How the clients are set up: impatient, so that what is measured is the cluster.

use rdkafka::ClientConfig;

/// The topic under test.
pub const TOPIC: &str = "nemesis";
/// What is changed again and again, to see whether there is a controller.
pub const PROBE_TOPIC: &str = "nemesis-probe";

/// What the clients have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where they begin.
    pub bootstrap: String,
    /// Partitions of the topic.
    pub partitions: u32,
    /// Bytes of a record.
    pub size: usize,
}

impl Settings {
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("reconnect.backoff.ms", "10")
            .set("reconnect.backoff.max.ms", "100")
            .set("retry.backoff.ms", "10")
            .set("retry.backoff.max.ms", "100")
            .set("topic.metadata.refresh.fast.interval.ms", "50")
            .set("socket.timeout.ms", "5500")
            .set("socket.connection.setup.timeout.ms", "2000")
            .set("log_level", "0");
        config
    }

    /// A producer: idempotent, and so with acks=all and in order.
    #[must_use]
    pub fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("request.timeout.ms", "5000")
            // Longer than any fault: until then an outcome is not given up.
            .set("message.timeout.ms", "120000")
            .set("queue.buffering.max.messages", "200000")
            .set("linger.ms", "5");
        config
    }

    /// A consumer that says where it begins.
    #[must_use]
    pub fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.error.backoff.ms", "50");
        config
    }

    /// A member of a group.
    #[must_use]
    pub fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer(group);
        config
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "10000");
        config
    }
}
