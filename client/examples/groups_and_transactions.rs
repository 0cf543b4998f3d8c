//! Groups and transactions of this client against any broker that speaks Kafka's protocol: one line
//! for each check, exit code 1 at the first that fails. `cargo xtask interop client-groups` runs it
//! against Milena, and with `--on kafka` against Apache Kafka.
//!
//! `cargo run -p milena-client --example groups_and_transactions -- HOST:PORT`

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use milena_client::admin::{Admin, NewTopic, TransactionFilter};
use milena_client::client::{Client, ClientOptions};
use milena_client::consumer::{ConsumerOptions, Isolation, Key, Reset};
use milena_client::error::ClientError;
use milena_client::group::{
    ClassicAssignor, GroupConsumer, GroupEvent, GroupOptions, GroupProtocol, Subscription,
};
use milena_client::producer::{NewRecord, Producer, ProducerOptions};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(50);

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let address = std::env::args().nth(1).ok_or("say HOST:PORT")?;
    let client = Client::connect(ClientOptions::new(&address)).await?;
    let world = World { admin: Admin::new(client.clone()), client };
    for (name, options) in kinds() {
        world.members_share(name, &options).await?;
        world.static_members_come_back(name, &options).await?;
    }
    world.expressions_are_followed().await?;
    world.transactions_are_all_or_nothing().await?;
    world.a_copy_is_exact().await?;
    world.a_later_producer_fences().await
}

struct World {
    client: Client,
    admin: Admin,
}

/// A member and what it read.
struct Reader {
    consumer: GroupConsumer,
    values: Vec<String>,
}

impl Reader {
    async fn turn(&mut self) -> Outcome {
        if let GroupEvent::Records(records) = self.consumer.poll(POLL).await? {
            self.values.extend(records.iter().map(|record| {
                String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
            }));
        }
        Ok(())
    }

    fn share(&self) -> &BTreeSet<Key> {
        self.consumer.assignment()
    }
}

/// Every way in which members share.
fn kinds() -> [(&'static str, GroupOptions); 3] {
    let with = |name, protocol, assignors: &[ClassicAssignor]| {
        let heartbeat_interval = Duration::from_millis(300);
        let classic_assignors = assignors.to_vec();
        let base = GroupOptions::new(name);
        (name, GroupOptions { protocol, classic_assignors, heartbeat_interval, ..base })
    };
    let both = [ClassicAssignor::Range, ClassicAssignor::CooperativeSticky];
    [
        with("consumer", GroupProtocol::Consumer, &both),
        with("eager", GroupProtocol::Classic, &both),
        with("cooperative", GroupProtocol::Classic, &both[1..]),
    ]
}

fn same<T: PartialEq + Debug>(name: &str, expected: &T, actual: &T) -> Outcome {
    if expected != actual {
        return Err(format!("failed: {name}: expected {expected:?}, got {actual:?}").into());
    }
    println!("ok: {name}");
    Ok(())
}

/// Polls members until something holds.
async fn until(
    name: &str,
    readers: &mut [&mut Reader],
    holds: impl Fn(&[&mut Reader]) -> bool,
) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while !holds(readers) {
        if Instant::now() > deadline {
            let told = readers.iter().map(|reader| (reader.share().len(), reader.values.len()));
            let told: Vec<(usize, usize)> = told.collect();
            return Err(format!("failed: {name}: partitions and records {told:?}").into());
        }
        for reader in readers.iter_mut() {
            reader.turn().await?;
        }
    }
    println!("ok: {name}");
    Ok(())
}

fn is_even(all: &[&mut Reader]) -> bool {
    all.iter().all(|reader| reader.share().len() == 2)
}

impl World {
    /// A topic of four partitions with ten records each.
    async fn topic(&self, name: &str) -> Outcome {
        let topic = NewTopic::new(name).partitions(4);
        for (_, outcome) in self.admin.create_topics(&[topic], false).await? {
            outcome?;
        }
        self.write(name).await
    }

    async fn write(&self, topic: &str) -> Outcome {
        let producer = Producer::new(self.client.clone(), ProducerOptions::default());
        for number in 0..40 {
            let record = NewRecord::new(topic).partition(PartitionIndex(number % 4));
            producer.send(record.value(number.to_string())).await?;
        }
        producer.close().await;
        Ok(())
    }

    fn reader(&self, options: &GroupOptions, wanted: Subscription) -> Reader {
        let reading = ConsumerOptions {
            reset: Reset::Beginning,
            isolation: Isolation::ReadCommitted,
            ..Default::default()
        };
        let consumer = GroupConsumer::join(&self.client, wanted, options.clone(), reading);
        Reader { consumer, values: Vec::new() }
    }

    async fn members_share(&self, name: &str, options: &GroupOptions) -> Outcome {
        let topic = format!("{name}-shared");
        self.topic(&topic).await?;
        let join = || self.reader(options, Subscription::topics([topic.as_str()]));
        let says = |what: &str| format!("{name}: {what}");
        let mut one = join();
        until(&says("a member reads all"), &mut [&mut one], |all| all[0].values.len() == 40)
            .await?;
        let mut two = join();
        until(&says("two share"), &mut [&mut one, &mut two], is_even).await?;
        same(&says("nobody reads twice"), &true, &one.share().is_disjoint(two.share()))?;
        self.is_described(name, options, &mut one, &mut two).await?;
        self.write(&topic).await?;
        until(&says("both read on"), &mut [&mut one, &mut two], |all| {
            all[0].values.len() + all[1].values.len() == 80
        })
        .await?;
        one.consumer.commit().await?;
        one.consumer.close().await?;
        let owns_all = |all: &[&mut Reader]| all[0].share().len() == 4;
        until(&says("who stays takes over"), &mut [&mut two], owns_all).await?;
        two.consumer.close().await?;
        let all = one.values.len() + two.values.len();
        same(&says("nothing comes twice"), &80, &all)?;
        let offsets = self.admin.group_offsets(name).await?;
        let offsets: Vec<i64> = offsets.values().map(|offset| offset.0).collect();
        same(&says("what was read is committed"), &vec![20; 4], &offsets)
    }

    /// Whether the administrator sees who reads what.
    async fn is_described(
        &self,
        name: &str,
        options: &GroupOptions,
        one: &mut Reader,
        two: &mut Reader,
    ) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let group = loop {
            let group = self.admin.describe_group(&options.group).await?;
            if group.state == "Stable" || Instant::now() > deadline {
                break group;
            }
            one.turn().await?;
            two.turn().await?;
        };
        let kind = if options.protocol == GroupProtocol::Classic { "classic" } else { "consumer" };
        same(&format!("{name}: its kind is told"), &kind, &group.kind)?;
        for reader in [one, two] {
            let id = reader.consumer.metadata().member_id;
            let member = group.members.iter().find(|member| member.member_id == id);
            let member = member.ok_or_else(|| format!("failed: {name}: no member {id}"))?;
            let told = member.assigned.iter().map(|(topic, index)| (topic.as_str().into(), *index));
            same(&format!("{name}: a share is told"), reader.share(), &told.collect())?;
        }
        Ok(())
    }

    async fn static_members_come_back(&self, name: &str, options: &GroupOptions) -> Outcome {
        let topic = format!("{name}-static");
        self.topic(&topic).await?;
        let join = |instance: &str| {
            let options = GroupOptions {
                group: format!("{name}-static"),
                instance_id: Some(instance.to_owned()),
                ..options.clone()
            };
            self.reader(&options, Subscription::topics([topic.as_str()]))
        };
        let says = |what: &str| format!("{name}: {what}");
        let (mut one, mut two) = (join("one"), join("two"));
        until(&says("static members share"), &mut [&mut one, &mut two], is_even).await?;
        let before = one.share().clone();
        one.consumer.close().await?;
        let mut again = join("one");
        until(&says("one comes back"), &mut [&mut again, &mut two], is_even).await?;
        same(&says("it finds its share again"), &before, again.share())?;
        again.consumer.close().await?;
        Ok(two.consumer.close().await?)
    }

    async fn expressions_are_followed(&self) -> Outcome {
        self.topic("logs-a").await?;
        let wanted = Subscription::pattern("logs-.*");
        let mut reader = self.reader(&GroupOptions::new("expression"), wanted);
        let has = |count| move |all: &[&mut Reader]| all[0].values.len() == count;
        until("an expression is read", &mut [&mut reader], has(40)).await?;
        self.topic("other").await?;
        reader.consumer.subscribe(Subscription::topics(["other"]));
        until("another subscription is read", &mut [&mut reader], has(80)).await?;
        Ok(reader.consumer.close().await?)
    }

    async fn producer(&self, id: &str) -> Outcome<Producer> {
        let options =
            ProducerOptions { transactional_id: Some(id.to_owned()), ..Default::default() };
        let producer = Producer::new(self.client.clone(), options);
        producer.init_transactions().await?;
        Ok(producer)
    }

    async fn transactions_are_all_or_nothing(&self) -> Outcome {
        self.topic("transactions").await?;
        let producer = self.producer("all-or-nothing").await?;
        let mut expected: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        for round in 0..6 {
            producer.begin_transaction()?;
            for number in 0..8 {
                let value = format!("{round}-{number}");
                let record = NewRecord::new("transactions").partition(PartitionIndex(number % 4));
                producer.send(record.value(value.clone())).await?;
                if round % 3 != 2 {
                    expected.push(value);
                }
            }
            if round == 2 {
                producer.flush().await;
                let open =
                    TransactionFilter { states: vec!["Ongoing".into()], ..Default::default() };
                let listed = self.admin.list_transactions(&open).await?;
                same("an open transaction is listed", &1, &listed.len())?;
                let described = self.admin.describe_transaction("all-or-nothing").await?;
                same("it is described", &4, &described.partitions.len())?;
            }
            match round % 3 {
                2 => producer.abort_transaction().await?,
                _ => producer.commit_transaction().await?,
            }
        }
        let wanted = Subscription::topics(["transactions"]);
        let mut reader = self.reader(&GroupOptions::new("committed"), wanted);
        let has_all = |all: &[&mut Reader]| all[0].values.len() == 72;
        until("committed records are read", &mut [&mut reader], has_all).await?;
        reader.values.sort();
        expected.sort();
        same("aborted ones are not", &expected, &reader.values)?;
        Ok(reader.consumer.close().await?)
    }

    /// A group's records are copied with its offsets, by a member of each protocol.
    async fn a_copy_is_exact(&self) -> Outcome {
        for protocol in [GroupProtocol::Consumer, GroupProtocol::Classic] {
            let (source, copy) = (format!("source-{protocol:?}"), format!("copy-{protocol:?}"));
            self.topic(&source).await?;
            self.admin.create_topics(&[NewTopic::new(&copy)], false).await?;
            let options = GroupOptions { protocol, auto_commit: None, ..GroupOptions::new(&copy) };
            let mut reader = self.reader(&options, Subscription::topics([source.as_str()]));
            let producer = self.producer(&copy).await?;
            let deadline = Instant::now() + PATIENCE;
            let (mut copied, mut aborts) = (0, 0);
            while copied < 40 && Instant::now() < deadline {
                reader.turn().await?;
                if reader.values.is_empty() {
                    continue;
                }
                producer.begin_transaction()?;
                for value in &reader.values {
                    producer.send(NewRecord::new(copy.as_str()).value(value.clone())).await?;
                }
                let (offsets, group) = (reader.consumer.positions(), reader.consumer.metadata());
                producer.send_offsets(&offsets, &group).await?;
                // The first attempt is given up, and done again as a whole.
                if aborts == 0 {
                    aborts += 1;
                    producer.abort_transaction().await?;
                    continue;
                }
                producer.commit_transaction().await?;
                copied += reader.values.len();
                reader.values.clear();
            }
            same(&format!("{protocol:?}: all is copied"), &40, &copied)?;
            let keys: Vec<Key> = reader.share().iter().cloned().collect();
            let offsets = reader.consumer.committed(&keys).await?;
            let offsets: Vec<i64> = offsets.values().map(|offset| offset.offset.0).collect();
            same(&format!("{protocol:?}: so are the offsets"), &vec![10; 4], &offsets)?;
            let wanted = Subscription::topics([copy.as_str()]);
            let mut copies = self.reader(&GroupOptions::new(format!("{copy}-check")), wanted);
            let has_all = |all: &[&mut Reader]| all[0].values.len() == 40;
            let name = format!("{protocol:?}: the copy is read");
            until(&name, &mut [&mut copies], has_all).await?;
            let values: BTreeSet<String> = copies.values.iter().cloned().collect();
            same(&format!("{protocol:?}: nothing is copied twice"), &40, &values.len())?;
            copies.consumer.close().await?;
            reader.consumer.close().await?;
        }
        Ok(())
    }

    async fn a_later_producer_fences(&self) -> Outcome {
        self.topic("fenced").await?;
        let first = self.producer("fenced").await?;
        first.begin_transaction()?;
        first.send(NewRecord::new("fenced").value("old")).await?.wait().await?;
        let second = self.producer("fenced").await?;
        let error = first.commit_transaction().await.err().ok_or("failed: it is not fenced")?;
        same("the earlier producer is fenced", &Some(ErrorCode::PRODUCER_FENCED), &error.code())?;
        let again = first.begin_transaction();
        same("it is over", &true, &again.is_err_and(|error| error.ends_producer()))?;
        second.begin_transaction()?;
        second.send(NewRecord::new("fenced").value("new")).await?;
        second.commit_transaction().await?;
        println!("ok: the later one goes on");
        second.begin_transaction()?;
        second.send(NewRecord::new("fenced").value("open")).await?.wait().await?;
        self.admin.fence_producer("fenced").await?;
        let error = second.commit_transaction().await.err();
        let is_over = error.is_some_and(|error: ClientError| error.ends_producer());
        same("an administrator ends a producer", &true, &is_over)
    }
}
