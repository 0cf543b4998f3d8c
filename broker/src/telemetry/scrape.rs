//! The figures of a node as Prometheus reads them.
//!
//! The names are those that Kafka's figures have behind Strimzi's rules for the JMX exporter, and
//! for partitions those of `kafka_exporter` too, so that the dashboards and alerts that people
//! have work unchanged. Names of our own begin with `milena_`, those of the process with
//! `process_`.

mod groups;

use std::fmt;

use milena_protocol::api::ApiKey;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue};
use prometheus_client::encoding::{EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::metrics::{ApiCounts, Count, DURATION_BOUNDS_US, Metrics, TopicCounts};
use super::process::ProcessFigures;
use super::state::{NodeState, PartitionState};
use crate::diagnosis::Standing;

/// The media type of what [`Metrics::encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Partitions that are told one by one.
pub const MAX_PARTITIONS: usize = 10_000;

impl Metrics {
    /// All figures as OpenMetrics text: the counters, and the node's state as of now.
    #[must_use]
    pub fn encode(&self, state: NodeState) -> String {
        let process = ProcessFigures::read();
        let scrape = Scrape { metrics: self.clone(), state, process, idle: self.idle_ratio() };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .expect("writing to a String cannot fail");
        text
    }
}

#[derive(Debug)]
struct Scrape {
    metrics: Metrics,
    state: NodeState,
    process: ProcessFigures,
    idle: f64,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        self.topics(&mut page)?;
        self.replicas(&mut page)?;
        self.controller(&mut page)?;
        self.quorum(&mut page)?;
        self.network(&mut page)?;
        self.partitions(&mut page)?;
        self.groups(&mut page)?;
        self.directories(&mut page)?;
        self.compaction(&mut page)?;
        self.process(&mut page)
    }
}

impl Scrape {
    fn topics(&self, page: &mut Page<'_>) -> fmt::Result {
        type Counted = fn(&TopicCounts) -> &Count;
        let families: [(&str, &str, Counted); 7] = [
            ("messagesin", "Records appended for clients", |c| &c.messages_in),
            ("bytesin", "Bytes appended for clients", |c| &c.bytes_in),
            ("bytesout", "Bytes fetched by clients", |c| &c.bytes_out),
            ("totalproducerequests", "Produces to a partition", |c| &c.produce_requests),
            ("totalfetchrequests", "Fetches from a partition", |c| &c.fetch_requests),
            ("failedproducerequests", "Failed produces", |c| &c.failed_produce_requests),
            ("failedfetchrequests", "Failed fetches", |c| &c.failed_fetch_requests),
        ];
        let topics = self.metrics.topics();
        for (name, help, counted) in families {
            let name = format!("kafka_server_brokertopicmetrics_{name}");
            let mut family = page.family(&name, help, MetricType::Counter)?;
            counter(&mut family, counted(self.metrics.all_topics()).now())?;
            for (topic, counts) in &topics {
                let labels = [("topic", topic.as_str())];
                counter(&mut family.encode_family(&labels)?, counted(counts).now())?;
            }
        }
        Ok(())
    }

    fn replicas(&self, page: &mut Page<'_>) -> fmt::Result {
        let led = || self.state.partitions.iter().filter(|partition| partition.is_leader);
        let prefix = "kafka_server_replicamanager";
        let figures = [
            ("leadercount", "Partitions led by this node", led().count()),
            ("partitioncount", "Partitions on this node", self.state.partitions.len()),
            (
                "underreplicatedpartitions",
                "Led partitions with replicas out of sync",
                led().filter(|partition| partition.standing.is_under_replicated()).count(),
            ),
            (
                "underminisrpartitioncount",
                "Led partitions with too few replicas in sync for acks=all",
                led().filter(|partition| partition.standing.is_under_min_isr()).count(),
            ),
            (
                "atminisrpartitioncount",
                "Led partitions with just enough replicas in sync for acks=all",
                led().filter(|partition| partition.standing.is_at_min_isr()).count(),
            ),
            (
                "reassigningpartitions",
                "Led partitions whose replicas are being moved",
                led().filter(|partition| partition.standing.is_moving).count(),
            ),
        ];
        for (name, help, value) in figures {
            page.gauge(&format!("{prefix}_{name}"), help, value)?;
        }
        let state = &self.state;
        for (name, help, count) in [
            ("isrshrinks", "Replicas that left those in sync", state.isr_shrinks),
            ("isrexpands", "Replicas that joined those in sync", state.isr_expands),
            ("failedisrupdates", "Changes of those in sync that failed", state.failed_isr_updates),
        ] {
            page.counter(&format!("{prefix}_{name}"), help, count)?;
        }
        for (name, help, rate) in [
            (
                "leaderreplication",
                "Bytes a second that followers take of throttled partitions",
                state.leader_throttled_byte_rate,
            ),
            (
                "followerreplication",
                "Bytes a second that this node takes of throttled partitions",
                state.follower_throttled_byte_rate,
            ),
        ] {
            page.gauge(&format!("kafka_server_{name}_byte_rate"), help, rate)?;
        }
        let prefix = "kafka_server_replicafetchermanager";
        let lags = state.partitions.iter().filter_map(|partition| partition.fetch_lag);
        let help = "How far this node is behind a leader, at most";
        page.gauge(&format!("{prefix}_maxlag"), help, lags.max().unwrap_or(0))?;
        let failed = state.partitions.iter().filter(|partition| partition.has_failed).count();
        let help = "Partitions that cannot follow their leader";
        page.gauge(&format!("{prefix}_failedpartitionscount"), help, failed)
    }

    fn compaction(&self, page: &mut Page<'_>) -> fmt::Result {
        let counts = &self.metrics.compaction;
        let prefix = "kafka_log_logcleanermanager";
        let name = format!("{prefix}_uncleanable_partitions_count");
        page.gauge(&name, "Logs that cannot be compacted", counts.uncleanable())?;
        let name = format!("{prefix}_max_dirty_percent");
        page.gauge(&name, "The dirty part of the dirtiest log", counts.dirtiest_percent())?;
        for (name, help, count) in [
            ("passes", "Logs that were compacted", &counts.passes),
            ("read_bytes", "Bytes that compaction read", &counts.read_bytes),
            ("kept_bytes", "Bytes that compaction left", &counts.kept_bytes),
            ("removed_bytes", "Bytes that compaction took away", &counts.removed_bytes),
        ] {
            let name = format!("milena_compaction_{name}");
            counter(&mut page.family(&name, help, MetricType::Counter)?, count.now())?;
        }
        Ok(())
    }

    fn controller(&self, page: &mut Page<'_>) -> fmt::Result {
        let state = &self.state;
        let partitions = state.topics.iter().map(|(_, partitions)| partitions).sum::<usize>();
        let prefix = "kafka_controller_kafkacontroller";
        let figures = [
            (
                "activecontrollercount",
                "1 on the active controller, 0 elsewhere",
                usize::from(state.is_active_controller),
            ),
            ("activebrokercount", "Brokers in service", state.active_brokers),
            ("fencedbrokercount", "Brokers that are fenced", state.fenced_brokers),
            ("globaltopiccount", "Topics of the cluster", state.topics.len()),
            ("globalpartitioncount", "Partitions of the cluster", partitions),
            ("offlinepartitionscount", "Partitions without a leader", state.offline_partitions),
            (
                "preferredreplicaimbalancecount",
                "Partitions not led by their preferred replica",
                state.preferred_replica_imbalance,
            ),
        ];
        for (name, help, value) in figures {
            page.gauge(&format!("{prefix}_{name}"), help, value)?;
        }
        page.counter(
            "kafka_controller_controllerstats_uncleanleaderelections",
            "Elections of a replica that was not in sync",
            state.unclean_leader_elections,
        )
    }

    fn quorum(&self, page: &mut Page<'_>) -> fmt::Result {
        let quorum = &self.state.quorum;
        let prefix = "kafka_server_raftmetrics";
        let figures: [(&str, &str, i64); 5] = [
            ("current_leader", "Leader of the metadata quorum, -1 none", quorum.leader.0.into()),
            ("current_epoch", "Epoch of the metadata quorum", quorum.epoch.0.into()),
            ("current_vote", "Whom this node voted for, -1 nobody", quorum.voted_for.0.into()),
            ("high_watermark", "Committed metadata, exclusive", quorum.high_watermark.0),
            ("log_end_offset", "Written metadata, exclusive", quorum.log_end_offset.0),
        ];
        for (name, help, value) in figures {
            page.gauge(&format!("{prefix}_{name}"), help, value)?;
        }
        let name = format!("{prefix}_current_state");
        let help = "This node's role in the metadata quorum";
        let mut family = page.family(&name, help, MetricType::Gauge)?;
        family.encode_family(&[("current_state", quorum.role)])?.encode_gauge(&1i64)?;
        self.pace(page)?;
        let name = format!("{prefix}_number_of_voters");
        page.gauge(&name, "Voters of the metadata quorum", quorum.voters)?;
        let observers = quorum.replicas.iter().filter(|replica| !replica.is_voter).count();
        let name = format!("{prefix}_number_of_observers");
        page.gauge(&name, "Others that follow the metadata, told by the leader", observers)?;
        let help = "Records that a node is behind in the metadata, told by the leader, -1 unknown";
        let mut family = page.family("milena_quorum_replica_lag", help, MetricType::Gauge)?;
        for replica in &quorum.replicas {
            let node = replica.node.to_string();
            let role = if replica.is_voter { "voter" } else { "observer" };
            let labels = [("node", node.as_str()), ("role", role)];
            family.encode_family(&labels)?.encode_gauge(&replica.lag)?;
        }
        Ok(())
    }

    fn pace(&self, page: &mut Page<'_>) -> fmt::Result {
        let pace = &self.state.quorum.pace;
        let (commit, election) = (pace.commit_latency, pace.election_latency);
        for (name, help, value) in [
            (
                "append_records_rate",
                "Metadata records appended per second",
                pace.append_records_rate,
            ),
            ("fetch_records_rate", "Metadata records fetched per second", pace.fetch_records_rate),
            ("commit_latency_avg", "Milliseconds from append to commit", commit.avg_ms),
            ("commit_latency_max", "Milliseconds from append to commit, at most", commit.max_ms),
            ("election_latency_avg", "Milliseconds that elections took", election.avg_ms),
            ("election_latency_max", "Milliseconds that elections took, at most", election.max_ms),
        ] {
            page.gauge(&format!("kafka_server_raftmetrics_{name}"), help, value)?;
        }
        Ok(())
    }

    fn network(&self, page: &mut Page<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let connections = metrics.connections();
        page.gauge(
            "kafka_server_socket_server_metrics_connection_count",
            "Open connections",
            connections,
        )?;
        page.counter(
            "milena_connections_opened",
            "Connections that were ever opened",
            metrics.connections_opened(),
        )?;
        page.counter(
            "milena_connections_refused",
            "Connections that were not let in",
            metrics.connections_refused(),
        )?;
        let idle_help = "Part of the processors' time that this process left alone, 0 to 1";
        for name in [
            "kafka_network_socketserver_networkprocessoravgidle_percent",
            "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
        ] {
            page.gauge(name, idle_help, self.idle)?;
        }
        page.gauge(
            "milena_request_bytes_held",
            "Request bytes held by all connections",
            self.state.request_bytes_held,
        )?;
        page.gauge(
            "kafka_server_fetchsessioncache_numincrementalfetchsessions",
            "Incremental fetch sessions",
            self.state.fetch_sessions,
        )?;
        self.requests(page)
    }

    fn requests(&self, page: &mut Page<'_>) -> fmt::Result {
        type Counted = fn(&ApiCounts) -> &Count;
        let families: [(&str, &str, Counted); 4] = [
            ("kafka_network_requestmetrics_requests", "Requests", |c| &c.requests),
            ("kafka_network_requestmetrics_errors", "Failed requests", |c| &c.errors),
            ("kafka_network_requestmetrics_requestbytes", "Bytes received", |c| &c.request_bytes),
            ("kafka_network_requestmetrics_responsebytes", "Bytes sent", |c| &c.response_bytes),
        ];
        let served: Vec<(String, &ApiCounts)> = ApiKey::all()
            .filter_map(|key| Some((format!("{key:?}"), self.metrics.api(key)?)))
            .filter(|(_, counts)| counts.requests.now() > 0)
            .collect();
        for (name, help, counted) in families {
            let mut family = page.family(name, help, MetricType::Counter)?;
            for (request, counts) in &served {
                let labels = [("request", request.as_str())];
                counter(&mut family.encode_family(&labels)?, counted(counts).now())?;
            }
        }
        let name = "milena_request_duration_seconds";
        let help = "From the whole request to the whole answer, waiting included";
        let mut family = page.family(name, help, MetricType::Histogram)?;
        for (request, counts) in &served {
            let labels = [("request", request.as_str())];
            histogram(&mut family.encode_family(&labels)?, counts)?;
        }
        Ok(())
    }

    fn partitions(&self, page: &mut Page<'_>) -> fmt::Result {
        let name = "kafka_topic_partitions";
        let mut family = page.family(name, "Partitions of a topic", MetricType::Gauge)?;
        for (topic, partitions) in self.state.topics.iter().take(MAX_PARTITIONS) {
            let labels = [("topic", topic.as_str())];
            family.encode_family(&labels)?.encode_gauge(partitions)?;
        }
        self.standings(page)?;
        let told = self.state.partitions.iter().take(MAX_PARTITIONS);
        type Figure = fn(&PartitionState) -> i64;
        let families: [(&str, &str, Figure); 10] = [
            ("milena_partition_eligible_leaders", "Out of sync, with every record", |p| {
                p.eligible_leaders as i64
            }),
            ("milena_partition_leader_epoch", "Grows with every election", |p| {
                p.leader_epoch.0.into()
            }),
            ("milena_partition_reassigning", "Replicas are being moved", |p| {
                p.standing.is_moving.into()
            }),
            ("kafka_log_log_size", "Bytes on disk", |p| p.log_bytes as i64),
            ("kafka_topic_partition_current_offset", "What consumers may read, exclusive", |p| {
                p.high_watermark.0
            }),
            ("kafka_topic_partition_oldest_offset", "First readable offset", |p| {
                p.log_start_offset.0
            }),
            ("kafka_topic_partition_leader", "The leader, -1 none", |p| p.leader.0.into()),
            ("kafka_topic_partition_leader_is_preferred", "The first replica leads", |p| {
                p.leader_is_preferred.into()
            }),
            ("kafka_topic_partition_replicas", "Replicas", |p| p.standing.replicas as i64),
            ("kafka_topic_partition_in_sync_replica", "Replicas in sync", |p| {
                p.standing.in_sync as i64
            }),
        ];
        for (name, help, figure) in families {
            let mut family = page.family(name, help, MetricType::Gauge)?;
            for state in told.clone() {
                partition_gauge(&mut family, state, figure(state))?;
            }
        }
        let name = "kafka_topic_partition_under_replicated_partition";
        let mut family = page.family(name, "Replicas are out of sync", MetricType::Gauge)?;
        for state in told {
            partition_gauge(&mut family, state, state.standing.is_under_replicated().into())?;
        }
        self.lags(page)?;
        let left_out = self.state.partitions.len().saturating_sub(MAX_PARTITIONS);
        page.gauge("milena_partitions_left_out", "Partitions not told one by one", left_out)
    }

    /// Kafka tells these only where the partition is led: their sums are the cluster's.
    fn standings(&self, page: &mut Page<'_>) -> fmt::Result {
        type Figure = fn(&Standing) -> i64;
        let led: [(&str, &str, Figure); 5] = [
            ("replicascount", "Replicas, at the leader", |it| it.wanted() as i64),
            ("insyncreplicascount", "Replicas in sync, at the leader", |it| it.in_sync as i64),
            ("underreplicated", "Replicas are out of sync, at the leader", |it| {
                it.is_under_replicated().into()
            }),
            ("underminisr", "Too few replicas in sync, at the leader", |it| {
                it.is_under_min_isr().into()
            }),
            ("atminisr", "Just enough replicas in sync, at the leader", |it| {
                it.is_at_min_isr().into()
            }),
        ];
        let told = self.state.partitions.iter().take(MAX_PARTITIONS);
        for (name, help, figure) in led {
            let name = format!("kafka_cluster_partition_{name}");
            let mut family = page.family(&name, help, MetricType::Gauge)?;
            for state in told.clone() {
                let value = if state.is_leader { figure(&state.standing) } else { 0 };
                partition_gauge(&mut family, state, value)?;
            }
        }
        Ok(())
    }

    fn lags(&self, page: &mut Page<'_>) -> fmt::Result {
        let told = self.state.partitions.iter().take(MAX_PARTITIONS);
        let name = "kafka_server_fetcherlagmetrics_consumerlag";
        let mut family = page.family(name, "Behind the leader", MetricType::Gauge)?;
        for state in told.clone() {
            if let Some(lag) = state.fetch_lag {
                partition_gauge(&mut family, state, lag)?;
            }
        }
        let name = "milena_partition_replica_lag";
        let mut family = page.family(name, "Behind this leader, by replica", MetricType::Gauge)?;
        for state in told {
            for (replica, lag) in &state.replica_lags {
                let partition = state.partition.to_string();
                let replica = replica.to_string();
                let labels = [
                    ("topic", state.topic.as_str()),
                    ("partition", partition.as_str()),
                    ("replica", replica.as_str()),
                ];
                family.encode_family(&labels)?.encode_gauge(lag)?;
            }
        }
        Ok(())
    }

    fn directories(&self, page: &mut Page<'_>) -> fmt::Result {
        let directories = &self.state.log_directories;
        let offline = directories.iter().filter(|directory| directory.is_offline).count();
        page.gauge(
            "kafka_log_logmanager_offlinelogdirectorycount",
            "Data directories that failed",
            offline,
        )?;
        let paths: Vec<_> =
            directories.iter().map(|directory| directory.path.to_string_lossy()).collect();
        let families = [
            ("milena_log_directory_total_bytes", "Size of the file system"),
            ("milena_log_directory_free_bytes", "What is free on the file system"),
        ];
        for (index, (name, help)) in families.into_iter().enumerate() {
            let mut family = page.family(name, help, MetricType::Gauge)?;
            for (directory, path) in directories.iter().zip(&paths) {
                let bytes = if index == 0 { directory.total_bytes } else { directory.free_bytes };
                let labels = [("path", path.as_ref())];
                family.encode_family(&labels)?.encode_gauge(&bytes)?;
            }
        }
        Ok(())
    }

    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let id = self.state.node_id.to_string();
        let mut family =
            page.family("kafka_broker_info", "This broker and its address", MetricType::Gauge)?;
        let labels = [("id", id.as_str()), ("address", self.state.address.as_str())];
        family.encode_family(&labels)?.encode_gauge(&1i64)?;
        let mut family = page.family("milena_build", "What runs here", MetricType::Gauge)?;
        let labels =
            [("version", env!("CARGO_PKG_VERSION")), ("cluster_id", &self.state.cluster_id)];
        family.encode_family(&labels)?.encode_gauge(&1i64)?;
        page.counter(
            "process_cpu_seconds",
            "Processor time of all threads",
            self.process.cpu.as_secs_f64(),
        )?;
        page.gauge(
            "process_start_time_seconds",
            "When the process started, since 1970",
            self.metrics.started_at_unix_seconds(),
        )?;
        let figures = [
            ("process_resident_memory_bytes", "Memory in use", self.process.resident_bytes),
            ("process_virtual_memory_bytes", "Memory mapped", self.process.virtual_bytes),
            ("process_open_fds", "Open descriptors", self.process.open_descriptors),
            ("process_max_fds", "Descriptors there may be", self.process.max_descriptors),
            ("process_threads", "Threads", self.process.threads),
        ];
        for (name, help, value) in figures {
            if let Some(value) = value {
                page.gauge(name, help, value)?;
            }
        }
        Ok(())
    }
}

/// The page that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.family(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        counter(&mut self.family(name, help, MetricType::Counter)?, value)
    }
}

fn counter(encoder: &mut MetricEncoder<'_>, value: impl EncodeCounterValue) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn histogram(encoder: &mut MetricEncoder<'_>, counts: &ApiCounts) -> fmt::Result {
    let bounds = DURATION_BOUNDS_US.iter().map(|micros| *micros as f64 / 1e6);
    let buckets: Vec<_> =
        bounds.chain([f64::MAX]).zip(counts.durations.iter().map(Count::now)).collect();
    // The classes are read one after the other while requests go on; their sum is the count that
    // fits them.
    let count = buckets.iter().map(|(_, count)| count).sum();
    let seconds = counts.duration_us.now() as f64 / 1e6;
    encoder.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
}

fn partition_gauge(
    family: &mut MetricEncoder<'_>,
    state: &PartitionState,
    value: i64,
) -> fmt::Result {
    let labels = PartitionLabels { topic: &state.topic, partition: state.partition.0 };
    family.encode_family(&labels)?.encode_gauge(&value)
}

#[derive(Debug)]
struct PartitionLabels<'a> {
    topic: &'a str,
    partition: i32,
}

impl EncodeLabelSet for PartitionLabels<'_> {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelSetEncoder) -> fmt::Result {
        use prometheus_client::encoding::EncodeLabel;
        ("topic", self.topic).encode(encoder.encode_label())?;
        ("partition", self.partition).encode(encoder.encode_label())
    }
}

#[cfg(test)]
mod tests;
