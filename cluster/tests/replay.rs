//! What is decided, written, read back and replayed must come out as it went in, whatever happens
//! in between.

mod node;

use milena_cluster::configs::Values;
use milena_cluster::controller::Sessions;
use milena_cluster::controller::alter_configs::{Alteration, Operation};
use milena_cluster::controller::brokers::Registration;
use milena_cluster::controller::features::bootstrap;
use milena_cluster::controller::heartbeats::Heartbeat;
use milena_cluster::controller::topics::{MorePartitions, NewTopic, TopicRef};
use milena_cluster::metadata::image::{ConfigResource, MetadataImage};
use milena_cluster::metadata::{batch, snapshot};
use milena_cluster::quorum::{
    Append, Content, Control, Endpoint, Membership, ReplicaKey, Voter, VoterSet,
};
use milena_cluster::time::Instant;
use milena_protocol::codec::Text;
use milena_protocol::ids::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, Uuid,
};
use milena_protocol::metadata_record::{
    AbortTransactionRecord, AccessControlEntryRecord, BeginTransactionRecord, ClearElrRecord,
    ClientQuotaEntity, ClientQuotaRecord, DelegationTokenRecord, EndTransactionRecord,
    FeatureLevelRecord, MetadataRecord, NoOpRecord, RegisterControllerRecord, TopicRecord,
    UserScramCredentialRecord,
};
use milena_protocol::record::batch::Batch;
use node::{Node, OWN};
use proptest::prelude::*;

/// What somebody asks of the cluster.
#[derive(Clone, Debug)]
enum Ask {
    Create { topic: u8, partitions: i32, factor: i16 },
    Delete { topic: u8 },
    Grow { topic: u8, by: i32 },
    Configure { topic: u8, value: Option<i64> },
    ConfigureBrokers { value: Option<u8> },
    Register { broker: i32, incarnation: u8 },
    Heartbeat { broker: i32, stops: bool },
    Fence { broker: i32 },
    Unregister { broker: i32 },
    Elect { unclean: bool },
    ProducerIds,
    EligibleLeaders { on: bool },
    Snapshot,
    Restart,
}

fn ask() -> impl Strategy<Value = Ask> {
    let (topic, broker) = (0..6u8, 1..5i32);
    prop_oneof![
        4 => (topic.clone(), 1..5i32, 1..4i16).prop_map(|(topic, partitions, factor)| Ask::Create {
            topic, partitions, factor
        }),
        2 => topic.clone().prop_map(|topic| Ask::Delete { topic }),
        2 => (topic.clone(), 0..4i32).prop_map(|(topic, by)| Ask::Grow { topic, by }),
        2 => (topic, prop::option::of(1..100i64)).prop_map(|(topic, value)| Ask::Configure {
            topic, value
        }),
        1 => prop::option::of(1..3u8).prop_map(|value| Ask::ConfigureBrokers { value }),
        2 => (broker.clone(), any::<u8>()).prop_map(|(broker, incarnation)| Ask::Register {
            broker, incarnation
        }),
        4 => (broker.clone(), prop::bool::weighted(0.2)).prop_map(|(broker, stops)| {
            Ask::Heartbeat { broker, stops }
        }),
        2 => broker.clone().prop_map(|broker| Ask::Fence { broker }),
        1 => broker.prop_map(|broker| Ask::Unregister { broker }),
        1 => any::<bool>().prop_map(|unclean| Ask::Elect { unclean }),
        1 => Just(Ask::ProducerIds),
        1 => any::<bool>().prop_map(|on| Ask::EligibleLeaders { on }),
        1 => Just(Ask::Snapshot),
        1 => Just(Ask::Restart),
    ]
}

fn name(topic: u8) -> Text {
    format!("topic-{topic}").into()
}

fn handle(node: &mut Node, ask: &Ask, step: usize) {
    let dir = |broker: i32| Uuid::from_u128(2000 + broker as u128);
    match ask {
        Ask::Create { topic, partitions, factor } => {
            let topics = [NewTopic {
                name: name(*topic),
                id: Uuid::from_u128(10_000 + step as u128),
                partitions: *partitions,
                replication_factor: *factor,
                assignments: Vec::new(),
                configs: Vec::new(),
            }];
            node.decide(|controller| controller.create_topics(&topics, false));
        }
        Ask::Delete { topic } => {
            let topics = [TopicRef::Name(name(*topic))];
            node.decide(|controller| controller.delete_topics(&topics));
        }
        Ask::Grow { topic, by } => {
            let current = node.image.topic(&name(*topic)).map_or(0, |it| it.partition_count());
            let more =
                [MorePartitions { name: name(*topic), count: current + by, assignments: None }];
            node.decide(|controller| controller.create_partitions(&more, false));
        }
        Ask::Configure { topic, value } => {
            alter(node, ConfigResource::topic(name(*topic)), "retention.ms", *value);
        }
        Ask::ConfigureBrokers { value } => {
            let all = ConfigResource::broker(Text::default());
            alter(node, all, "min.insync.replicas", value.map(i64::from));
        }
        Ask::Register { broker, incarnation } => {
            let known = node.image.broker(NodeId(*broker)).map(|broker| broker.epoch);
            let registration = Registration {
                id: NodeId(*broker),
                previous_epoch: known.filter(|_| incarnation % 2 == 0),
                incarnation_id: Uuid::from_u128(500 + u128::from(*incarnation)),
                endpoints: Vec::new(),
                rack: None,
                log_dirs: vec![dir(*broker)],
            };
            // A broker that comes back under a new incarnation was fenced before.
            node.decide(|controller| controller.fence_broker(NodeId(*broker)));
            node.decide(|controller| controller.register_broker(&registration));
        }
        Ask::Heartbeat { broker, stops } => {
            let id = NodeId(*broker);
            let epoch = node.image.broker(id).map_or(BrokerEpoch(-1), |broker| broker.epoch);
            let beat = Heartbeat {
                metadata_offset: node.image.offset(),
                wants_shut_down: *stops,
                ..Heartbeat::of(id, epoch)
            };
            let timeout = node.controller.session_timeout();
            let sessions = Sessions::begin(Instant(0), timeout, &node.image);
            node.decide(|controller| controller.heartbeat(&beat, &sessions));
        }
        Ask::Fence { broker } => {
            node.decide(|controller| controller.fence_broker(NodeId(*broker)));
        }
        Ask::Unregister { broker } => {
            node.decide(|controller| controller.unregister_broker(NodeId(*broker)));
        }
        Ask::Elect { unclean } => {
            node.decide(|controller| controller.elect_leaders(None, *unclean));
        }
        Ask::ProducerIds => {
            let before = node.image.next_producer_id().0;
            let decision = node.decide(|controller| controller.allocate_producer_ids(OWN));
            if let Ok((first, end)) = decision.answer {
                assert!(first == before && end == node.image.next_producer_id().0);
            }
        }
        Ask::EligibleLeaders { on } => {
            let updates = [milena_cluster::controller::features::FeatureUpdate {
                name: "eligible.leader.replicas.version".into(),
                level: i16::from(*on),
                upgrade_type: if *on { 1 } else { 2 },
            }];
            node.decide(|controller| controller.update_features(&updates, false));
        }
        Ask::Snapshot => {
            node.take_snapshot();
        }
        Ask::Restart => node.restart(),
    }
}

fn alter(node: &mut Node, resource: ConfigResource, key: &str, value: Option<i64>) {
    let operation = if value.is_some() { Operation::Set } else { Operation::Delete };
    let value = value.map(|value| value.to_string().into());
    let all = [Alteration { resource, changes: vec![(key.into(), Some(operation), value)] }];
    node.decide(|controller| controller.incremental_alter_configs(&all, false));
}

/// A leader that is not there, or not in sync, would serve a partition.
fn check_leaders(image: &MetadataImage) {
    for topic in image.topics() {
        for (index, partition) in topic.partitions() {
            let leader = partition.leader;
            assert!(
                leader == NodeId::NONE || image.broker(leader).is_some_and(|it| it.is_active()),
                "{}-{index} is led by {leader}",
                topic.name()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]

    /// A node would come back with another state than the one it told its clients.
    #[test]
    fn any_history_survives_restarts_and_snapshots(asks in prop::collection::vec(ask(), 1..80)) {
        let mut node = Node::new(Values::new());
        node.append(bootstrap(&Values::new()));
        let mut epochs = std::collections::BTreeMap::new();
        for (step, ask) in asks.iter().enumerate() {
            handle(&mut node, ask, step);
            check_leaders(&node.image);
            for topic in node.image.topics() {
                for (index, partition) in topic.partitions() {
                    let epoch: (LeaderEpoch, i32) =
                        (partition.leader_epoch, partition.partition_epoch);
                    let before = epochs.insert((topic.id(), index), epoch);
                    prop_assert!(before.is_none_or(|before| before <= epoch));
                }
            }
            prop_assert_eq!(&again(&node.image), &*node.image);
        }
        node.restart();
    }
}

/// The image out of its own records, by the bytes of a snapshot.
fn again(image: &MetadataImage) -> MetadataImage {
    let end = image.offset().plus(1);
    let bytes = snapshot::write(image, &Membership::default(), Timestamp(7)).unwrap();
    snapshot::read(&bytes, end, image.epoch()).unwrap().image
}

fn replayed(records: &[MetadataRecord]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (offset, record) in records.iter().enumerate() {
        image.replay(Offset(offset as i64), LeaderEpoch(1), record).unwrap();
    }
    image.check_invariants();
    image
}

fn level(name: &str, feature_level: i16) -> MetadataRecord {
    FeatureLevelRecord { name: name.into(), feature_level }.into()
}

fn quota(key: &str, remove: bool) -> MetadataRecord {
    let part = |entity_type: &str, name: Option<&str>| ClientQuotaEntity {
        entity_type: entity_type.into(),
        entity_name: name.map(Text::from),
    };
    let entity = vec![part("user", Some("alice")), part("client-id", None)];
    ClientQuotaRecord { entity, key: key.into(), value: 5.5, remove }.into()
}

/// Credentials, rights and quotas would be forgotten by the first snapshot.
#[test]
fn snapshots_keep_what_the_controller_does_not_decide_on() {
    let image = replayed(&[
        level("metadata.version", 30),
        AccessControlEntryRecord { id: Uuid::from_u128(200), ..Default::default() }.into(),
        UserScramCredentialRecord { name: "alice".into(), mechanism: 1, ..Default::default() }
            .into(),
        DelegationTokenRecord { token_id: "token".into(), ..Default::default() }.into(),
        RegisterControllerRecord { controller_id: NodeId(3), ..Default::default() }.into(),
        quota("consumer_byte_rate", false),
        quota("producer_byte_rate", false),
        quota("producer_byte_rate", true),
        NoOpRecord {}.into(),
    ]);
    assert_eq!(image.acls().count(), 1);
    assert!(image.credential(1, "alice").is_some());
    assert_eq!((image.tokens().count(), image.controllers().count()), (1, 1));
    assert_eq!(image.quotas().map(|(_, keys)| keys.len()).sum::<usize>(), 1);
    assert_eq!(again(&image), image);
    assert!(replayed(&[quota("k", false), quota("k", true)]).quotas().next().is_none());
}

/// Half of a metadata transaction would be seen (KIP-868).
#[test]
fn a_metadata_transaction_counts_whole_or_not_at_all() {
    let begin = || MetadataRecord::from(BeginTransactionRecord::default());
    let end = || MetadataRecord::from(EndTransactionRecord {});
    let abort = || MetadataRecord::from(AbortTransactionRecord::default());
    let open = replayed(&[begin(), level("group.version", 1)]);
    assert!(open.is_in_transaction() && open.feature("group.version") == 0);
    let ended = replayed(&[begin(), level("group.version", 1), end()]);
    assert!(!ended.is_in_transaction() && ended.feature("group.version") == 1);
    let aborted = replayed(&[begin(), level("group.version", 1), abort()]);
    assert!(!aborted.is_in_transaction() && aborted.feature("group.version") == 0);
    let mut image = MetadataImage::default();
    assert!(image.replay(Offset(0), LeaderEpoch(1), &end()).is_err());
}

/// A damaged log would be taken for a sound one.
#[test]
fn contradictions_are_refused() {
    let topic = |name: &str, id| {
        MetadataRecord::from(TopicRecord { name: name.into(), topic_id: Uuid::from_u128(id) })
    };
    let mut image = replayed(&[topic("a", 200)]);
    let mut refuses = |record| image.replay(Offset(9), LeaderEpoch(1), &record).is_err();
    assert!(refuses(topic("a", 201)) && refuses(topic("b", 200)));
    let unknown = Uuid::from_u128(999);
    assert!(refuses(
        milena_protocol::metadata_record::RemoveTopicRecord { topic_id: unknown }.into()
    ));
    let partition_id = PartitionIndex(0);
    let change = milena_protocol::metadata_record::PartitionChangeRecord {
        topic_id: Uuid::from_u128(200),
        partition_id,
        ..Default::default()
    };
    assert!(refuses(change.into()));
    let fence = milena_protocol::metadata_record::FenceBrokerRecord { id: 1, ..Default::default() };
    assert!(refuses(fence.into()));
    assert!(!refuses(ClearElrRecord { topic_name: "gone".into() }.into()));
}

/// A cut or bent snapshot would be loaded, and the cluster lose topics.
#[test]
fn only_whole_snapshots_are_read() {
    let topic = TopicRecord { name: "a".into(), topic_id: Uuid::from_u128(200) };
    let image = replayed(&[level("metadata.version", 30), topic.into()]);
    let bytes = snapshot::write(&image, &Membership::default(), Timestamp(7)).unwrap();
    let read = |bytes: &[u8]| snapshot::read(bytes, Offset(2), LeaderEpoch(1));
    assert_eq!(read(&bytes).unwrap().image, image);
    for cut in 0..bytes.len() {
        assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut bent = bytes.to_vec();
        bent[at] ^= 0x10;
        // Offset and epoch of a batch are not under its checksum, and mean nothing here.
        if let Ok(other) = read(&bent) {
            assert_eq!(other.image, image, "bent at {at}");
        }
    }
    let name = snapshot::file_name(Offset(2), LeaderEpoch(1));
    assert_eq!(name, "00000000000000000002-0000000001.checkpoint");
    assert_eq!(snapshot::parse_file_name(&name), Some((Offset(2), LeaderEpoch(1))));
    assert_eq!(snapshot::parse_file_name("2-1.checkpoint"), None);
    assert_eq!(snapshot::parse_file_name(&format!("{name}.part")), None);
}

/// An older member of the cluster could not read what a newer one writes.
#[test]
fn records_are_written_in_the_version_of_the_level() {
    use milena_protocol::metadata_record::{PartitionRecord, RegisterBrokerRecord};
    let partition = MetadataRecord::from(PartitionRecord::default());
    let broker = MetadataRecord::from(RegisterBrokerRecord::default());
    let versions =
        |level| (batch::record_version(&broker, level), batch::record_version(&partition, level));
    assert_eq!(
        [7, 8, 16, 17, 23, 29, 30].map(versions),
        [(1, 0), (2, 0), (2, 0), (3, 1), (3, 2), (3, 2), (4, 2)]
    );
}

/// An image per change would cost what all topics cost.
#[test]
fn ten_thousand_partitions_are_shared_between_images() {
    let mut node = Node::new(Values::new());
    node.append(bootstrap(&Values::new()));
    handle(&mut node, &Ask::Register { broker: 1, incarnation: 0 }, 0);
    handle(&mut node, &Ask::Heartbeat { broker: 1, stops: false }, 0);
    let topics: Vec<NewTopic> = (0..10_000u32)
        .map(|number| NewTopic {
            name: format!("t{number}").into(),
            id: Uuid::from_u128(100_000 + u128::from(number)),
            partitions: 1,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: Vec::new(),
        })
        .collect();
    let decision = node.decide(|controller| controller.create_topics(&topics, false));
    assert!(decision.answer.iter().all(Result::is_ok));
    let before = node.image.clone();
    handle(&mut node, &Ask::Create { topic: 0, partitions: 1, factor: 1 }, 1);
    let unshared = node
        .image
        .topics()
        .filter(|topic| {
            let old = before.topic_by_id(topic.id());
            !old.is_some_and(|old| std::sync::Arc::ptr_eq(old, topic))
        })
        .count();
    assert_eq!((before.topic_count(), node.image.topic_count(), unshared), (10_000, 10_001, 1));
    node.restart();
}

fn two_voters() -> VoterSet {
    let voter = |id: i32| Voter {
        key: ReplicaKey { id: NodeId(id), directory_id: Uuid::from_u128(500 + id as u128) },
        endpoints: vec![Endpoint { name: "CONTROLLER".into(), host: "host".into(), port: 9093 }],
        kraft_versions: (0, 1),
    };
    [voter(1), voter(2)].into_iter().collect()
}

/// A member would count the votes of those that vote no more, or not find the others.
#[test]
fn voters_stand_in_the_log_and_in_snapshots() {
    let membership = Membership { kraft_version: 1, voters: two_voters() };
    let (version, voters) = (Control::KraftVersion(1), Control::Voters(two_voters()));
    for (content, expected) in [
        (Content::Voters(two_voters()), vec![(Offset(9), voters.clone())]),
        (
            Content::Membership(membership.clone()),
            vec![(Offset(9), version), (Offset(10), voters.clone())],
        ),
    ] {
        let append = Append {
            base_offset: Offset(9),
            epoch: LeaderEpoch(3),
            timestamp: Timestamp(7),
            content,
        };
        let bytes = batch::bytes(&append).unwrap();
        let (found, _) = Batch::parse(&bytes).unwrap();
        assert_eq!(found.next_offset(), append.end_offset());
        assert_eq!(batch::control(&found).unwrap(), expected);
        assert_eq!(batch::records(&found).unwrap(), []);
    }
    let mut image = MetadataImage::default();
    image.advance(Offset(9), LeaderEpoch(3));
    let bytes = snapshot::write(&image, &membership, Timestamp(7)).unwrap();
    let read = snapshot::read(&bytes, Offset(10), LeaderEpoch(3)).unwrap();
    assert_eq!((read.image, read.membership), (image, Some(membership)));
}
