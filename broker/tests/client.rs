//! The client crate against a real broker process: what its users rely on when things go wrong.

mod process;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use milena_client::ClientError;
use milena_client::admin::{Admin, ConfigChange, NewTopic, OffsetSpec, Resource};
use milena_client::client::{Client, ClientOptions};
use milena_client::consumer::{Consumer, ConsumerOptions, Isolation, Reset, Start};
use milena_client::producer::{Acks, NewRecord, Producer, ProducerOptions};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex};
use milena_protocol::record::Compression;
use process::Process;

const P0: PartitionIndex = PartitionIndex(0);

async fn connect(broker: &Process) -> Client {
    Client::connect(ClientOptions::new(&broker.address)).await.unwrap()
}

/// A broker on a port that it gets back when it is started again.
fn start_at(directory: &Path, port: u16) -> Process {
    Process::start(directory, &[&format!("listeners=PLAINTEXT://127.0.0.1:{port}")])
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn values(client: &Client, topic: &str, count: usize) -> Vec<String> {
    let mut consumer = Consumer::new(client, ConsumerOptions::default());
    consumer.assign(topic, P0, Start::Beginning);
    let mut values = Vec::new();
    while values.len() < count {
        let records = consumer.poll(Duration::from_secs(20)).await.unwrap();
        assert!(!records.is_empty(), "only {} of {count} records came", values.len());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        values.extend(records.iter().map(|record| text(record.value.as_ref().unwrap())));
    }
    values
}

/// A producer would lose, double or reorder records when its broker is killed and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_a_producer_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut broker = start_at(directory.path(), port);
    let client = connect(&broker).await;
    let options =
        ProducerOptions { linger: Duration::ZERO, batch_bytes: 1000, ..ProducerOptions::default() };
    let producer = Producer::new(client.clone(), options);
    let mut deliveries = Vec::new();
    for round in 0..4 {
        for number in 0..2_000 {
            let value = format!("{round}-{number}");
            deliveries.push(producer.send(NewRecord::new("t").value(value)).await.unwrap());
        }
        // In the middle of what was just handed in.
        broker.kill();
        broker = start_at(directory.path(), port);
    }
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(delivery.wait().await.unwrap().offset.0);
    }
    // A retry whose first attempt was written is told its offset or, where the broker forgot it,
    // none.
    offsets.retain(|offset| *offset >= 0);
    assert!(offsets.is_sorted_by(|a, b| a < b), "offsets rise");
    let expected: Vec<String> = (0..4)
        .flat_map(|round| (0..2_000).map(move |number| format!("{round}-{number}")))
        .collect();
    assert_eq!(values(&client, "t", expected.len()).await, expected);
    broker.kill();
}

/// Codecs, headers, nulls or timestamps would not survive the way through a broker.
#[tokio::test]
async fn records_come_back_as_they_were_sent() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Process::start(directory.path(), &[]);
    let client = connect(&broker).await;
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for (compression, acks) in codecs.into_iter().zip([Acks::All, Acks::Leader].into_iter().cycle())
    {
        let options = ProducerOptions { compression, acks, ..Default::default() };
        let producer = Producer::new(client.clone(), options);
        let record = NewRecord::new("t").key("k").header("h", "1").header("h", "2");
        let delivery = producer.send(record.timestamp(1_700_000_000_000.into())).await.unwrap();
        delivery.wait().await.unwrap();
        producer.send(NewRecord::new("t").value("v")).await.unwrap().wait().await.unwrap();
    }
    let mut consumer = Consumer::new(&client, ConsumerOptions::default());
    consumer.assign("t", P0, Start::Beginning);
    let mut records = Vec::new();
    while records.len() < 2 * codecs.len() {
        records.extend(consumer.poll(Duration::from_secs(20)).await.unwrap());
    }
    for pair in records.chunks(2) {
        assert_eq!(pair[0].key.as_deref(), Some(&b"k"[..]));
        assert_eq!(pair[0].value, None);
        assert_eq!(pair[0].timestamp.0, 1_700_000_000_000);
        let headers: Vec<_> =
            pair[0].headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(headers, [("h", Some(&b"1"[..])), ("h", Some(&b"2"[..]))]);
        assert_eq!(pair[1].value.as_deref(), Some(&b"v"[..]));
    }
    assert!(consumer.is_at_end());
    assert_eq!(consumer.position("t", P0), Some(Offset(10)));
}

/// `acks=0` would wait for an answer that never comes, or send nothing.
#[tokio::test]
async fn unacknowledged_records_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Process::start(directory.path(), &[]);
    let client = connect(&broker).await;
    let options = ProducerOptions { acks: Acks::None, ..Default::default() };
    let producer = Producer::new(client.clone(), options);
    let delivered = producer.send(NewRecord::new("t").value("v")).await.unwrap().wait().await;
    assert_eq!(delivered.unwrap().offset, Offset::NONE);
    assert_eq!(values(&client, "t", 1).await, ["v"]);
}

/// A reader whose place was trimmed away would hang, or read on somewhere without being told.
#[tokio::test]
async fn a_position_that_is_gone_is_reset_or_told() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Process::start(directory.path(), &[]);
    let client = connect(&broker).await;
    let admin = Admin::new(client.clone());
    let producer = Producer::new(client.clone(), ProducerOptions::default());
    for number in 0..10 {
        producer.send(NewRecord::new("t").value(number.to_string())).await.unwrap();
    }
    producer.flush().await;
    assert_eq!(admin.delete_records("t", P0, Some(Offset(7))).await.unwrap(), Offset(7));
    let read = async |reset| {
        let options = ConsumerOptions { reset, ..Default::default() };
        let mut consumer = Consumer::new(&client, options);
        consumer.assign("t", P0, Start::Offset(Offset(2)));
        let records = consumer.poll(Duration::from_secs(2)).await?;
        Ok::<_, ClientError>(records.first().map(|record| record.offset))
    };
    assert_eq!(read(Reset::Beginning).await.unwrap(), Some(Offset(7)));
    assert_eq!(read(Reset::End).await.unwrap(), None);
    let told = read(Reset::Fail).await.unwrap_err();
    assert_eq!(told.code(), Some(ErrorCode::OFFSET_OUT_OF_RANGE));
}

/// A seek would be overtaken by what was fetched before it; a pause would not hold.
#[tokio::test]
async fn positions_are_the_callers() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Process::start(directory.path(), &[]);
    let client = connect(&broker).await;
    let producer = Producer::new(client.clone(), ProducerOptions::default());
    for number in 0..100 {
        producer.send(NewRecord::new("t").value(number.to_string())).await.unwrap();
    }
    producer.flush().await;
    let options = ConsumerOptions { max_poll_records: 10, ..Default::default() };
    let mut consumer = Consumer::new(&client, options);
    consumer.assign("t", P0, Start::Beginning);
    let first = consumer.poll(Duration::from_secs(10)).await.unwrap();
    assert_eq!(first.len(), 10);
    assert_eq!(consumer.position("t", P0), Some(Offset(10)), "the other 90 are not handed out");
    consumer.seek("t", P0, Start::Offset(Offset(50)));
    let next = consumer.poll(Duration::from_secs(10)).await.unwrap();
    assert_eq!(next.first().map(|record| record.offset), Some(Offset(50)));
    consumer.seek("t", P0, Start::BeforeEnd(3));
    consumer.pause("t", P0);
    assert!(consumer.poll(Duration::from_millis(200)).await.unwrap().is_empty());
    consumer.resume("t", P0);
    let last = consumer.poll(Duration::from_secs(10)).await.unwrap();
    assert_eq!(last.first().map(|record| record.offset), Some(Offset(97)));
}

/// Administration would not say what became of each thing that was asked for.
#[tokio::test]
async fn administration_answers_for_each() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Process::start(directory.path(), &[]);
    let client = connect(&broker).await;
    let admin = Admin::new(client.clone());
    let wanted = [NewTopic::new("a").partitions(2), NewTopic::new("bad name")];
    let made = admin.create_topics(&wanted, false).await.unwrap();
    assert_eq!(made.len(), 2);
    for (name, result) in made {
        assert_eq!(result.is_ok(), name == "a", "{name}: {result:?}");
    }
    let resource = Resource::Topic("a".to_owned());
    let set = |value: &str| ConfigChange::Set("retention.ms".to_owned(), value.to_owned());
    admin.alter_configs(&resource, &[set("1000")], false).await.unwrap();
    let refused = admin.alter_configs(&resource, &[set("soon")], false).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::INVALID_CONFIG));
    let entries = admin.describe_configs(&resource, true).await.unwrap();
    let entry = entries.iter().find(|entry| entry.name == "retention.ms").unwrap();
    assert_eq!(entry.value.as_deref(), Some("1000"));
    assert!(entry.documentation.is_some());
    let isolation = Isolation::ReadCommitted;
    let ends = admin.list_offsets("a", OffsetSpec::Latest, isolation).await.unwrap();
    assert_eq!(ends.iter().map(|end| end.offset.0).collect::<Vec<_>>(), [0, 0]);
    let gone = admin.delete_topics(&["a", "never"]).await.unwrap();
    assert!(gone.iter().all(|(name, result)| result.is_ok() == (name == "a")), "{gone:?}");
    let missing = admin.describe_topic("a").await.unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}

/// A record that can never be sent would wait for ever, or stop those behind it.
#[tokio::test]
async fn a_record_that_is_refused_stops_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Process::start(directory.path(), &[]);
    let client = connect(&broker).await;
    let admin = Admin::new(client.clone());
    let small = NewTopic::new("t").config("max.message.bytes", "1000");
    admin.create_topics(&[small], false).await.unwrap();
    // All of them come in one batch, which is too large as a whole.
    let producer = Producer::new(client.clone(), ProducerOptions::default());
    let mut deliveries = Vec::new();
    for size in [10, 5_000, 10, 5_000, 10] {
        let record = NewRecord::new("t").value("x".repeat(size));
        deliveries.push((size, producer.send(record).await.unwrap()));
    }
    for (size, delivery) in deliveries {
        match delivery.wait().await {
            Ok(_) => assert_eq!(size, 10),
            Err(error) => {
                assert_eq!(size, 5_000);
                assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
            }
        }
    }
    assert_eq!(values(&client, "t", 3).await, vec!["x".repeat(10); 3]);
    let endless = NewRecord::new("t").value("x".repeat(2 << 20));
    assert!(matches!(producer.send(endless).await, Err(ClientError::Unwritable { .. })));
}
