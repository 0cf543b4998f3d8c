//! What is refused can be said: every API that is advertised, in every version, is asked something
//! that a real process must refuse, and has to answer instead of closing the connection.

mod process;

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use milena_protocol::api::*;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex};
use milena_protocol::message::{Message, Versions};
use process::Connection;
use process::broker::Broker;

/// An id, a name and a topic that nobody knows.
const NOBODY: &str = "nobody";

/// Asks for something of each API.
struct Asker {
    connection: Connection,
    advertised: BTreeMap<i16, Versions>,
    asked: Vec<i16>,
}

impl Asker {
    fn new(broker: &Broker) -> Self {
        let mut connection = broker.process.connect();
        let request = api_versions::ApiVersionsRequest::default();
        let told = connection.ask(&request, 0).api_keys.into_iter();
        let versions = |min, max| Versions { min, max };
        let advertised = told.map(|it| (it.api_key, versions(it.min_version, it.max_version)));
        Self { connection, advertised: advertised.collect(), asked: Vec::new() }
    }

    /// Asks in every version, and returns the answers as a debugger shows them.
    fn ask<R>(&mut self, fill: impl Fn(&mut R, i16)) -> Vec<String>
    where
        R: Request<Response: Debug> + Default,
    {
        let advertised = self.advertised[&R::KEY.number()];
        // Produce is advertised in versions that are not served.
        let versions = advertised.min.max(R::VERSIONS.min)..=advertised.max;
        self.asked.push(R::KEY.number());
        let ask = |version| {
            let mut request = R::default();
            fill(&mut request, version);
            println!("{:?} {version}", R::KEY);
            format!("{:?}", self.connection.ask(&request, version))
        };
        versions.map(ask).collect()
    }

    /// Asks what is refused in every version.
    fn refused<R>(&mut self, fill: impl Fn(&mut R, i16))
    where
        R: Request<Response: Debug> + Default,
    {
        for answer in self.ask(fill) {
            let mut codes = answer.split("error_code: ").skip(1);
            let is_refused = codes.any(|code| !code.starts_with("NONE"));
            assert!(is_refused, "{:?} was to be refused: {answer}", R::KEY);
        }
    }

    fn ask_everything(&mut self) {
        self.ask_about_groups();
        self.ask_about_transactions();
        self.ask_about_logs();
        self.ask_administration();
        let advertised: Vec<i16> = self.advertised.keys().copied().collect();
        self.asked.sort_unstable();
        assert_eq!(self.asked, advertised, "another API is to be asked for");
    }

    fn ask_about_groups(&mut self) {
        self.refused::<join_group::JoinGroupRequest>(|it, _| {
            it.group_id = NOBODY.into();
            it.session_timeout_ms = 1;
        });
        self.refused::<sync_group::SyncGroupRequest>(|it, _| it.group_id = NOBODY.into());
        self.refused::<heartbeat::HeartbeatRequest>(|it, _| it.group_id = NOBODY.into());
        self.refused::<leave_group::LeaveGroupRequest>(|it, _| {
            it.group_id = NOBODY.into();
            it.members = vec![Default::default()];
        });
        self.refused::<offset_commit::OffsetCommitRequest>(|it, _| {
            it.topics = vec![Default::default()];
            it.topics[0].partitions = vec![Default::default()];
        });
        self.refused::<consumer_group_heartbeat::ConsumerGroupHeartbeatRequest>(|it, _| {
            it.group_id = NOBODY.into();
            it.member_epoch = 1;
        });
        self.refused::<consumer_group_describe::ConsumerGroupDescribeRequest>(|it, _| {
            it.group_ids = vec![NOBODY.into()];
        });
        self.refused::<offset_delete::OffsetDeleteRequest>(|it, _| it.group_id = NOBODY.into());
        self.refused::<delete_groups::DeleteGroupsRequest>(|it, _| {
            it.groups_names = vec![NOBODY.into()];
        });
        // These say of most groups that there is nothing to say.
        self.ask::<describe_groups::DescribeGroupsRequest>(|it, _| {
            it.groups = vec![NOBODY.into()];
        });
        self.ask::<list_groups::ListGroupsRequest>(|_, _| {});
        self.ask::<offset_fetch::OffsetFetchRequest>(|it, version| {
            it.group_id = NOBODY.into();
            it.topics = Some(vec![Default::default()]);
            it.topics.as_mut().unwrap()[0].partition_indexes = vec![PartitionIndex(0)];
            if version >= 8 {
                it.groups = vec![Default::default(); 2];
                it.groups[0].topics = Some(vec![Default::default()]);
            }
        });
    }

    fn ask_about_transactions(&mut self) {
        self.refused::<init_producer_id::InitProducerIdRequest>(|it, _| {
            it.transactional_id = Some("".into());
        });
        self.refused::<add_partitions_to_txn::AddPartitionsToTxnRequest>(|it, version| {
            let topic = add_partitions_to_txn::AddPartitionsToTxnTopic {
                name: NOBODY.into(),
                partitions: vec![PartitionIndex(0)],
            };
            it.v3_and_below_topics = vec![topic.clone()];
            if version >= 4 {
                it.transactions = vec![Default::default()];
                it.transactions[0].topics = vec![topic];
            }
        });
        self.refused::<add_offsets_to_txn::AddOffsetsToTxnRequest>(|it, _| {
            it.transactional_id = NOBODY.into();
        });
        self.refused::<end_txn::EndTxnRequest>(|it, _| it.transactional_id = NOBODY.into());
        self.refused::<write_txn_markers::WriteTxnMarkersRequest>(|it, _| {
            it.markers = vec![Default::default()];
            it.markers[0].topics = vec![Default::default()];
            it.markers[0].topics[0].partition_indexes = vec![PartitionIndex(0)];
        });
        self.refused::<describe_transactions::DescribeTransactionsRequest>(|it, _| {
            it.transactional_ids = vec![NOBODY.into()];
        });
        self.refused::<txn_offset_commit::TxnOffsetCommitRequest>(|it, _| {
            it.transactional_id = NOBODY.into();
            it.group_id = NOBODY.into();
            it.topics = vec![Default::default()];
            it.topics[0].partitions = vec![Default::default()];
        });
        self.refused::<describe_producers::DescribeProducersRequest>(|it, _| {
            it.topics = vec![Default::default()];
            it.topics[0].partition_indexes = vec![PartitionIndex(0)];
        });
        self.ask::<list_transactions::ListTransactionsRequest>(|it, _| {
            it.transactional_id_pattern = Some("(".into());
        });
    }

    fn ask_about_logs(&mut self) {
        self.refused::<produce::ProduceRequest>(|it, _| {
            it.acks = -1;
            it.topic_data = vec![Default::default()];
            it.topic_data[0].partition_data = vec![Default::default()];
        });
        self.refused::<fetch::FetchRequest>(|it, _| {
            it.topics = vec![Default::default()];
            it.topics[0].partitions = vec![Default::default()];
        });
        self.refused::<list_offsets::ListOffsetsRequest>(|it, _| {
            it.topics = vec![Default::default()];
            it.topics[0].partitions = vec![Default::default()];
        });
        self.refused::<offset_for_leader_epoch::OffsetForLeaderEpochRequest>(|it, _| {
            it.topics = vec![Default::default()];
            it.topics[0].partitions = vec![Default::default()];
        });
        self.refused::<delete_records::DeleteRecordsRequest>(|it, _| {
            it.topics = vec![Default::default()];
            it.topics[0].partitions = vec![Default::default()];
        });
        self.ask::<describe_log_dirs::DescribeLogDirsRequest>(|_, _| {});
    }

    fn ask_administration(&mut self) {
        self.refused::<metadata::MetadataRequest>(|it, _| {
            it.topics = Some(vec![Default::default()]);
            it.topics.as_mut().unwrap()[0].name = Some("no name".into());
        });
        self.refused::<create_topics::CreateTopicsRequest>(|it, _| {
            it.topics = vec![Default::default()];
        });
        self.refused::<delete_topics::DeleteTopicsRequest>(|it, _| {
            it.topic_names = vec![NOBODY.into()];
            it.topics = vec![Default::default()];
        });
        self.refused::<create_partitions::CreatePartitionsRequest>(|it, _| {
            it.topics = vec![Default::default()];
        });
        self.refused::<describe_configs::DescribeConfigsRequest>(|it, _| {
            it.resources = vec![Default::default()];
        });
        self.refused::<alter_configs::AlterConfigsRequest>(|it, _| {
            it.resources = vec![Default::default()];
        });
        self.refused::<incremental_alter_configs::IncrementalAlterConfigsRequest>(|it, _| {
            it.resources = vec![Default::default()];
        });
        self.refused::<alter_partition_reassignments::AlterPartitionReassignmentsRequest>(
            |it, _| {
                it.topics = vec![Default::default()];
                it.topics[0].partitions = vec![Default::default()];
            },
        );
        self.refused::<unregister_broker::UnregisterBrokerRequest>(|it, _| {
            it.broker_id = NodeId(9)
        });
        let another = || Some("another cluster".into());
        self.refused::<add_raft_voter::AddRaftVoterRequest>(|it, _| it.cluster_id = another());
        self.refused::<remove_raft_voter::RemoveRaftVoterRequest>(|it, _| {
            it.cluster_id = another();
        });
        self.refused::<elect_leaders::ElectLeadersRequest>(|it, _| {
            it.topic_partitions = Some(vec![Default::default()]);
            it.topic_partitions.as_mut().unwrap()[0].partitions = vec![PartitionIndex(0)];
        });
        self.refused::<update_features::UpdateFeaturesRequest>(|it, _| {
            it.feature_updates = vec![Default::default()];
        });
        self.refused::<describe_quorum::DescribeQuorumRequest>(|it, _| {
            it.topics = vec![Default::default()];
            it.topics[0].partitions = vec![Default::default()];
        });
        self.refused::<describe_topic_partitions::DescribeTopicPartitionsRequest>(|it, _| {
            it.topics = vec![Default::default()];
        });
        // Version 0 asks for groups only, and every group has a coordinator.
        self.ask::<find_coordinator::FindCoordinatorRequest>(|it, _| {
            it.key_type = 9;
            it.coordinator_keys = vec![NOBODY.into()];
        });
        self.ask::<describe_cluster::DescribeClusterRequest>(|it, _| it.endpoint_type = 9);
        self.ask::<list_config_resources::ListConfigResourcesRequest>(|it, _| {
            it.resource_types = vec![99];
        });
        self.ask::<list_partition_reassignments::ListPartitionReassignmentsRequest>(|_, _| {});
        self.ask::<api_versions::ApiVersionsRequest>(|_, _| {});
    }
}

/// A client would find its connection closed where it should be told why: an answer has nothing to
/// say in a field that may not be null in its version.
#[test]
fn what_is_refused_can_be_said_in_every_version() {
    // What members of the quorum ask is another listener's.
    let broker = Broker::start(&[
        "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
        "controller.listener.names=CONTROLLER",
    ]);
    // Coordinators have no topic yet, then they have one.
    Asker::new(&broker).ask_everything();
    let mut asker = Asker::new(&broker);
    for key_type in [0, 1] {
        let keys = vec![NOBODY.into()];
        let request = find_coordinator::FindCoordinatorRequest {
            key_type,
            coordinator_keys: keys,
            ..Default::default()
        };
        let found = asker.connection.ask(&request, 4).coordinators;
        assert_eq!(found[0].error_code, ErrorCode::NONE);
    }
    asker.ask_everything();
}

/// librdkafka's members of the classic protocol could not come into a consumer group.
#[test]
fn a_consumer_group_tells_a_classic_newcomer_its_id() {
    let broker = Broker::start(&[]);
    let mut asker = Asker::new(&broker);
    let request = find_coordinator::FindCoordinatorRequest {
        coordinator_keys: vec![NOBODY.into()],
        ..Default::default()
    };
    asker.connection.ask(&request, 4);
    let request = consumer_group_heartbeat::ConsumerGroupHeartbeatRequest {
        group_id: NOBODY.into(),
        member_id: "member".into(),
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(Vec::new()),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    assert_eq!(asker.connection.ask(&request, 1).error_code, ErrorCode::NONE);
    for version in 4..=join_group::JoinGroupRequest::VERSIONS.max {
        let protocol = join_group::JoinGroupRequestProtocol {
            name: "range".into(),
            // Version 0, no topics, no data of its own.
            metadata: Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
        };
        let request = join_group::JoinGroupRequest {
            group_id: NOBODY.into(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 30_000,
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let told = asker.connection.ask(&request, version);
        assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED, "{version}");
    }
}
