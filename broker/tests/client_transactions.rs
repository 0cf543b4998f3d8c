//! Transactions of the client crate against a real broker process.

mod process;

use std::net::TcpListener;
use std::time::Duration;

use milena_client::admin::{Admin, HangingTransaction, NewTopic, TransactionFilter};
use milena_client::client::{Client, ClientOptions};
use milena_client::consumer::{Consumer, ConsumerOptions, Isolation, Start};
use milena_client::error::ClientError;
use milena_client::group::{CommittedOffset, GroupMetadata, Offsets};
use milena_client::producer::{NewRecord, Producer, ProducerOptions};
use milena_protocol::api::update_features::{UpdateFeaturesRequest, UpdateFeaturesUpdate};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};
use process::Process;

const P0: PartitionIndex = PartitionIndex(0);
/// The levels of `transaction.version`: brokers of before KIP-890, and those of today.
const LEVELS: [i16; 3] = [0, 1, 2];

struct World {
    /// The broker and its directory; the test's own where it kills it.
    _broker: Option<(Process, tempfile::TempDir)>,
    client: Client,
    admin: Admin,
}

impl World {
    /// A broker with a topic of two partitions.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = Process::start(directory.path(), &[]);
        let world = Self::on(&broker).await;
        Self { _broker: Some((broker, directory)), ..world }
    }

    async fn on(broker: &Process) -> Self {
        let client = Client::connect(ClientOptions::new(&broker.address)).await.unwrap();
        let admin = Admin::new(client.clone());
        let topic = NewTopic::new("t").partitions(2).config("max.message.bytes", "2000");
        admin.create_topics(&[topic], false).await.unwrap()[0].1.as_ref().unwrap();
        Self { _broker: None, client, admin }
    }

    /// The same with another level of `transaction.version`.
    async fn start_at(level: i16) -> Self {
        let world = Self::start().await;
        let update = UpdateFeaturesUpdate {
            feature: "transaction.version".into(),
            max_version_level: level,
            upgrade_type: 2,
            ..Default::default()
        };
        let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
        let answer = world.client.ask_any(&request).await.unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE, "{:?}", answer.error_message);
        // Connections know the levels of when they were opened.
        let client = world.client.apart();
        Self { admin: Admin::new(client.clone()), client, ..world }
    }

    /// A producer that is ready for its first transaction.
    async fn producer(&self, id: &str) -> Producer {
        let options =
            ProducerOptions { transactional_id: Some(id.to_owned()), ..Default::default() };
        let producer = Producer::new(self.client.clone(), options);
        producer.init_transactions().await.unwrap();
        producer
    }

    /// What a reader of partition 0 gets.
    async fn read(&self, isolation: Isolation) -> Vec<String> {
        let options = ConsumerOptions { isolation, ..Default::default() };
        let mut consumer = Consumer::new(&self.client, options);
        consumer.assign("t", P0, Start::Beginning);
        let mut values = Vec::new();
        while !consumer.is_at_end() {
            for record in consumer.poll(Duration::from_millis(50)).await.unwrap() {
                values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            }
        }
        values
    }
}

async fn write(producer: &Producer, value: &str) {
    let record = NewRecord::new("t").partition(P0).value(value.to_owned());
    producer.send(record).await.unwrap();
}

fn nobody(group: &str) -> GroupMetadata {
    GroupMetadata {
        group: group.to_owned(),
        member_id: String::new(),
        epoch: -1,
        instance_id: None,
    }
}

fn offsets(offset: i64) -> Offsets {
    [(("t".into(), P0), CommittedOffset::at(Offset(offset)))].into()
}

/// Records of a transaction would be seen before it is committed, after it is aborted, or not at
/// all.
#[tokio::test]
async fn what_is_committed_is_read() {
    for level in LEVELS {
        let world = World::start_at(level).await;
        let producer = world.producer("id").await;
        let mut all = Vec::new();
        let mut committed = Vec::new();
        for round in 0..6 {
            producer.begin_transaction().unwrap();
            for number in 0..3 {
                let value = format!("{round}-{number}");
                write(&producer, &value).await;
                if round % 3 != 2 {
                    committed.push(value.clone());
                }
                all.push(value);
            }
            producer.flush().await;
            let before = world.read(Isolation::ReadCommitted).await;
            assert!(!before.contains(&format!("{round}-0")), "it is open");
            match round % 3 {
                2 => producer.abort_transaction().await.unwrap(),
                _ => producer.commit_transaction().await.unwrap(),
            }
            // One whose records were not sent yet, and one without any.
            producer.begin_transaction().unwrap();
            write(&producer, "never").await;
            producer.abort_transaction().await.unwrap();
            producer.begin_transaction().unwrap();
            producer.commit_transaction().await.unwrap();
        }
        assert_eq!(world.read(Isolation::ReadCommitted).await, committed);
        let mut read = world.read(Isolation::ReadUncommitted).await;
        read.retain(|value| value != "never");
        assert_eq!(read, all);
    }
}

/// A group would go on behind records whose results are lost, or read them twice.
#[tokio::test]
async fn offsets_are_committed_with_the_records() {
    for level in LEVELS {
        let world = World::start_at(level).await;
        let producer = world.producer("id").await;
        producer.begin_transaction().unwrap();
        write(&producer, "a").await;
        producer.send_offsets(&offsets(5), &nobody("g")).await.unwrap();
        assert!(world.admin.group_offsets("g").await.unwrap().is_empty(), "it is open");
        producer.commit_transaction().await.unwrap();
        let committed = async || {
            let offsets = world.admin.group_offsets("g").await.unwrap();
            offsets.into_values().map(|offset| offset.0).collect::<Vec<_>>()
        };
        assert_eq!(committed().await, [5]);
        producer.begin_transaction().unwrap();
        producer.send_offsets(&offsets(9), &nobody("g")).await.unwrap();
        producer.abort_transaction().await.unwrap();
        assert_eq!(committed().await, [5]);
        // A member that is none: nothing of the transaction may stay.
        producer.begin_transaction().unwrap();
        write(&producer, "b").await;
        let stranger = GroupMetadata { member_id: "x".to_owned(), epoch: 3, ..nobody("g") };
        let refused = producer.send_offsets(&offsets(9), &stranger).await.unwrap_err();
        assert!(!refused.ends_producer(), "{refused}");
        let refused = producer.commit_transaction().await.unwrap_err();
        assert!(!refused.ends_producer(), "{refused}");
        producer.abort_transaction().await.unwrap();
        producer.begin_transaction().unwrap();
        write(&producer, "c").await;
        producer.commit_transaction().await.unwrap();
        assert_eq!(world.read(Isolation::ReadCommitted).await, ["a", "c"]);
    }
}

/// Two producers of one name would both write, or the first one never learn that it is over.
#[tokio::test]
async fn a_later_producer_fences_an_earlier_one() {
    for level in LEVELS {
        let world = World::start_at(level).await;
        let first = world.producer("id").await;
        first.begin_transaction().unwrap();
        write(&first, "old").await;
        first.flush().await;
        let second = world.producer("id").await;
        write(&first, "late").await;
        let fenced = first.commit_transaction().await.unwrap_err();
        // What it wrote late may say so first, which leaves the abort.
        if !fenced.ends_producer() {
            let fenced = first.abort_transaction().await.unwrap_err();
            assert_eq!(fenced.code(), Some(ErrorCode::PRODUCER_FENCED), "{fenced}");
        }
        assert!(first.begin_transaction().is_err());
        second.begin_transaction().unwrap();
        write(&second, "new").await;
        second.commit_transaction().await.unwrap();
        assert_eq!(world.read(Isolation::ReadCommitted).await, ["new"]);
    }
}

/// A transaction with a hole would be committed, or its producer be of no use afterwards.
#[tokio::test]
async fn a_lost_record_leaves_only_the_abort() {
    for level in LEVELS {
        let world = World::start_at(level).await;
        let producer = world.producer("id").await;
        producer.begin_transaction().unwrap();
        write(&producer, "small").await;
        write(&producer, &"x".repeat(5000)).await;
        let refused = producer.commit_transaction().await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
        let record = NewRecord::new("t").partition(P0).value("more");
        assert!(producer.send(record).await.is_err());
        producer.abort_transaction().await.unwrap();
        producer.begin_transaction().unwrap();
        write(&producer, "after").await;
        producer.commit_transaction().await.unwrap();
        assert_eq!(world.read(Isolation::ReadCommitted).await, ["after"]);
    }
}

/// Records would be written outside of transactions, or calls in the wrong order do harm.
#[tokio::test]
async fn calls_in_the_wrong_order_are_refused() {
    let world = World::start().await;
    let plain = Producer::new(world.client.clone(), ProducerOptions::default());
    let misused = |outcome: Result<(), ClientError>| {
        assert!(matches!(outcome, Err(ClientError::Misused { .. })), "{outcome:?}");
    };
    misused(plain.init_transactions().await);
    misused(plain.commit_transaction().await);
    let producer = world.producer("id").await;
    misused(producer.init_transactions().await);
    misused(producer.commit_transaction().await);
    misused(producer.abort_transaction().await);
    misused(producer.send_offsets(&offsets(1), &nobody("g")).await);
    misused(producer.send(NewRecord::new("t")).await.map(drop));
    producer.begin_transaction().unwrap();
    misused(producer.begin_transaction());
}

/// A transaction would be lost, or half of it be seen, when the broker dies in the middle.
#[tokio::test]
async fn transactions_live_through_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start =
        || Process::start(directory.path(), &[&format!("listeners=PLAINTEXT://127.0.0.1:{port}")]);
    let mut broker = start();
    let world = World::on(&broker).await;
    let producer = world.producer("id").await;
    let mut expected = Vec::new();
    for round in 0..4 {
        producer.begin_transaction().unwrap();
        for number in 0..50 {
            write(&producer, &format!("{round}-{number}")).await;
            expected.push(format!("{round}-{number}"));
        }
        let commit = producer.commit_transaction();
        tokio::pin!(commit);
        // The commit has begun when the broker dies.
        let begun = tokio::time::timeout(Duration::from_millis(round), commit.as_mut()).await;
        broker.kill();
        broker = start();
        match begun {
            Ok(outcome) => outcome.unwrap(),
            Err(_) => commit.await.unwrap(),
        }
    }
    assert_eq!(world.read(Isolation::ReadCommitted).await, expected);
}

/// An operator would not find what holds readers up, or end what should go on.
#[tokio::test]
async fn administrators_see_and_end_transactions() {
    let world = World::start().await;
    let producer = world.producer("id").await;
    producer.begin_transaction().unwrap();
    write(&producer, "a").await;
    producer.flush().await;
    let filter = TransactionFilter { states: vec!["Ongoing".to_owned()], ..Default::default() };
    let listed = world.admin.list_transactions(&filter).await.unwrap();
    assert_eq!(listed[0].transactional_id, "id");
    let described = world.admin.describe_transaction("id").await.unwrap();
    assert_eq!(described.producer_id, listed[0].producer_id);
    assert!(described.began_at.0 > 0 && described.timeout == Duration::from_secs(60));
    assert_eq!(described.partitions, [("t".to_owned(), P0)].into());
    let producers = world.admin.describe_producers("t", P0).await.unwrap();
    assert_eq!(producers[0].open_from, Some(Offset(0)));
    let long_after = Timestamp(i64::MAX);
    let hanging =
        world.admin.hanging_transactions(&["t"], Duration::ZERO, long_after).await.unwrap();
    assert!(hanging.is_empty(), "its coordinator knows of it");
    let unknown = TransactionFilter { states: vec!["Odd".to_owned()], ..Default::default() };
    assert!(world.admin.list_transactions(&unknown).await.is_err());
    let missing = world.admin.describe_transaction("none").await.unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND));
    // In the partition alone, as where the coordinator had forgotten it.
    let place = ("t".to_owned(), P0);
    let hanging = HangingTransaction { place, producer: producers[0] };
    world.admin.abort_hanging(&hanging).await.unwrap();
    let producers = world.admin.describe_producers("t", P0).await.unwrap();
    assert_eq!(producers[0].open_from, None);
    let (_, epoch) = world.admin.fence_producer("id").await.unwrap();
    assert!(epoch > described.producer_epoch);
    let fenced = producer.commit_transaction().await.unwrap_err();
    assert!(fenced.ends_producer(), "{fenced}");
    assert!(world.read(Isolation::ReadCommitted).await.is_empty());
}
