//! `milena topic describe`.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use clap::Args;
use milena_client::admin::{Admin, ConfigEntry, ConfigSource, OffsetSpec, Resource};
use milena_client::consumer::Isolation;
use milena_client::metadata::{Partition, Topic};
use milena_protocol::ids::{NodeId, Offset, PartitionIndex};
use serde_json::{Value, json};

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, shown_bytes, shown_count, write_json};
use crate::cli::table::Table;

/// The arguments of `milena topic describe`.
#[derive(Args, Clone, Debug)]
pub struct Describe {
    /// The topics.
    #[arg(required = true)]
    names: Vec<String>,
    /// Every setting, also those that nobody set.
    #[arg(short, long)]
    all: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Describe, out: &mut impl Write) -> Result<(), CliError> {
    let described = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let mut described = Vec::new();
        for name in &arguments.names {
            described.push(Described::ask(&admin, name, arguments.all).await?);
        }
        Ok(described)
    })?;
    if arguments.json {
        let told: Vec<_> = described.iter().map(Described::json).collect();
        return Ok(write_json(&told, out)?);
    }
    for (index, topic) in described.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        topic.write(out)?;
    }
    Ok(())
}

struct Described {
    topic: Arc<Topic>,
    configs: Vec<ConfigEntry>,
    /// First and end offset, by partition; none where no leader answers.
    offsets: Vec<(Offset, Offset)>,
    /// Bytes on the leader's disk.
    sizes: BTreeMap<PartitionIndex, i64>,
}

impl Described {
    async fn ask(admin: &Admin, name: &str, all: bool) -> Result<Self, CliError> {
        let topic = admin.describe_topic(name).await?;
        let mut configs = admin.describe_configs(&Resource::Topic(name.to_owned()), false).await?;
        configs.retain(|entry| all || entry.source == ConfigSource::Topic);
        let is_led = topic.partitions.iter().all(|partition| partition.leader.is_some());
        let mut offsets = Vec::new();
        if is_led {
            let isolation = Isolation::ReadUncommitted;
            let first = admin.list_offsets(name, OffsetSpec::Earliest, isolation).await?;
            let end = admin.list_offsets(name, OffsetSpec::Latest, isolation).await?;
            offsets = first.iter().zip(&end).map(|(a, b)| (a.offset, b.offset)).collect();
        }
        let sizes = sizes(admin, &topic).await;
        Ok(Self { topic, configs, offsets, sizes })
    }

    fn offsets(&self, partition: &Partition) -> Option<(Offset, Offset)> {
        self.offsets.get(usize::try_from(partition.index.0).ok()?).copied()
    }

    fn write(&self, out: &mut impl Write) -> Result<(), CliError> {
        let total = self.offsets.iter().map(|(first, end)| end.0 - first.0).sum();
        writeln!(out, "topic     {}", self.topic.name)?;
        writeln!(out, "id        {}", self.topic.id)?;
        writeln!(out, "offsets   {} between first and end", shown_count(total))?;
        writeln!(out, "size      {}", shown_bytes(self.sizes.values().sum()))?;
        for (index, entry) in self.configs.iter().enumerate() {
            let title = if index == 0 { "settings" } else { "" };
            let value = match (&entry.value, entry.is_sensitive) {
                (_, true) => "[hidden]",
                (Some(value), _) => value,
                (None, _) => "(unset)",
            };
            let source = match entry.source {
                ConfigSource::Topic => String::new(),
                other => format!("  [{}]", other.name()),
            };
            writeln!(out, "{title:<8}  {} = {value}{source}", entry.name)?;
        }
        writeln!(out)?;
        let titles =
            [">PARTITION", ">LEADER", ">EPOCH", "REPLICAS", "ISR", ">FIRST", ">END", ">SIZE"];
        let mut table = Table::new(&titles);
        for partition in &self.topic.partitions {
            let offset = |pick: fn((Offset, Offset)) -> Offset| {
                self.offsets(partition).map_or("–".to_owned(), |both| shown_count(pick(both).0))
            };
            table.row([
                partition.index.to_string(),
                partition.leader.map_or("none".to_owned(), |leader| leader.to_string()),
                partition.leader_epoch.to_string(),
                nodes(&partition.replicas),
                nodes(&partition.isr),
                offset(|both| both.0),
                offset(|both| both.1),
                shown_bytes(self.sizes.get(&partition.index).copied().unwrap_or(-1)),
            ]);
        }
        Ok(table.write("", out)?)
    }

    fn json(&self) -> Value {
        let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
        let partitions = self.topic.partitions.iter().map(|partition| {
            let offsets = self.offsets(partition);
            json!({
                "partition": partition.index.0,
                "leader": partition.leader.map(|leader| leader.0),
                "leader_epoch": partition.leader_epoch.0,
                "replicas": ids(&partition.replicas),
                "isr": ids(&partition.isr),
                "offline": ids(&partition.offline),
                "first_offset": offsets.map(|both| both.0.0),
                "end_offset": offsets.map(|both| both.1.0),
                "bytes": self.sizes.get(&partition.index),
            })
        });
        let configs = self.configs.iter().map(|entry| {
            json!({
                "name": entry.name,
                "value": entry.value,
                "source": entry.source.name(),
                "is_sensitive": entry.is_sensitive,
                "is_read_only": entry.is_read_only,
            })
        });
        json!({
            "name": *self.topic.name,
            "id": self.topic.id.to_string(),
            "is_internal": self.topic.is_internal,
            "configs": configs.collect::<Vec<_>>(),
            "partitions": partitions.collect::<Vec<_>>(),
        })
    }
}

fn nodes(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// How large each partition is on its leader's disk. Brokers that do not tell leave gaps.
async fn sizes(admin: &Admin, topic: &Topic) -> BTreeMap<PartitionIndex, i64> {
    let mut sizes = BTreeMap::new();
    let mut leaders: Vec<NodeId> =
        topic.partitions.iter().filter_map(|partition| partition.leader).collect();
    leaders.sort_unstable();
    leaders.dedup();
    for leader in leaders {
        let Ok(directories) = admin.describe_log_dirs(leader).await else { continue };
        let replicas = directories.iter().flat_map(|directory| &directory.replicas);
        for replica in replicas.filter(|replica| *replica.topic == *topic.name) {
            let led = topic.partitions.iter().any(|partition| {
                partition.index == replica.partition && partition.leader == Some(leader)
            });
            if led {
                sizes.insert(replica.partition, replica.bytes);
            }
        }
    }
    sizes
}
