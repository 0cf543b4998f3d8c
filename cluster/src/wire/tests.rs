//! Each message there and back, over the bytes of the version that is sent.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use milena_protocol::api::Request as Api;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};
use milena_protocol::message::Message;

use super::{Carried, Link};
use crate::metadata::batch;
use crate::quorum::{
    AddVoterRequest, Append, Batch, BeginQuorumEpochRequest, Content, EndQuorumEpochRequest,
    Endpoint, FetchRequest, FetchSnapshotRequest, Fetched, Membership, Piece, RemoveVoterRequest,
    ReplicaKey, Response, ResponseBody, SnapshotId, UpdateVoterRequest, VoteRequest, Voter,
};

fn link() -> Link {
    Link { cluster_id: "cluster".into(), listener: "CONTROLLER".into() }
}

fn key(id: i32) -> ReplicaKey {
    ReplicaKey { id: NodeId(id), directory_id: Uuid::from_u128(100 + id as u128) }
}

fn place() -> Endpoint {
    Endpoint { name: "CONTROLLER".into(), host: "host".into(), port: 9093 }
}

fn voter(id: i32) -> Voter {
    Voter { key: key(id), endpoints: vec![place()], kraft_versions: (0, 1) }
}

fn answer(body: ResponseBody) -> Response {
    Response {
        error: ErrorCode::NONE,
        epoch: LeaderEpoch(7),
        leader: NodeId(2),
        leader_endpoints: vec![place()],
        body,
    }
}

fn over_the_wire<M: Message>(message: &M) -> M {
    let version = M::VERSIONS.max;
    M::from_bytes(message.to_bytes(version).unwrap(), version).unwrap()
}

fn travels<M: Carried + PartialEq + Debug>(message: &M, answers: &[Response])
where
    M::Carrier: Clone,
    <M::Carrier as Api>::Response: Message,
{
    let carrier = over_the_wire(&message.carry(&link()));
    assert_eq!(M::unpack(carrier.clone(), &link()).as_ref(), Ok(message));
    let other = Link { cluster_id: "another".into(), ..link() };
    let foreign = M::unpack(carrier, &other);
    assert_eq!(foreign, Err(ErrorCode::INCONSISTENT_CLUSTER_ID));
    for sent in answers {
        let carrier = over_the_wire(&M::carry_answer(sent, &link()));
        assert_eq!(M::unpack_answer(carrier, &link()).as_ref(), Ok(sent));
    }
    let refused = over_the_wire(&M::refuse(ErrorCode::INCONSISTENT_CLUSTER_ID));
    let refused = M::unpack_answer(refused, &link()).unwrap();
    assert_eq!(refused.error, ErrorCode::INCONSISTENT_CLUSTER_ID);
    assert!(refused.leader_endpoints.is_empty() && refused.leader == NodeId::NONE);
}

/// A vote would be asked of, or given by, another.
#[test]
fn votes_travel() {
    let request = VoteRequest {
        voter: key(1),
        candidate: key(3),
        epoch: LeaderEpoch(8),
        last_epoch: LeaderEpoch(7),
        end_offset: Offset(1234),
        pre_vote: true,
    };
    let refused = Response {
        error: ErrorCode::FENCED_LEADER_EPOCH,
        ..answer(ResponseBody::Vote { granted: false })
    };
    travels(&request, &[answer(ResponseBody::Vote { granted: true }), refused]);
}

/// A leader would not be known, or not be let go.
#[test]
fn the_beginning_and_the_end_of_an_epoch_travel() {
    let begin = BeginQuorumEpochRequest {
        voter: key(1),
        leader: NodeId(2),
        epoch: LeaderEpoch(7),
        endpoints: vec![place()],
    };
    travels(&begin, &[answer(ResponseBody::BeginQuorumEpoch)]);
    let end = EndQuorumEpochRequest {
        leader: NodeId(2),
        epoch: LeaderEpoch(7),
        preferred: vec![key(3), key(1)],
    };
    travels(&end, &[answer(ResponseBody::EndQuorumEpoch)]);
}

fn batch_of(base: i64, content: Content) -> Batch {
    let append = Append {
        base_offset: Offset(base),
        epoch: LeaderEpoch(7),
        timestamp: Timestamp(1),
        content,
    };
    Batch {
        base_offset: append.base_offset,
        end_offset: append.end_offset(),
        epoch: append.epoch,
        control: append.control(),
        bytes: batch::bytes(&append).unwrap(),
    }
}

fn fetch() -> FetchRequest {
    FetchRequest {
        replica: key(3),
        epoch: LeaderEpoch(7),
        fetch_offset: Offset(40),
        last_epoch: LeaderEpoch(6),
        high_watermark: Some(Offset(39)),
        max_wait: Duration::from_millis(500),
        max_bytes: 1 << 20,
    }
}

/// Apache Kafka would take no vote and no fetch from a member with an empty log.
#[test]
fn an_empty_log_is_told_as_apache_kafka_tells_it() {
    let empty =
        FetchRequest { fetch_offset: Offset::ZERO, last_epoch: LeaderEpoch::NONE, ..fetch() };
    let carrier = empty.carry(&link());
    assert_eq!(carrier.topics[0].partitions[0].last_fetched_epoch, LeaderEpoch(0));
    travels(&empty, &[]);
    let request = VoteRequest {
        voter: key(1),
        candidate: key(3),
        epoch: LeaderEpoch(1),
        last_epoch: LeaderEpoch::NONE,
        end_offset: Offset::ZERO,
        pre_vote: false,
    };
    let carrier = request.carry(&link());
    assert_eq!(carrier.topics[0].partitions[0].last_offset_epoch, LeaderEpoch(0));
    travels(&request, &[]);
}

/// A member whose log has nothing in common with the leader's would keep it, and fetch for ever.
#[test]
fn logs_with_nothing_in_common_are_told_to_differ() {
    let diverging = |epoch| {
        let end_offset = Offset::ZERO;
        answer(ResponseBody::Fetch(Fetched::Diverging { epoch, end_offset }))
    };
    let carried = FetchRequest::carry_answer(&diverging(LeaderEpoch::NONE), &link());
    let arrived = FetchRequest::unpack_answer(over_the_wire(&carried), &link());
    assert_eq!(arrived, Ok(diverging(LeaderEpoch(0))));
}

/// The log would not be the same everywhere.
#[test]
fn the_log_travels_byte_for_byte() {
    let voters = [voter(1), voter(2), voter(3)].into_iter().collect();
    let batches = vec![
        batch_of(40, Content::Records(vec![Bytes::from_static(b"\x01\0\0"), Bytes::new()])),
        batch_of(42, Content::Membership(Membership { kraft_version: 1, voters })),
    ];
    let high_watermark = Some(Offset(40));
    let body = |fetched| answer(ResponseBody::Fetch(fetched));
    let nothing = Response { error: ErrorCode::FENCED_LEADER_EPOCH, ..body(Fetched::Nothing) };
    let answers = [
        body(Fetched::Batches { high_watermark, batches: batches.clone() }),
        body(Fetched::Batches { high_watermark: None, batches: Vec::new() }),
        body(Fetched::Diverging { epoch: LeaderEpoch(5), end_offset: Offset(30) }),
        body(Fetched::Snapshot(SnapshotId { end_offset: Offset(9), epoch: LeaderEpoch(2) })),
        nothing,
    ];
    travels(&fetch(), &answers);
    travels(&FetchRequest { high_watermark: None, ..fetch() }, &[]);

    // What the answer cuts off comes with the next one; what is damaged is not taken.
    let mut sent = FetchRequest::carry_answer(&answers[0], &link());
    let records = &mut sent.responses[0].partitions[0].records.as_mut().unwrap().0;
    let whole = records.clone();
    *records = whole.slice(..whole.len() - 1);
    let found = FetchRequest::unpack_answer(sent.clone(), &link()).unwrap();
    let one = Fetched::Batches { high_watermark, batches: vec![batches[0].clone()] };
    assert_eq!(found.body, ResponseBody::Fetch(one));
    let mut damaged = whole.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    sent.responses[0].partitions[0].records.as_mut().unwrap().0 = damaged.into();
    assert!(FetchRequest::unpack_answer(sent, &link()).is_err());
}

/// A member that is far behind would never catch up.
#[test]
fn pieces_of_snapshots_travel() {
    let snapshot = SnapshotId { end_offset: Offset(9), epoch: LeaderEpoch(2) };
    let request = FetchSnapshotRequest {
        replica: key(3),
        epoch: LeaderEpoch(7),
        snapshot,
        position: 4096,
        max_bytes: 1 << 20,
    };
    let bytes = Bytes::from_static(b"piece");
    let piece = Piece { snapshot, size: 5000, position: 4096, bytes };
    travels(&request, &[answer(ResponseBody::FetchSnapshot(piece))]);
}

/// Others would look for a voter where it no longer listens.
#[test]
fn a_voters_place_travels() {
    let request = UpdateVoterRequest { epoch: LeaderEpoch(7), voter: voter(3) };
    travels(&request, &[answer(ResponseBody::UpdateVoter)]);
}

/// Another replica would vote than was asked for, or none, or nobody be told why.
#[test]
fn changes_of_voters_travel() {
    let done = |body| super::refused(ErrorCode::NONE, body);
    let added = AddVoterRequest { voter: voter(3), ack_when_committed: false };
    travels(&added, &[done(ResponseBody::AddVoter)]);
    let removed = RemoveVoterRequest { voter: key(3) };
    travels(&removed, &[done(ResponseBody::RemoveVoter)]);
    let refusal = RemoveVoterRequest::refuse(ErrorCode::VOTER_NOT_FOUND);
    assert!(refusal.error_message.is_some_and(|text| text.contains("no voter")));

    let mut nowhere = added.carry(&link());
    nowhere.listeners.clear();
    let mut nobody = added.carry(&link());
    nobody.voter_directory_id = Uuid::ZERO;
    for wrong in [nowhere, nobody] {
        assert_eq!(AddVoterRequest::unpack(wrong, &link()), Err(ErrorCode::INVALID_REQUEST));
    }
}

/// A request about something else would be taken for one about the metadata log.
#[test]
fn only_the_metadata_log_is_talked_about() {
    let carrier = fetch().carry(&link());
    let mut twice = carrier.clone();
    twice.topics.push(twice.topics[0].clone());
    let mut other = carrier.clone();
    other.topics[0].topic_id = Uuid::from_u128(2);
    let mut partition = carrier;
    partition.topics[0].partitions[0].partition.0 = 1;
    for wrong in [twice, other, partition] {
        assert_eq!(FetchRequest::unpack(wrong, &link()), Err(ErrorCode::INVALID_REQUEST));
    }
}
