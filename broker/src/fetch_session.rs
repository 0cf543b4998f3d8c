//! Incremental fetch sessions (KIP-227): the broker remembers what a client fetches, so that a
//! request lists only what changed and an answer only what is new.
//!
//! Session epochs: −1 none, 0 a new session (closing the one named), n ≥ 1 the n-th request of a
//! session, wrapping from 2³¹−1 to 1. The cache is bounded; when it is full a new client simply
//! gets no session.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
use parking_lot::Mutex;

/// A session that was not used for this long makes room for another.
const EVICT_AFTER: Duration = Duration::from_secs(120);

/// A partition as a request names it: by name up to version 12, by id from 13 on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The topic's id; zero where it is named.
    pub topic_id: Uuid,
    /// The topic's name; empty where it is given by id.
    pub topic: Text,
    /// The partition.
    pub partition: PartitionIndex,
}

/// What is asked of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From where.
    pub fetch_offset: Offset,
    /// The leader epoch that the client believes in; −1 any.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the record before the fetch offset; −1 unknown.
    pub last_fetched_epoch: LeaderEpoch,
    /// At most this many bytes.
    pub max_bytes: i32,
    /// Where a follower's log starts.
    pub log_start_offset: Offset,
    /// The high watermark that a follower knows; the largest offset where it does not say
    /// (KIP-1166).
    pub high_watermark: Offset,
}

/// What was last said about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The high watermark; −1 makes the next answer say it again.
    pub high_watermark: Offset,
    /// The log start offset.
    pub log_start_offset: Offset,
}

#[derive(Clone, Debug)]
struct Cached {
    key: Key,
    wanted: Wanted,
    said: Said,
}

/// What one client fetches.
#[derive(Debug)]
pub struct Session {
    id: i32,
    next_epoch: i32,
    by_id: bool,
    used_at: Instant,
    /// In the order of serving: what was served moves to the end, so nothing starves.
    order: BTreeMap<u64, Cached>,
    places: HashMap<Key, u64>,
    next_place: u64,
}

impl Session {
    fn new(id: i32, by_id: bool, now: Instant) -> Self {
        Self {
            id,
            next_epoch: 1,
            by_id,
            used_at: now,
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        }
    }

    fn want(&mut self, key: Key, wanted: Wanted) {
        if let Some(cached) = self.places.get(&key).and_then(|place| self.order.get_mut(place)) {
            cached.wanted = wanted;
            return;
        }
        let said = Said { high_watermark: Offset::NONE, log_start_offset: Offset::NONE };
        self.places.insert(key.clone(), self.next_place);
        self.order.insert(self.next_place, Cached { key, wanted, said });
        self.next_place += 1;
    }

    fn forget(&mut self, key: &Key) {
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&place);
        }
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// What is fetched, in the order of serving.
    #[must_use]
    pub fn wanted(&self) -> Vec<(Key, Wanted)> {
        self.order.values().map(|cached| (cached.key.clone(), cached.wanted)).collect()
    }

    /// Decides whether an answer about a partition is news, and remembers it as said.
    pub fn is_news(&mut self, key: &Key, news: News) -> bool {
        let Some(place) = self.places.get(key).copied() else {
            return true;
        };
        let Some(mut cached) = self.order.remove(&place) else {
            return true;
        };
        let before = cached.said;
        cached.said = news.said;
        if news.must_be_told {
            // The end of an error, or of a divergence, must be told too.
            cached.said.high_watermark = Offset::NONE;
        }
        let place = if news.has_records {
            self.next_place += 1;
            self.next_place - 1
        } else {
            place
        };
        self.places.insert(key.clone(), place);
        self.order.insert(place, cached);
        news.has_records || news.must_be_told || before != news.said
    }
}

/// What an answer has to say about a partition.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// The offsets as they are now.
    pub said: Said,
    /// Whether there are records.
    pub has_records: bool,
    /// Whether there is an error, a diverging epoch or a preferred replica.
    pub must_be_told: bool,
}

/// How a fetch stands to sessions.
#[derive(Debug)]
pub enum Fetching {
    /// No session: everything asked is answered. The id to answer is 0.
    Sessionless(Vec<(Key, Wanted)>),
    /// A new session: everything asked is answered.
    Full(Arc<Mutex<Session>>, Vec<(Key, Wanted)>),
    /// A session goes on: only news is answered.
    Incremental(Arc<Mutex<Session>>, Vec<(Key, Wanted)>),
}

/// The session fields of a request.
#[derive(Debug)]
pub struct Asked {
    /// The session's id; 0 none.
    pub id: i32,
    /// The request's epoch in it.
    pub epoch: i32,
    /// Whether topics are given by id.
    pub by_id: bool,
    /// Partitions added or changed, or all of them.
    pub wanted: Vec<(Key, Wanted)>,
    /// Partitions no longer fetched.
    pub forgotten: Vec<Key>,
}

/// All sessions of a broker.
#[derive(Debug)]
pub struct Sessions {
    slots: usize,
    state: Mutex<State>,
}

/// Partitions that all sessions may remember together: a slot bounds how many clients have one, and
/// this how much they may put into it. Some 50 MB.
const MAX_PARTITIONS: usize = 200_000;

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<i32, Entry>,
    /// What all sessions remember together.
    partitions: usize,
    last_id: i32,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Mutex<Session>>,
    /// As it was counted last.
    partitions: usize,
}

impl Sessions {
    /// A cache of this many sessions.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { slots, state: Mutex::default() }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state.lock().sessions.len()
    }

    /// Finds or makes the session of a request.
    ///
    /// # Errors
    /// The code for the whole answer.
    pub fn resolve(&self, asked: Asked, now: Instant) -> Result<Fetching, ErrorCode> {
        match asked.epoch {
            ..=0 => Ok(self.full(asked, now)),
            epoch => self.incremental(asked, epoch, now),
        }
    }

    fn full(&self, asked: Asked, now: Instant) -> Fetching {
        let mut state = self.state.lock();
        if asked.id != 0 {
            state.remove(asked.id);
        }
        let partitions = asked.wanted.len();
        if asked.epoch < 0 || partitions == 0 || !state.has_room(self.slots, partitions, now) {
            return Fetching::Sessionless(asked.wanted);
        }
        let id = state.fresh_id();
        let mut session = Session::new(id, asked.by_id, now);
        for (key, wanted) in &asked.wanted {
            // What is kept must not keep the request's frame alive.
            session.want(Key { topic: key.topic.detach(), ..key.clone() }, *wanted);
        }
        let session = Arc::new(Mutex::new(session));
        state.partitions += partitions;
        state.sessions.insert(id, Entry { session: session.clone(), partitions });
        Fetching::Full(session, asked.wanted)
    }

    fn incremental(&self, asked: Asked, epoch: i32, now: Instant) -> Result<Fetching, ErrorCode> {
        let mut state = self.state.lock();
        let known = state.sessions.get(&asked.id).map(|entry| entry.session.clone());
        let shared = known.ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        let mut session = shared.lock();
        if session.by_id != asked.by_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        if session.next_epoch != epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        session.next_epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.used_at = now;
        for (key, wanted) in asked.wanted {
            session.want(Key { topic: key.topic.detach(), ..key }, wanted);
        }
        asked.forgotten.iter().for_each(|key| session.forget(key));
        let wanted = session.wanted();
        drop(session);
        if wanted.is_empty() {
            state.remove(asked.id);
            return Ok(Fetching::Sessionless(wanted));
        }
        if !state.count(asked.id, wanted.len()) {
            // The client fetches on without one.
            state.remove(asked.id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        Ok(Fetching::Incremental(shared, wanted))
    }
}

impl State {
    fn has_room(&mut self, slots: usize, partitions: usize, now: Instant) -> bool {
        let fits = |state: &Self| {
            state.sessions.len() < slots && state.partitions + partitions <= MAX_PARTITIONS
        };
        if fits(self) {
            return true;
        }
        let is_idle = |entry: &Entry| {
            // A session in use right now is not idle.
            entry.session.try_lock().is_some_and(|known| now - known.used_at >= EVICT_AFTER)
        };
        let idle = self.sessions.iter().filter(|(_, entry)| is_idle(entry));
        let idle: Vec<i32> = idle.map(|(id, _)| *id).collect();
        idle.into_iter().for_each(|id| self.remove(id));
        fits(self)
    }

    fn remove(&mut self, id: i32) {
        if let Some(entry) = self.sessions.remove(&id) {
            self.partitions -= entry.partitions;
        }
    }

    /// Notes how much a session remembers now; false where that is too much.
    fn count(&mut self, id: i32, partitions: usize) -> bool {
        if let Some(entry) = self.sessions.get_mut(&id) {
            self.partitions = self.partitions - entry.partitions + partitions;
            entry.partitions = partitions;
        }
        self.partitions <= MAX_PARTITIONS
    }

    fn fresh_id(&mut self) -> i32 {
        loop {
            self.last_id = if self.last_id == i32::MAX { 1 } else { self.last_id + 1 };
            if !self.sessions.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(partition: i32) -> Key {
        Key { topic_id: Uuid::ZERO, topic: "t".into(), partition: PartitionIndex(partition) }
    }

    fn wanted(offset: i64) -> Wanted {
        Wanted {
            fetch_offset: Offset(offset),
            current_leader_epoch: LeaderEpoch::NONE,
            last_fetched_epoch: LeaderEpoch::NONE,
            max_bytes: 100,
            log_start_offset: Offset::NONE,
            high_watermark: Offset(i64::MAX),
        }
    }

    /// One client would fill the memory with partitions that need not even exist.
    #[test]
    fn sessions_remember_so_many_partitions_and_no_more() {
        let sessions = Sessions::new(10);
        let now = Instant::now();
        let half: Vec<i32> = (0..MAX_PARTITIONS as i32 / 2).collect();
        let first = sessions.resolve(asked(0, 0, &half), now).unwrap();
        let Fetching::Full(first, _) = first else { panic!("{first:?}") };
        let id = first.lock().id();
        assert!(matches!(sessions.resolve(asked(0, 0, &half), now), Ok(Fetching::Full(..))));
        let one_more = sessions.resolve(asked(0, 0, &[1]), now);
        assert!(matches!(one_more, Ok(Fetching::Sessionless(_))));
        let grown = sessions.resolve(asked(id, 1, &[-1]), now).map(|_| ());
        assert_eq!(grown, Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
        assert!(matches!(sessions.resolve(asked(0, 0, &[1]), now), Ok(Fetching::Full(..))));
    }

    fn asked(id: i32, epoch: i32, partitions: &[i32]) -> Asked {
        let wanted = partitions.iter().map(|p| (key(*p), wanted(0))).collect();
        Asked { id, epoch, by_id: false, wanted, forgotten: vec![] }
    }

    fn open(sessions: &Sessions, partitions: &[i32]) -> Arc<Mutex<Session>> {
        match sessions.resolve(asked(0, 0, partitions), Instant::now()) {
            Ok(Fetching::Full(session, _)) => session,
            other => panic!("{other:?}"),
        }
    }

    fn quiet(high_watermark: i64) -> News {
        let said = Said { high_watermark: Offset(high_watermark), log_start_offset: Offset::ZERO };
        News { said, has_records: false, must_be_told: false }
    }

    /// Facts S1 and S4: a client with a wrong id or epoch would be served somebody's session.
    #[test]
    fn ids_and_epochs_are_checked() {
        let sessions = Sessions::new(10);
        let session = open(&sessions, &[0, 1]);
        let id = session.lock().id();
        let now = Instant::now();
        let code = |asked| sessions.resolve(asked, now).err();
        assert_eq!(code(asked(id + 1, 1, &[])), Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
        assert_eq!(code(asked(id, 2, &[])), Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH));
        assert_eq!(code(asked(id, 1, &[])), None);
        assert_eq!(code(asked(id, 1, &[])), Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH));
        let by_id = Asked { by_id: true, ..asked(id, 2, &[]) };
        assert_eq!(code(by_id), Some(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR));
    }

    /// Fact S3: an answer would repeat itself, or keep news back.
    #[test]
    fn only_news_is_told() {
        let sessions = Sessions::new(10);
        let session = open(&sessions, &[0]);
        let mut session = session.lock();
        assert!(session.is_news(&key(0), quiet(5)));
        assert!(!session.is_news(&key(0), quiet(5)));
        assert!(session.is_news(&key(0), quiet(6)));
        assert!(session.is_news(&key(0), News { has_records: true, ..quiet(6) }));
        assert!(session.is_news(&key(0), News { must_be_told: true, ..quiet(6) }));
        // The end of the error is news although the offsets are the same.
        assert!(session.is_news(&key(0), quiet(6)));
        assert!(!session.is_news(&key(0), quiet(6)));
    }

    /// Fact S2 and F4: a served partition would be served first again and starve the others.
    #[test]
    fn served_partitions_move_to_the_end() {
        let sessions = Sessions::new(10);
        let session = open(&sessions, &[0, 1, 2]);
        session.lock().is_news(&key(0), News { has_records: true, ..quiet(1) });
        let order: Vec<i32> =
            session.lock().wanted().iter().map(|(key, _)| key.partition.0).collect();
        assert_eq!(order, [1, 2, 0]);
    }

    /// Fact S4: an emptied session would stay for ever.
    #[test]
    fn forgetting_the_last_partition_closes_the_session() {
        let sessions = Sessions::new(10);
        let session = open(&sessions, &[0]);
        let id = session.lock().id();
        let ask = Asked { forgotten: vec![key(0)], ..asked(id, 1, &[]) };
        assert!(matches!(sessions.resolve(ask, Instant::now()), Ok(Fetching::Sessionless(_))));
        assert_eq!(sessions.count(), 0);
    }

    /// Facts S5 and S6: the cache would grow with every client, or lock new ones out for ever.
    #[test]
    fn the_cache_is_bounded_and_evicts_the_idle() {
        let sessions = Sessions::new(1);
        let _first = open(&sessions, &[0]);
        let full = sessions.resolve(asked(0, 0, &[1]), Instant::now());
        assert!(matches!(full, Ok(Fetching::Sessionless(_))));
        let later = Instant::now() + EVICT_AFTER * 2;
        assert!(matches!(sessions.resolve(asked(0, 0, &[1]), later), Ok(Fetching::Full(..))));
    }
}
