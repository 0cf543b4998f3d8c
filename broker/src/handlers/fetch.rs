//! Fetch (1), versions 4–18.
//!
//! Answers at once when enough is there, when something is wrong, or when the client will not wait;
//! else it waits on the partitions' published offsets. What leaves are views of the log, never
//! copies. The first partition with data may exceed the limits by one whole batch.
//!
//! A follower reads up to the log's end, and its fetch tells the leader how far it is. A consumer
//! may read from a follower, up to what is acknowledged as far as that knows (KIP-392).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milena_cluster::replica::Fetch as Fetched;
use milena_cluster::replica::quota::Allowance;
use milena_cluster::replica::read_replica::rack_aware;
use milena_protocol::api::fetch::{
    FetchAbortedTransaction, FetchCurrentLeader, FetchEpochEndOffset, FetchNodeEndpoint,
    FetchPartitionResponse, FetchRequest, FetchResponse, FetchTopicResponse,
};
use milena_protocol::codec::{Records, Text};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};
use milena_storage::{LogOffsets, ReadError, ReadLimit};
use tokio::time::Instant;

use super::error::read_code;
use super::leader_hint::Hints;
use super::{quorum, resolve};
use crate::blocking;
use crate::broker::Broker;
use crate::endpoints::Endpoint;
use crate::fetch_session::{Asked, Fetching, Key, News, Said, Session, Wanted};
use crate::replicas::partition::Partition;
use crate::replicas::progress::{Progress, Waiting};
use crate::request::Context;
use crate::security::{Operation, Resource};

/// The replica id of a tool that may read up to the log end of any replica.
const DEBUGGING_REPLICA: i32 = -2;

/// Serves a fetch.
pub async fn handle(broker: Arc<Broker>, context: Context, request: FetchRequest) -> FetchResponse {
    if quorum::is_of_the_quorum(&request) {
        return quorum::relay(broker, context, request, milena_cluster::quorum::Request::Fetch)
            .await;
    }
    let by_id = context.version >= 13;
    let max_wait = Duration::from_millis(request.max_wait_ms.max(0) as u64);
    let max_bytes = request.max_bytes.min(broker.config.fetch_max_bytes).max(0) as usize;
    let replica = if context.version >= 15 {
        request.replica_state.replica_id.0
    } else {
        request.replica_id.0
    };
    if replica < DEBUGGING_REPLICA {
        return FetchResponse { error_code: ErrorCode::INVALID_REQUEST, ..Default::default() };
    }
    let asker = match replica {
        DEBUGGING_REPLICA => Asker::Tool,
        0.. => {
            let principal = &context.peer.principal;
            if !broker.authorizer.allows(principal, Operation::ClusterAction, Resource::Cluster) {
                let error_code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
                return FetchResponse { error_code, ..Default::default() };
            }
            let epoch = request.replica_state.replica_epoch;
            Asker::Follower(NodeId(replica), (epoch.0 >= 0).then_some(epoch))
        }
        _ => Asker::Consumer,
    };
    let limits = Limits {
        max_bytes,
        min_bytes: (request.min_bytes.max(0) as usize).min(max_bytes),
        committed_only: request.isolation_level == 1,
    };
    let rack = request.rack_id.detach();
    let deadline = Instant::now() + max_wait;
    let fetching = match broker.sessions.resolve(asked(request, by_id), Instant::now().into_std()) {
        Ok(fetching) => fetching,
        Err(error_code) => return FetchResponse { error_code, ..Default::default() },
    };
    let (session, wanted, only_news) = match fetching {
        Fetching::Sessionless(wanted) => (None, wanted, false),
        Fetching::Full(session, wanted) => (Some(session), wanted, false),
        Fetching::Incremental(session, wanted) => (Some(session), wanted, true),
    };
    let look = Look { broker, context, by_id, limits, asker, rack };
    let targets: Arc<[Target]> =
        wanted.into_iter().map(|(key, wanted)| look.target(key, wanted)).collect();
    let results = look.read_or_wait(&targets, deadline).await;
    look.respond(session, only_news, &targets, results)
}

fn asked(request: FetchRequest, by_id: bool) -> Asked {
    let key = |topic: &Text, topic_id: Uuid, partition: PartitionIndex| Key {
        topic_id: if by_id { topic_id } else { Uuid::ZERO },
        topic: if by_id { Text::default() } else { topic.clone() },
        partition,
    };
    let wanted = request
        .topics
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(move |partition| {
                let wanted = Wanted {
                    fetch_offset: partition.fetch_offset,
                    current_leader_epoch: partition.current_leader_epoch,
                    last_fetched_epoch: partition.last_fetched_epoch,
                    max_bytes: partition.partition_max_bytes,
                    log_start_offset: partition.log_start_offset,
                    high_watermark: partition.high_watermark,
                };
                (key(&topic.topic, topic.topic_id, partition.partition), wanted)
            })
        })
        .collect();
    let forgotten = request
        .forgotten_topics_data
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(move |p| key(&topic.topic, topic.topic_id, *p))
        })
        .collect();
    Asked { id: request.session_id, epoch: request.session_epoch, by_id, wanted, forgotten }
}

#[derive(Clone, Copy)]
struct Limits {
    max_bytes: usize,
    min_bytes: usize,
    committed_only: bool,
}

/// Who fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// A client, which sees what is acknowledged.
    Consumer,
    /// A follower, under this registration.
    Follower(NodeId, Option<BrokerEpoch>),
    /// A tool that may look at all of any replica.
    Tool,
}

/// A partition to read, or why it cannot be.
struct Target {
    key: Key,
    wanted: Wanted,
    partition: Result<Arc<Partition>, ErrorCode>,
}

/// What was read of a partition.
#[derive(Default)]
struct Found {
    error_code: ErrorCode,
    high_watermark: Offset,
    last_stable_offset: Offset,
    log_start_offset: Offset,
    diverging: Option<(LeaderEpoch, Offset)>,
    aborted: Option<Vec<FetchAbortedTransaction>>,
    records: Bytes,
    /// A nearer replica.
    preferred: Option<NodeId>,
    /// The high watermark is news that should not wait.
    has_moved: bool,
    /// It counts against what a throttle leaves.
    is_throttled: bool,
    /// A throttle leaves nothing before then.
    withheld_until: Option<Instant>,
}

impl Found {
    fn fault(error_code: ErrorCode) -> Self {
        Self {
            error_code,
            high_watermark: Offset::NONE,
            last_stable_offset: Offset::NONE,
            log_start_offset: Offset::NONE,
            ..Self::default()
        }
    }

    fn must_be_told(&self) -> bool {
        !self.error_code.is_none() || self.diverging.is_some() || self.preferred.is_some()
    }
}

#[derive(Clone)]
struct Look {
    broker: Arc<Broker>,
    context: Context,
    by_id: bool,
    limits: Limits,
    asker: Asker,
    /// Where a consumer stands; empty where it does not say.
    rack: Text,
}

/// Which look at the logs of a request this is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The first, which tells a leader how far its follower is.
    First,
    /// One that comes after a wait.
    Later,
}

/// What an answer may still hold.
#[derive(Clone, Copy)]
struct Left {
    bytes: usize,
    /// Nothing is in it yet: a batch that is larger than the limits goes all the same.
    is_first: bool,
    /// What throttled partitions may put into it.
    room: Allowance,
    /// What they have put into it.
    throttled_bytes: u64,
}

/// What a throttle makes of what may be read.
enum Throttled {
    /// Nothing else.
    No,
    /// So much, which counts.
    Within(ReadLimit),
    /// Nothing for now; if others have taken the room, not before then.
    Withheld(Option<Instant>),
}

impl Left {
    fn all(bytes: usize, room: Allowance) -> Self {
        Self { bytes, is_first: true, room, throttled_bytes: 0 }
    }

    /// What is left of the room for throttled partitions; none where there is none.
    fn throttled(&self) -> Option<usize> {
        match self.room {
            Allowance::Unlimited => Some(usize::MAX),
            Allowance::Bytes(bytes) => {
                let left = bytes.checked_sub(self.throttled_bytes)?;
                Some(usize::try_from(left).unwrap_or(usize::MAX))
            }
            Allowance::NothingUntil(_) => None,
        }
    }
}

/// How the log may be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On a thread that others need: only what is in memory.
    Reactor,
    /// On a thread that may wait for the disk.
    Blocking,
}

impl Look {
    fn target(&self, key: Key, wanted: Wanted) -> Target {
        let partition = self.find(&key);
        Target { key, wanted, partition }
    }

    fn find(&self, key: &Key) -> Result<Arc<Partition>, ErrorCode> {
        let topic = resolve::topic(&self.broker, self.by_id, &key.topic, key.topic_id)?;
        let principal = &self.context.peer.principal;
        let resource = Resource::Topic(&topic.name);
        if !self.broker.authorizer.allows(principal, Operation::Read, resource) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        if self.needs_leader() {
            self.broker.replicas.leading(&topic.id, key.partition)
        } else {
            self.broker.replicas.hosting(&topic.id, key.partition)
        }
    }

    /// Whether only the leader may answer. Consumers before KIP-392 do not know that they are
    /// answered by somebody else.
    fn needs_leader(&self) -> bool {
        match self.asker {
            Asker::Consumer => self.context.version < 11,
            Asker::Follower(..) => true,
            Asker::Tool => false,
        }
    }

    /// Reads; where that is too little, waits for more and reads again (fact F1).
    async fn read_or_wait(&self, targets: &Arc<[Target]>, deadline: Instant) -> Vec<Found> {
        let results = self.read(targets, Turn::First).await;
        if self.is_enough(&results, deadline) {
            return results;
        }
        let waiting = Waiting::on(targets.iter().flat_map(|target| self.moves(target)));
        loop {
            let (has_news, mut resumes_at) = self.look_again(targets);
            if has_news {
                let results = self.read(targets, Turn::Later).await;
                if self.is_enough(&results, deadline) {
                    return results;
                }
                // Others may have taken the room that there was a moment ago.
                let withheld = results.iter().filter_map(|found| found.withheld_until).min();
                resumes_at = withheld.or(resumes_at);
            }
            let until = resumes_at.map_or(deadline, |at| at.min(deadline));
            let has_moved = tokio::time::timeout_at(until, waiting.moved()).await.is_ok();
            if !has_moved && until == deadline {
                return self.read(targets, Turn::Later).await;
            }
        }
    }

    /// What a throttle leaves for a follower of all that is not in sync (KIP-73). The quota is the
    /// broker's: it is asked once for a look, and only where something is throttled at all.
    fn room(&self, targets: &[Target]) -> Allowance {
        let is_throttled = |target: &Target| {
            target.partition.as_ref().is_ok_and(|partition| partition.is_given_slowly())
        };
        match self.asker {
            Asker::Follower(..) if targets.iter().any(is_throttled) => {
                let shared = self.broker.replicas.shared();
                shared.throttles().leader.allowance(shared.clock().now())
            }
            Asker::Follower(..) | Asker::Consumer | Asker::Tool => Allowance::Unlimited,
        }
    }

    /// Whether a partition waits for room, where there is none.
    fn is_withheld(&self, partition: &Partition) -> bool {
        match self.asker {
            Asker::Follower(follower, _) => {
                partition.is_given_slowly() && !partition.is_waited_for(follower)
            }
            Asker::Consumer | Asker::Tool => false,
        }
    }

    /// Whether something is worth another look, and when something that is withheld will be.
    fn look_again(&self, targets: &[Target]) -> (bool, Option<Instant>) {
        let Allowance::NothingUntil(at) = self.room(targets) else {
            return (targets.iter().any(|target| self.has_news(target)), None);
        };
        let at = self.broker.replicas.shared().clock().at(at);
        let (mut has_news, mut resumes_at) = (false, None);
        for target in targets {
            match &target.partition {
                Ok(partition) if self.is_withheld(partition) => {
                    has_news |= self.check(partition, target.wanted).is_err();
                    resumes_at =
                        resumes_at.or(self.is_there(partition, target.wanted).then_some(at));
                }
                _ => has_news |= self.has_news(target),
            }
        }
        (has_news, resumes_at)
    }

    fn is_there(&self, partition: &Partition, wanted: Wanted) -> bool {
        wanted.fetch_offset < self.upper(partition, partition.reader().offsets())
    }

    /// Whether a partition is worth another look: of many that are waited for, few have moved.
    fn has_news(&self, target: &Target) -> bool {
        let Ok(partition) = &target.partition else { return true };
        let (offsets, wanted) = (partition.reader().offsets(), target.wanted);
        let is_there = wanted.fetch_offset < self.upper(partition, offsets)
            || wanted.fetch_offset > offsets.log_end_offset
            || wanted.fetch_offset < offsets.log_start_offset;
        is_there || self.check(partition, wanted).is_err() || self.has_moved(offsets, wanted)
    }

    /// Whether consumers that read from the follower wait for the high watermark.
    fn has_moved(&self, offsets: LogOffsets, wanted: Wanted) -> bool {
        self.broker.config.replica.is_read_by_rack && wanted.high_watermark < offsets.high_watermark
    }

    /// What has to move before there is something new.
    fn moves<'a>(&self, target: &'a Target) -> impl Iterator<Item = &'a Progress> + use<'a> {
        let (of_consumers, of_replicas) = match self.asker {
            Asker::Consumer => (true, false),
            Asker::Follower(..) => (self.broker.config.replica.is_read_by_rack, true),
            Asker::Tool => (false, true),
        };
        let partition = target.partition.as_ref().ok();
        let progress = partition.filter(|_| of_consumers).map(|it| it.progress());
        progress.into_iter().chain(partition.filter(|_| of_replicas).map(|it| it.ends()))
    }

    fn is_enough(&self, results: &[Found], deadline: Instant) -> bool {
        let bytes: usize = results.iter().map(|found| found.records.len()).sum();
        results.is_empty()
            || bytes >= self.limits.min_bytes.max(1)
            || self.limits.min_bytes == 0
            || results.iter().any(|found| found.must_be_told() || found.has_moved)
            || Instant::now() >= deadline
    }

    /// Reads where that does not keep others waiting: all of it on a thread that may block, if any
    /// of it may have to wait for the disk.
    async fn read(&self, targets: &Arc<[Target]>, turn: Turn) -> Vec<Found> {
        if !targets.iter().any(|target| self.may_block(target)) {
            return self.read_at(targets, turn, Place::Reactor);
        }
        let (look, wanted) = (self.clone(), Arc::clone(targets));
        let read = move || look.read_at(&wanted, turn, Place::Blocking);
        let read = blocking::spawn(read);
        read.await.unwrap_or_else(|_| {
            // The broker ends.
            let fault = || Found::fault(self.downgraded(ErrorCode::KAFKA_STORAGE_ERROR));
            targets.iter().map(|_| fault()).collect()
        })
    }

    fn may_block(&self, target: &Target) -> bool {
        target.partition.as_ref().is_ok_and(|partition| {
            let offsets = partition.reader().offsets();
            let left = Left::all(self.limits.max_bytes, Allowance::Unlimited);
            let limit = self.limit(partition, offsets, target.wanted, left);
            partition.reader().may_block(target.wanted.fetch_offset, limit)
        })
    }

    /// How much may be read of a partition.
    fn limit(
        &self,
        partition: &Partition,
        offsets: LogOffsets,
        wanted: Wanted,
        left: Left,
    ) -> ReadLimit {
        let upper = self.upper(partition, offsets);
        ReadLimit {
            upper,
            max_bytes: left.bytes.min(wanted.max_bytes.max(0) as usize),
            at_least_one_batch: left.is_first,
        }
    }

    /// What a throttle leaves of that. A batch that is larger than the room goes whole, for it
    /// would not go ever.
    fn throttled(&self, partition: &Partition, limit: ReadLimit, left: Left) -> Throttled {
        let Asker::Follower(follower, _) = self.asker else { return Throttled::No };
        if left.room == Allowance::Unlimited || !partition.is_given_slowly() {
            return Throttled::No;
        }
        let room = left.throttled();
        if room.is_some_and(|room| limit.max_bytes <= room) {
            return Throttled::Within(limit);
        }
        if partition.is_waited_for(follower) {
            return Throttled::No;
        }
        match (room, left.room) {
            (Some(max_bytes), _) => {
                Throttled::Within(ReadLimit { max_bytes, at_least_one_batch: true, ..limit })
            }
            (None, Allowance::NothingUntil(at)) => {
                Throttled::Withheld(Some(self.broker.replicas.shared().clock().at(at)))
            }
            // The rest of this answer took it.
            (None, Allowance::Unlimited | Allowance::Bytes(_)) => Throttled::Withheld(None),
        }
    }

    /// Where reading ends.
    fn upper(&self, partition: &Partition, offsets: LogOffsets) -> Offset {
        if self.asker != Asker::Consumer {
            offsets.log_end_offset
        } else if self.limits.committed_only {
            partition.last_stable_offset()
        } else {
            offsets.high_watermark
        }
    }

    fn read_at(&self, targets: &[Target], turn: Turn, place: Place) -> Vec<Found> {
        let mut left = Left::all(self.limits.max_bytes, self.room(targets));
        targets
            .iter()
            .map(|target| {
                let found = match &target.partition {
                    Ok(partition) => self.read_one(partition, target.wanted, left, (turn, place)),
                    Err(code) => Found::fault(self.downgraded(*code)),
                };
                left.bytes = left.bytes.saturating_sub(found.records.len());
                left.is_first &= found.records.is_empty();
                if found.is_throttled {
                    left.throttled_bytes += found.records.len() as u64;
                }
                found
            })
            .collect()
    }

    fn read_one(
        &self,
        partition: &Partition,
        wanted: Wanted,
        left: Left,
        (turn, place): (Turn, Place),
    ) -> Found {
        if let Err(code) = self.check(partition, wanted) {
            return Found::fault(code);
        }
        if let Some(found) = self.elsewhere(partition, wanted) {
            return found;
        }
        let told = match turn {
            Turn::First => self.tell_leader(partition, wanted),
            Turn::Later => Ok(()),
        };
        if let Err(code) = told {
            return Found::fault(code);
        }
        let reader = partition.reader();
        // The offsets in the answer are those from before the read (fact F10).
        let offsets = reader.offsets();
        let mut found = Found {
            high_watermark: offsets.high_watermark,
            last_stable_offset: partition.last_stable_offset(),
            log_start_offset: offsets.log_start_offset,
            aborted: self.limits.committed_only.then(Vec::new),
            has_moved: self.has_moved(offsets, wanted),
            ..Found::default()
        };
        if let Some(diverging) = diverging(partition, wanted) {
            match diverging {
                Ok(place) => found.diverging = Some(place),
                Err(code) => return Found::fault(code),
            }
            return found;
        }
        let mut limit = self.limit(partition, offsets, wanted, left);
        match self.throttled(partition, limit, left) {
            Throttled::No => {}
            Throttled::Within(less) => {
                limit = less;
                found.is_throttled = true;
            }
            // It has not got what is news to it either.
            Throttled::Withheld(until) => {
                return Found { has_moved: false, withheld_until: until, ..found };
            }
        }
        let read = match place {
            Place::Reactor => reader.read(wanted.fetch_offset, limit),
            Place::Blocking => reader.read_blocking(wanted.fetch_offset, limit),
        };
        match read {
            Ok(slice) => {
                if self.limits.committed_only && !slice.records.is_empty() {
                    found.aborted = Some(aborted(partition, &slice, limit.upper));
                }
                found.records = slice.records;
                found
            }
            Err(error) => Found {
                high_watermark: offsets.high_watermark,
                log_start_offset: offsets.log_start_offset,
                ..Found::fault(self.downgraded(self.read_fault(partition, error)))
            },
        }
    }

    /// Whether this broker may answer, as the partition stands now.
    fn check(&self, partition: &Partition, wanted: Wanted) -> Result<(), ErrorCode> {
        if partition.is_retired() {
            // The metadata that everybody looks up follows the logs.
            let is_gone = self.broker.replicas.image().topic_by_id(partition.topic_id()).is_none();
            return Err(match is_gone {
                true => self.no_such_topic(),
                false => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            });
        }
        if self.needs_leader() && !partition.is_leading() {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        partition.check_epoch(wanted.current_leader_epoch)
    }

    /// Where a consumer had better read (KIP-392, fact F19).
    fn elsewhere(&self, partition: &Partition, wanted: Wanted) -> Option<Found> {
        let is_asked_for = self.asker == Asker::Consumer
            && self.broker.config.replica.is_read_by_rack
            && !self.rack.is_empty()
            && partition.is_leading();
        if !is_asked_for {
            return None;
        }
        let image = self.broker.metadata.image();
        let own_rack = image.broker(self.broker.node_id).and_then(|broker| broker.rack.as_deref());
        let listener = &self.context.peer.listener;
        let is_reachable = |id: NodeId| {
            let broker = image.broker(id).filter(|broker| !broker.fenced);
            broker.is_some_and(|broker| broker.endpoints.iter().any(|at| *at.name == **listener))
        };
        let preferred = partition.preferred_replica(wanted.fetch_offset, |replicas| {
            rack_aware(&self.rack, own_rack, replicas).filter(|id| is_reachable(*id))
        })?;
        let offsets = partition.reader().offsets();
        Some(Found {
            high_watermark: offsets.high_watermark,
            last_stable_offset: partition.last_stable_offset(),
            log_start_offset: offsets.log_start_offset,
            aborted: self.limits.committed_only.then(Vec::new),
            preferred: Some(preferred),
            ..Found::default()
        })
    }

    /// A follower has everything below its offset, where that is of this log at all.
    fn tell_leader(&self, partition: &Partition, wanted: Wanted) -> Result<(), ErrorCode> {
        let Asker::Follower(follower, broker_epoch) = self.asker else { return Ok(()) };
        let offsets = partition.reader().offsets();
        let range = offsets.log_start_offset..=offsets.log_end_offset;
        if !range.contains(&wanted.fetch_offset) || diverging(partition, wanted).is_some() {
            return Ok(());
        }
        let leader_epoch = match wanted.current_leader_epoch {
            LeaderEpoch::NONE => partition.leader_epoch(),
            epoch => epoch,
        };
        partition.fetched_by(Fetched {
            follower,
            broker_epoch,
            leader_epoch,
            fetch_offset: wanted.fetch_offset,
            log_start_offset: wanted.log_start_offset,
            leader_end_offset: offsets.log_end_offset,
        })
    }

    fn read_fault(&self, partition: &Partition, error: ReadError) -> ErrorCode {
        let code = read_code(&error);
        if let ReadError::OutOfRange { .. } = error
            && self.asker == Asker::Consumer
            && !partition.is_leading()
        {
            // What the leader has acknowledged may be on its way here.
            return ErrorCode::OFFSET_NOT_AVAILABLE;
        }
        if code == ErrorCode::KAFKA_STORAGE_ERROR {
            tracing::error!(?partition, %error, "cannot read");
        }
        code
    }

    /// What is said of a topic that is not there, in the way it was asked for.
    fn no_such_topic(&self) -> ErrorCode {
        if self.by_id { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION }
    }

    /// Versions up to 5 do not know KAFKA_STORAGE_ERROR (fact F23).
    fn downgraded(&self, code: ErrorCode) -> ErrorCode {
        if code == ErrorCode::KAFKA_STORAGE_ERROR && self.context.version <= 5 {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        } else {
            code
        }
    }

    fn respond(
        &self,
        session: Option<Arc<parking_lot::Mutex<Session>>>,
        only_news: bool,
        targets: &[Target],
        results: Vec<Found>,
    ) -> FetchResponse {
        let mut session = session.as_ref().map(|session| session.lock());
        let mut responses: Vec<FetchTopicResponse> = Vec::new();
        let mut hints = Hints::new(&self.broker, &self.context.peer);
        for (target, found) in targets.iter().zip(results) {
            let news = News {
                said: Said {
                    high_watermark: found.high_watermark,
                    log_start_offset: found.log_start_offset,
                },
                has_records: !found.records.is_empty(),
                must_be_told: found.must_be_told(),
            };
            let is_news = session.as_mut().is_none_or(|session| session.is_news(&target.key, news));
            if only_news && !is_news {
                continue;
            }
            if let (Ok(partition), Asker::Follower(..)) = (&target.partition, self.asker) {
                partition.given(found.records.len());
            }
            if let Ok(partition) = &target.partition
                && self.asker == Asker::Consumer
            {
                if found.error_code.is_none() {
                    self.broker.metrics.fetched(partition.topic(), found.records.len());
                } else {
                    self.broker.metrics.failed_fetch(partition.topic());
                }
            }
            let key = &target.key;
            let hint = self.hint(&mut hints, key, found.error_code);
            let mut partition = partition_response(key.partition, found);
            if let Some((leader_id, leader_epoch)) = hint {
                partition.current_leader = FetchCurrentLeader { leader_id, leader_epoch };
            }
            match responses.last_mut() {
                Some(last) if last.topic == key.topic && last.topic_id == key.topic_id => {
                    last.partitions.push(partition);
                }
                _ => responses.push(FetchTopicResponse {
                    topic: key.topic.clone(),
                    topic_id: key.topic_id,
                    partitions: vec![partition],
                }),
            }
        }
        FetchResponse {
            session_id: session.as_ref().map_or(0, |session| session.id()),
            responses,
            node_endpoints: hints.endpoints().map(node_endpoint).collect(),
            ..Default::default()
        }
    }

    /// Who leads instead, in the versions that can be told where that is (fact F16).
    fn hint(
        &self,
        hints: &mut Hints<'_>,
        key: &Key,
        code: ErrorCode,
    ) -> Option<(NodeId, LeaderEpoch)> {
        let is_elsewhere =
            matches!(code, ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH);
        if !is_elsewhere || self.context.version < 16 {
            return None;
        }
        hints.leader(key.topic_id, key.partition)
    }
}

fn node_endpoint(endpoint: Endpoint) -> FetchNodeEndpoint {
    let Endpoint { node_id, host, port, rack } = endpoint;
    FetchNodeEndpoint { node_id, host, port, rack }
}

/// Whether the client's history differs from the log's (KIP-595, fact F15).
fn diverging(
    partition: &Partition,
    wanted: Wanted,
) -> Option<Result<(LeaderEpoch, Offset), ErrorCode>> {
    if wanted.last_fetched_epoch == LeaderEpoch::NONE {
        return None;
    }
    let known = partition.reader().end_offset_for_epoch(wanted.last_fetched_epoch);
    let Some((epoch, end)) = known else {
        return Some(Err(ErrorCode::OFFSET_OUT_OF_RANGE));
    };
    let differs = epoch < wanted.last_fetched_epoch || end < wanted.fetch_offset;
    differs.then_some(Ok((epoch, end)))
}

fn aborted(
    partition: &Partition,
    slice: &milena_storage::ReadSlice,
    upper: Offset,
) -> Vec<FetchAbortedTransaction> {
    partition
        .reader()
        .aborted_transactions(slice.first_offset, upper)
        .into_iter()
        .map(|transaction| FetchAbortedTransaction {
            producer_id: transaction.producer_id,
            first_offset: transaction.first_offset,
        })
        .collect()
}

fn partition_response(index: PartitionIndex, found: Found) -> FetchPartitionResponse {
    FetchPartitionResponse {
        partition_index: index,
        error_code: found.error_code,
        high_watermark: found.high_watermark,
        last_stable_offset: found.last_stable_offset,
        log_start_offset: found.log_start_offset,
        diverging_epoch: found
            .diverging
            .map(|(epoch, end_offset)| FetchEpochEndOffset { epoch, end_offset })
            .unwrap_or_default(),
        aborted_transactions: found.aborted,
        preferred_read_replica: found.preferred.unwrap_or(NodeId::NONE),
        records: Some(Records(found.records)),
        ..Default::default()
    }
}
