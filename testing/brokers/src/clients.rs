//! Who writes, who reads, and who waits for the cluster to be well: all through the client that
//! ships, each on a host of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use milena_client::admin::{Admin, NewTopic};
use milena_client::client::{Client, ClientOptions};
use milena_client::connection::Connection;
use milena_client::consumer::{Consumer, ConsumerOptions, Reset, Start};
use milena_client::error::ClientError;
use milena_client::metadata::Topic;
use milena_client::producer::{Acks, NewRecord, Producer, ProducerOptions};
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use milena_protocol::api::update_features::{UpdateFeaturesRequest, UpdateFeaturesUpdate};
use milena_protocol::ids::{Offset, PartitionIndex};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::history::{History, Written};
use crate::host::{PORT, name};
use crate::plan::NODES;
use crate::planted::Bug;

/// The topic.
pub const TOPIC: &str = "orders";
/// Its partitions.
pub const PARTITIONS: i32 = 2;
/// Those who write.
pub const WRITERS: usize = 2;
/// Those who read all along.
pub const READERS: usize = 2;

/// Records of a writer that are on their way at once.
const UNDER_WAY: usize = 32;
/// The pace of a writer.
const PACE: Duration = Duration::from_millis(30);
/// How long a record is tried.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// The rest between two looks.
const REST: Duration = Duration::from_millis(200);
/// Polls of half a second that find nothing, until a reader believes that there is nothing more.
const SILENCES: u32 = 10;

/// How far the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The topic is not there yet.
    Forming,
    /// Faults happen.
    Faulty,
    /// No more: what is broken must heal.
    Healing,
    /// Every broker is in, every replica in sync, every record acknowledged or given up.
    Well,
}

/// How far the run is, for everybody.
#[derive(Clone, Debug)]
pub struct Progress {
    phase: Rc<Cell<Phase>>,
    /// Writers that are not done.
    writing: Rc<Cell<usize>>,
    /// When each node knew last that all are in sync.
    sound_at: Rc<Cell<[Duration; NODES]>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            phase: Rc::new(Cell::new(Phase::Forming)),
            writing: Rc::new(Cell::new(WRITERS)),
            sound_at: Rc::default(),
        }
    }
}

impl Progress {
    /// How far the run is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The run is that far.
    pub fn reach(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// When a node knew last that all are in sync.
    #[must_use]
    pub fn sound_at(&self, node: usize) -> Duration {
        self.sound_at.get()[node]
    }

    fn is_sound(&self, node: usize) {
        let mut sound_at = self.sound_at.get();
        sound_at[node] = turmoil::sim_elapsed().unwrap_or_default();
        self.sound_at.set(sound_at);
    }

    async fn wait_for(&self, phase: Phase) {
        while self.phase() < phase {
            sleep(REST).await;
        }
    }
}

fn options() -> ClientOptions {
    let brokers: Vec<String> = (0..NODES).map(|node| format!("{}:{PORT}", name(node))).collect();
    let mut options = ClientOptions::new(&brokers.join(","));
    options.patience = Duration::from_secs(10);
    options.connection.connect_timeout = Duration::from_secs(2);
    options.connection.request_timeout = Duration::from_secs(4);
    options
}

async fn connect() -> Client {
    loop {
        match Client::connect(options()).await {
            Ok(client) => return client,
            Err(_) => sleep(REST).await,
        }
    }
}

/// Makes the topic once all brokers are in, and says when the cluster is well again.
pub async fn watch(bug: Option<Bug>, progress: Progress, history: History) -> turmoil::Result {
    let admin = Admin::new(connect().await);
    while is_well(&admin).await.is_err() {
        let topic = NewTopic::new(TOPIC).partitions(PARTITIONS).replication_factor(NODES as i16);
        let brokers = admin.describe_cluster().await.map_or(0, |known| known.brokers.len());
        if brokers == NODES && count_eligible(&admin, bug).await.is_ok() {
            // Whether it is made, or was before, is seen by how it is.
            let _ = admin.create_topics(&[topic], false).await;
        }
        sleep(REST).await;
    }
    history.note(None, "the cluster serves");
    progress.reach(Phase::Faulty);
    progress.wait_for(Phase::Healing).await;
    let mut last = String::new();
    loop {
        match is_well(&admin).await {
            Ok(()) if progress.writing.get() == 0 => break,
            Ok(()) => {}
            Err(why) if why != last => {
                history.note(None, format_args!("not well yet: {why}"));
                last = why;
            }
            Err(_) => {}
        }
        sleep(REST).await;
    }
    history.note(None, "the cluster is well");
    progress.reach(Phase::Well);
    Ok(())
}

/// Asks a node from time to time whether all are in sync. A node that came back without what it had
/// says so only once it is in sync again: it speaks from metadata that knows its return.
pub async fn ask_after(node: usize, progress: Progress) -> turmoil::Result {
    progress.wait_for(Phase::Faulty).await;
    let address = format!("{}:{PORT}", name(node));
    let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    while progress.phase() == Phase::Faulty {
        let Ok(connection) = Connection::open(&address, options().connection).await else {
            sleep(REST).await;
            continue;
        };
        while progress.phase() == Phase::Faulty
            && let Ok(answer) = connection.ask(&request).await
        {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let in_sync = partitions.filter(|one| one.isr_nodes.len() == NODES);
            if in_sync.count() == PARTITIONS as usize {
                progress.is_sound(node);
            }
            sleep(REST).await;
        }
    }
    Ok(())
}

/// Lets the cluster keep count of who had everything, which a promise about power rests on.
async fn count_eligible(admin: &Admin, bug: Option<Bug>) -> Result<(), ClientError> {
    let level = i16::from(bug != Some(Bug::NobodyIsEligible));
    let update = UpdateFeaturesUpdate {
        feature: "eligible.leader.replicas.version".into(),
        max_version_level: level,
        upgrade_type: if level == 0 { 3 } else { 1 },
        ..UpdateFeaturesUpdate::default()
    };
    let request =
        UpdateFeaturesRequest { feature_updates: vec![update], ..UpdateFeaturesRequest::default() };
    admin.client().ask_controller(&request).await.map(|_| ())
}

async fn is_well(admin: &Admin) -> Result<(), String> {
    let brokers = admin.describe_cluster().await.map_err(|error| error.to_string())?.brokers.len();
    if brokers < NODES {
        return Err(format!("{brokers} brokers are in"));
    }
    let topic = admin.describe_topic(TOPIC).await.map_err(|error| error.to_string())?;
    let lagging = |topic: &Topic| {
        topic.partitions.iter().find(|one| one.leader.is_none() || one.isr.len() < NODES).cloned()
    };
    match lagging(&topic) {
        None if topic.partitions.len() == PARTITIONS as usize => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Writes at an even pace until the faults are over, and learns what becomes of each record.
pub async fn write(
    writer: usize,
    bug: Option<Bug>,
    progress: Progress,
    history: History,
) -> turmoil::Result {
    progress.wait_for(Phase::Faulty).await;
    let producer = Producer::new(
        connect().await,
        ProducerOptions {
            acks: if bug == Some(Bug::AcknowledgedByLeader) { Acks::Leader } else { Acks::All },
            idempotence: bug != Some(Bug::RetriesWithoutSequences),
            delivery_timeout: DELIVERY_TIMEOUT,
            request_timeout: Duration::from_secs(3),
            ..ProducerOptions::default()
        },
    );
    let room = std::sync::Arc::new(Semaphore::new(UNDER_WAY));
    let mut number = 0;
    while progress.phase() == Phase::Faulty {
        let place = room.clone().acquire_owned().await?;
        let written = Written { writer, number };
        let partition = (number / 4 % PARTITIONS as u64) as i32;
        number += 1;
        let record = NewRecord::new(TOPIC)
            .partition(PartitionIndex(partition))
            .value(written.value().into_bytes());
        history.sent(written, partition);
        match producer.send(record).await {
            Ok(delivery) => {
                let history = history.clone();
                tokio::task::spawn_local(async move {
                    match delivery.wait().await {
                        Ok(at) => history.acknowledged(written, at.partition.0, at.offset.0),
                        Err(error) => given_up(&history, written, &error),
                    }
                    drop(place);
                });
            }
            Err(error) => given_up(&history, written, &error),
        }
        sleep(PACE).await;
    }
    let _all = room.acquire_many(UNDER_WAY as u32).await?;
    history.note(None, format_args!("writer {writer} has written {number}"));
    progress.writing.set(progress.writing.get() - 1);
    Ok(())
}

fn given_up(history: &History, written: Written, error: &ClientError) {
    history.note(None, format_args!("{} is given up: {error}", written.value()));
}

/// Reads everything from the beginning, as it comes, until the cluster is well and nothing is left.
pub async fn read(reader: usize, progress: Progress, history: History) -> turmoil::Result {
    progress.wait_for(Phase::Faulty).await;
    let client = connect().await;
    let options = || ConsumerOptions { reset: Reset::Fail, ..ConsumerOptions::default() };
    let mut next = [0; PARTITIONS as usize];
    let mut silences = 0;
    'anew: loop {
        let mut consumer = Consumer::new(&client, options());
        for (partition, offset) in (0..).zip(next) {
            consumer.assign(TOPIC, PartitionIndex(partition), Start::Offset(Offset(offset)));
        }
        loop {
            let was_well = progress.phase() == Phase::Well;
            let records = match consumer.poll(Duration::from_millis(500)).await {
                Ok(records) => records,
                Err(error) => {
                    history.note(None, format_args!("reader {reader} begins anew: {error}"));
                    sleep(REST).await;
                    continue 'anew;
                }
            };
            // The end that it knows may be that of a leader which is gone.
            let is_over = records.is_empty() && was_well && consumer.is_at_end();
            silences = if is_over { silences + 1 } else { 0 };
            if silences == SILENCES {
                return Ok(());
            }
            for record in records {
                let (partition, offset) = (record.partition.0, record.offset.0);
                let value = record.value.map(|value| value.to_vec()).unwrap_or_default();
                history.read(reader, partition, offset, value);
                if let Some(next) = next.get_mut(partition as usize) {
                    *next = offset + 1;
                }
            }
        }
    }
}
