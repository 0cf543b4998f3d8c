//! Groups of the client crate against a real broker process, with both protocols.

mod process;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena_client::admin::{Admin, NewTopic};
use milena_client::client::{Client, ClientOptions};
use milena_client::consumer::{ConsumerOptions, Reset};
use milena_client::error::ClientError;
use milena_client::group::{
    ClassicAssignor, CommittedOffset, GroupConsumer, GroupEvent, GroupOptions, GroupProtocol,
    Subscription,
};
use milena_client::producer::{NewRecord, Producer, ProducerOptions};
use milena_protocol::api::leave_group::{LeaveGroupMember, LeaveGroupRequest};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex};
use process::Process;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(50);
/// Rebalances begin at once.
const QUICK: &str = "group.initial.rebalance.delay.ms=0";

struct World {
    _directory: tempfile::TempDir,
    _broker: Process,
    client: Client,
}

impl World {
    /// A broker with a topic of four partitions that hold ten records each.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = Process::start(directory.path(), &[QUICK]);
        let client = Client::connect(ClientOptions::new(&broker.address)).await.unwrap();
        let world = Self { _directory: directory, _broker: broker, client };
        world.topic("t", 4).await;
        world
    }

    async fn topic(&self, name: &str, partitions: i32) {
        let admin = Admin::new(self.client.clone());
        let topic = NewTopic::new(name).partitions(partitions);
        admin.create_topics(&[topic], false).await.unwrap()[0].1.as_ref().unwrap();
        self.write(name, partitions).await;
    }

    async fn write(&self, topic: &str, partitions: i32) {
        let producer = Producer::new(self.client.clone(), ProducerOptions::default());
        for partition in 0..partitions {
            for number in 0..10 {
                let record = NewRecord::new(topic).partition(PartitionIndex(partition));
                producer.send(record.value(format!("{partition}-{number}"))).await.unwrap();
            }
        }
        producer.close().await;
    }

    fn member(&self, options: GroupOptions, wanted: Subscription) -> Reader {
        let reading = ConsumerOptions { reset: Reset::Beginning, ..Default::default() };
        Reader {
            consumer: GroupConsumer::join(&self.client, wanted, options, reading),
            values: Vec::new(),
            news: Vec::new(),
        }
    }

    fn reader(&self, options: GroupOptions) -> Reader {
        self.member(options, Subscription::topics(["t"]))
    }

    async fn committed(&self, group: &str) -> Vec<i64> {
        let offsets = Admin::new(self.client.clone()).group_offsets(group).await.unwrap();
        offsets.values().map(|offset| offset.0).collect()
    }
}

/// A member and what came to it.
struct Reader {
    consumer: GroupConsumer,
    values: Vec<String>,
    news: Vec<&'static str>,
}

impl Reader {
    async fn turn(&mut self) -> Result<(), ClientError> {
        match self.consumer.poll(POLL).await? {
            GroupEvent::Records(records) => self.values.extend(records.iter().map(|record| {
                String::from_utf8(record.value.as_deref().unwrap().to_vec()).unwrap()
            })),
            GroupEvent::Assigned(_) => self.news.push("assigned"),
            GroupEvent::Revoking(_) => self.news.push("revoking"),
            GroupEvent::Lost(_) => self.news.push("lost"),
            GroupEvent::Nothing => {}
        }
        Ok(())
    }

    /// How many partitions it reads.
    fn share(&self) -> usize {
        self.consumer.assignment().len()
    }
}

/// Polls all members until something holds.
async fn until(readers: &mut [&mut Reader], what: &str, holds: impl Fn(&[&mut Reader]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(readers) {
        let shares: Vec<usize> = readers.iter().map(|reader| reader.share()).collect();
        let read: Vec<usize> = readers.iter().map(|reader| reader.values.len()).collect();
        assert!(Instant::now() < deadline, "{what}: shares {shares:?}, read {read:?}");
        for reader in readers.iter_mut() {
            reader.turn().await.unwrap();
        }
    }
}

/// Every way in which members can share.
fn kinds() -> [(&'static str, GroupOptions); 3] {
    let with = |name: &'static str, protocol, assignors: &[ClassicAssignor]| {
        let options = GroupOptions {
            protocol,
            classic_assignors: assignors.to_vec(),
            heartbeat_interval: Duration::from_millis(50),
            ..GroupOptions::new(name)
        };
        (name, options)
    };
    let both = [ClassicAssignor::Range, ClassicAssignor::CooperativeSticky];
    [
        with("consumer", GroupProtocol::Auto, &both),
        with("eager", GroupProtocol::Classic, &both),
        with("cooperative", GroupProtocol::Classic, &[ClassicAssignor::CooperativeSticky]),
    ]
}

/// Two members would read the same partitions, or one nothing, or what was read would be read again
/// when a member comes or goes.
#[tokio::test]
async fn members_share_and_take_over() {
    let world = World::start().await;
    for (name, options) in kinds() {
        let mut first = world.reader(options.clone());
        until(&mut [&mut first], name, |all| all[0].values.len() == 40).await;
        assert_eq!(first.share(), 4, "{name}");
        let mut second = world.reader(options.clone());
        let is_even = |all: &[&mut Reader]| all[0].share() == 2 && all[1].share() == 2;
        until(&mut [&mut first, &mut second], name, is_even).await;
        let (one, two) = (first.consumer.assignment(), second.consumer.assignment());
        assert!(one.is_disjoint(two), "{name}: {one:?} {two:?}");
        assert!(first.news.contains(&"revoking"), "{name}: {:?}", first.news);
        world.write("t", 4).await;
        let all = |all: &[&mut Reader]| all[0].values.len() + all[1].values.len() >= 80;
        until(&mut [&mut first, &mut second], name, all).await;
        first.consumer.close().await.unwrap();
        until(&mut [&mut second], name, |all| all[0].share() == 4).await;
        world.write("t", 4).await;
        until(&mut [&mut second], name, |all| all[0].values.len() >= 60).await;
        second.consumer.close().await.unwrap();
        assert_eq!(first.values.len() + second.values.len(), 120, "{name}: nothing came twice");
        let values: BTreeSet<String> = first.values.into_iter().chain(second.values).collect();
        assert_eq!(values.len(), 40, "{name}");
        assert_eq!(world.committed(name).await, [30; 4], "{name}");
        // The next kind begins with as many records as this one.
        let admin = Admin::new(world.client.clone());
        admin.delete_topics(&["t"]).await.unwrap();
        world.topic("t", 4).await;
    }
}

/// What a group has done would be lost or done again where its caller says itself what is done.
#[tokio::test]
async fn commits_are_the_callers() {
    let world = World::start().await;
    for (name, options) in kinds() {
        let options = GroupOptions { auto_commit: None, ..options };
        let mut first = world.reader(options.clone());
        until(&mut [&mut first], name, |all| all[0].values.len() == 40).await;
        assert!(world.committed(name).await.is_empty(), "{name}: nothing is committed by itself");
        let key = |partition| ("t".into(), PartitionIndex(partition));
        let offset =
            CommittedOffset { metadata: "half".to_owned(), ..CommittedOffset::at(Offset(5)) };
        first.consumer.commit_offsets([(key(0), offset.clone())].into()).await.unwrap();
        let committed = first.consumer.committed(&[key(0), key(1)]).await.unwrap();
        assert_eq!(committed, [(key(0), offset)].into(), "{name}");
        first.consumer.close().await.unwrap();
        let mut second = world.reader(options.clone());
        until(&mut [&mut second], name, |all| all[0].values.len() == 35).await;
        second.consumer.commit().await.unwrap();
        assert_eq!(world.committed(name).await, [10; 4], "{name}");
        let known = second.consumer.committed(&[key(0)]).await.unwrap();
        assert!(known[&key(0)].leader_epoch.0 >= 0, "{name}: the epoch of what was read is told");
        second.consumer.close().await.unwrap();
    }
}

/// A member that an administrator removed would read on beside the others, or never come back.
#[tokio::test]
async fn who_is_removed_is_told_and_comes_back() {
    let world = World::start().await;
    for (name, options) in kinds() {
        let mut reader = world.reader(options);
        until(&mut [&mut reader], name, |all| all[0].share() == 4).await;
        let before = reader.consumer.metadata();
        let (_, coordinator) = world.client.coordinator(name).await.unwrap();
        let member =
            LeaveGroupMember { member_id: before.member_id.as_str().into(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: name.into(),
            members: vec![member],
            ..Default::default()
        };
        let answer = coordinator.ask(&request).await.unwrap();
        assert_eq!(answer.members[0].error_code, ErrorCode::NONE, "{name}");
        let refused = reader.consumer.commit_offsets([any_offset()].into()).await.unwrap_err();
        assert!(!refused.is_retriable(), "{name}: {refused}");
        until(&mut [&mut reader], name, |all| all[0].news.contains(&"lost")).await;
        until(&mut [&mut reader], name, |all| all[0].share() == 4).await;
        reader.consumer.commit().await.unwrap();
        reader.consumer.close().await.unwrap();
    }
}

fn any_offset() -> ((Arc<str>, PartitionIndex), CommittedOffset) {
    (("t".into(), PartitionIndex(0)), CommittedOffset::at(Offset(1)))
}

/// A static member would lose its partitions to others while it is restarted, or be two at once.
#[tokio::test]
async fn static_members_find_their_partitions_again() {
    let world = World::start().await;
    for (name, options) in kinds() {
        let named = |instance: &str| GroupOptions {
            instance_id: Some(instance.to_owned()),
            ..options.clone()
        };
        let (mut one, mut two) = (world.reader(named("one")), world.reader(named("two")));
        let is_even = |all: &[&mut Reader]| all.iter().all(|reader| reader.share() == 2);
        until(&mut [&mut one, &mut two], name, is_even).await;
        let before = one.consumer.assignment().clone();
        one.consumer.close().await.unwrap();
        let news = two.news.len();
        let mut again = world.reader(named("one"));
        until(&mut [&mut again, &mut two], name, is_even).await;
        assert_eq!(*again.consumer.assignment(), before, "{name}");
        assert_eq!(two.news.len(), news, "{name}: the other one has not noticed");
        let described = Admin::new(world.client.clone()).describe_group(name).await.unwrap();
        let mut names: Vec<_> =
            described.members.iter().filter_map(|member| member.instance_id.clone()).collect();
        names.sort();
        assert_eq!(names, ["one", "two"], "{name}");
    }
}

/// Readers of an expression would miss topics that are made later, or read ones that do not match.
#[tokio::test]
async fn expressions_follow_topics() {
    let world = World::start().await;
    let wanted = Subscription::pattern("logs-.*");
    let mut reader = world.member(GroupOptions::new("g"), wanted.clone());
    world.topic("logs-a", 1).await;
    until(&mut [&mut reader], "the first topic", |all| all[0].values.len() == 10).await;
    reader.consumer.subscribe(Subscription::topics(["t"]));
    until(&mut [&mut reader], "another subscription", |all| all[0].values.len() == 50).await;
    let topics: BTreeSet<&str> = reader.consumer.assignment().iter().map(|key| &*key.0).collect();
    assert_eq!(topics, BTreeSet::from(["t"]));
    let classic = GroupOptions { protocol: GroupProtocol::Classic, ..GroupOptions::new("c") };
    let mut refused = world.member(classic, wanted);
    let error = loop {
        if let Err(error) = refused.turn().await {
            break error;
        }
    };
    assert!(error.to_string().contains("consumer protocol"), "{error}");
}

/// Members would stay away, lose their partitions or read twice when their coordinator dies.
#[tokio::test]
async fn members_live_through_a_restart_of_the_broker() {
    for (name, options) in kinds() {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let start = || {
            let listener = format!("listeners=PLAINTEXT://127.0.0.1:{port}");
            Process::start(directory.path(), &[QUICK, &listener])
        };
        let broker = start();
        let client = Client::connect(ClientOptions::new(&broker.address)).await.unwrap();
        let world = World { _directory: tempfile::tempdir().unwrap(), _broker: broker, client };
        world.topic("t", 4).await;
        let mut reader = world.reader(options);
        until(&mut [&mut reader], name, |all| all[0].values.len() == 40).await;
        reader.consumer.commit().await.unwrap();
        let World { _broker: broker, client, _directory } = world;
        broker.kill();
        let world = World { _directory, _broker: start(), client };
        world.write("t", 4).await;
        until(&mut [&mut reader], name, |all| all[0].values.len() == 80).await;
        reader.consumer.commit().await.unwrap();
        assert_eq!(world.committed(name).await, [20; 4], "{name}");
        assert!(!reader.news.contains(&"lost"), "{name}: its session lived on");
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A reader that wants to begin nowhere by itself would skip or repeat a topic without a word.
#[tokio::test]
async fn a_partition_without_offset_is_told() {
    let world = World::start().await;
    let reading = ConsumerOptions { reset: Reset::Fail, ..Default::default() };
    let wanted = Subscription::topics(["t"]);
    let mut consumer = GroupConsumer::join(&world.client, wanted, GroupOptions::new("g"), reading);
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "nobody complains");
        if let Err(error) = consumer.poll(POLL).await {
            break error;
        }
    };
    assert!(matches!(error, ClientError::NoOffset { .. }), "{error}");
}

/// Administrators would not see who reads what.
#[tokio::test]
async fn groups_are_described_with_their_members() {
    let world = World::start().await;
    let admin = Admin::new(world.client.clone());
    for (name, options) in kinds() {
        let (mut one, mut two) = (world.reader(options.clone()), world.reader(options));
        let is_even = |all: &[&mut Reader]| all.iter().all(|reader| reader.share() == 2);
        until(&mut [&mut one, &mut two], name, is_even).await;
        let deadline = Instant::now() + PATIENCE;
        let described = loop {
            let described = admin.describe_group(name).await.unwrap();
            one.turn().await.unwrap();
            two.turn().await.unwrap();
            if described.state == "Stable" {
                break described;
            }
            assert!(Instant::now() < deadline, "{described:?}");
        };
        let (kind, assignor) = match name {
            "consumer" => ("consumer", "uniform"),
            "eager" => ("classic", "range"),
            _ => ("classic", "cooperative-sticky"),
        };
        assert_eq!((described.kind, described.assignor.as_str()), (kind, assignor));
        for reader in [&one, &two] {
            let id = reader.consumer.metadata().member_id;
            let member = described.members.iter().find(|member| member.member_id == id).unwrap();
            let assigned: BTreeSet<_> = member
                .assigned
                .iter()
                .map(|(topic, partition)| (Arc::from(topic.as_str()), *partition))
                .collect();
            assert_eq!(assigned, *reader.consumer.assignment(), "{name}");
            assert_eq!(member.client_id, "milena", "{name}");
            assert!(member.host.contains("127.0.0.1"), "{name}: {}", member.host);
        }
    }
}

/// Who is dropped without a word would keep its partitions until its session ends.
#[tokio::test]
async fn who_is_dropped_leaves() {
    let world = World::start().await;
    for (name, options) in kinds() {
        let (mut one, mut two) = (world.reader(options.clone()), world.reader(options));
        let is_even = |all: &[&mut Reader]| all.iter().all(|reader| reader.share() == 2);
        until(&mut [&mut one, &mut two], name, is_even).await;
        drop(one);
        until(&mut [&mut two], name, |all| all[0].share() == 4).await;
    }
}

/// An application that closes its members one after the other would hang: one of them waits for a
/// rebalance that needs the others.
#[tokio::test]
async fn members_close_one_after_the_other() {
    let world = World::start().await;
    for (name, options) in kinds() {
        let mut readers: Vec<Reader> = (0..3).map(|_| world.reader(options.clone())).collect();
        let mut all: Vec<&mut Reader> = readers.iter_mut().collect();
        until(&mut all, name, |all| all.iter().all(|reader| reader.share() > 0)).await;
        // From here on only one of them is polled: it joins again, and waits for the others.
        let mut last = readers.pop().unwrap();
        readers.pop().unwrap().consumer.close().await.unwrap();
        let deadline = Instant::now() + Duration::from_millis(500);
        while Instant::now() < deadline {
            last.turn().await.unwrap();
        }
        let began = Instant::now();
        last.consumer.close().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "{name}: {:?}", began.elapsed());
    }
}
