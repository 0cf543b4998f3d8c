//! Reading records of a partition, as many as fit in a page.
//!
//! A page is about a megabyte, except where its first record alone is larger. Such a page takes
//! room from what all of them may hold together, and keeps it until its answer is sent.

use axum::http::StatusCode;
use milena_protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, Uuid};
use milena_protocol::record::Batch;
use milena_protocol::record::run::Batches;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::pieces::{Piece, Pieces};
use super::shown::ShownRecord;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::blocking;
use crate::handlers::fetch;
use crate::limits::budget::WAIT_FOR_ROOM;

/// Bytes read for one page, and shown in it, beyond its first record.
const PAGE_BYTES: usize = 1 << 20;
/// Records read at once, at most.
pub const MAX_LIMIT: usize = 1000;
/// The largest record that is shown.
const MAX_RECORD_BYTES: usize = 16 << 20;
/// What the large records of all pages that are under way may hold together, in units.
static ROOM: Semaphore = Semaphore::const_new(MAX_RECORD_BYTES / ROOM_UNIT_BYTES);
/// Pages that are filled at once: decompressing takes a window of up to 8 MiB for each.
static FILLING: Semaphore = Semaphore::const_new(4);
/// Room is given in pieces of this many bytes.
const ROOM_UNIT_BYTES: usize = 1 << 10;

/// Records of a partition from an offset on.
#[derive(Debug)]
pub struct Shown {
    /// The records.
    pub records: Vec<ShownRecord>,
    /// Where to go on.
    pub next_offset: i64,
    /// The offset of the first record that is kept.
    pub log_start_offset: i64,
    /// The offset behind the last record that is acknowledged.
    pub high_watermark: i64,
    /// What a large record takes of the room for such, as long as it is held.
    pub room: Option<SemaphorePermit<'static>>,
}

/// Which records.
#[derive(Clone, Debug)]
pub struct Wanted {
    topic: String,
    topic_id: Uuid,
    index: i32,
    /// The first record.
    pub offset: i64,
    /// How many at most.
    pub limit: usize,
    /// How long to wait where there is none.
    pub max_wait_ms: i32,
}

impl Wanted {
    fn request(&self) -> FetchRequest {
        FetchRequest {
            max_wait_ms: self.max_wait_ms,
            min_bytes: 1,
            max_bytes: PAGE_BYTES as i32,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: self.topic.as_str().into(),
                topic_id: self.topic_id,
                partitions: vec![FetchPartition {
                    partition: PartitionIndex(self.index),
                    fetch_offset: Offset(self.offset),
                    partition_max_bytes: PAGE_BYTES as i32,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        }
    }
}

impl Call {
    /// Records of a partition that exists, from its offset 0 on, without waiting for any.
    ///
    /// # Errors
    /// When the partition does not exist, or the caller may not know of it.
    pub(super) async fn wanted(&self, topic: &str, index: i32) -> Result<Wanted, Failure> {
        let found = self.topic(topic).await?;
        if !found.partitions.iter().any(|partition| partition.partition_index.0 == index) {
            return Err(Failure::no_partition(topic, index));
        }
        let (topic, topic_id) = (topic.to_owned(), found.topic_id);
        Ok(Wanted { topic, topic_id, index, offset: 0, limit: MAX_LIMIT, max_wait_ms: 0 })
    }

    /// Reads records, through the same function as the wire's Fetch.
    ///
    /// # Errors
    /// When the partition cannot be read from there.
    pub(super) async fn read(&self, wanted: &Wanted) -> Result<Shown, Failure> {
        let context = self.context::<FetchRequest>();
        let response = fetch::handle(self.broker.clone(), context, wanted.request()).await;
        let topic = response.responses.into_iter().next();
        let partition = topic.and_then(|topic| topic.partitions.into_iter().next());
        let partition =
            partition.ok_or_else(|| Failure::no_partition(&wanted.topic, wanted.index))?;
        if !partition.error_code.is_none() {
            return Err(self.refused(wanted, partition.error_code).await);
        }
        let bytes = partition.records.map(|records| records.0).unwrap_or_default();
        let shown = || Shown {
            records: Vec::new(),
            next_offset: wanted.offset,
            log_start_offset: partition.log_start_offset.0,
            high_watermark: partition.high_watermark.0,
            room: None,
        };
        let mut page = Page { wanted: wanted.clone(), shown: shown(), bytes: 0, large: PAGE_BYTES };
        if bytes.is_empty() {
            return Ok(page.shown);
        }
        loop {
            // Decompressing takes its time, and pages that are not in memory take theirs.
            let turn = FILLING.acquire().await.map_err(|_| fault("the node is stopping"))?;
            let stored = bytes.clone();
            let filled = blocking::spawn(move || page.fill(&stored)).await;
            drop(turn);
            let needed_bytes =
                match filled.unwrap_or_else(|_| Err(fault("the node is stopping")))? {
                    Filled::Whole(shown) => return Ok(shown),
                    Filled::Large { needed_bytes } => needed_bytes,
                };
            let shown = Shown { room: Some(room(needed_bytes).await?), ..shown() };
            page = Page { wanted: wanted.clone(), shown, bytes: 0, large: needed_bytes };
        }
    }

    async fn refused(&self, wanted: &Wanted, code: ErrorCode) -> Failure {
        let Wanted { topic, index, offset, .. } = wanted;
        let mut message = format!("cannot read {topic}-{index} at offset {offset}: {code}");
        if code == ErrorCode::OFFSET_OUT_OF_RANGE
            && let Ok(earliest) = self.earliest_offset(topic, *index).await
            && let Ok(latest) = self.latest_offset(topic, *index).await
        {
            message = format!(
                "{topic}-{index} cannot be read at offset {offset}: its records begin at \
                 {earliest} and the next one gets {latest}"
            );
        }
        Failure::of_wire(code, Some(&Text::from(message)))
    }
}

fn fault(message: &str) -> Failure {
    Failure::of_wire(ErrorCode::UNKNOWN_SERVER_ERROR, Some(&message.into()))
}

/// Waits for room for a large record.
async fn room(bytes: usize) -> Result<SemaphorePermit<'static>, Failure> {
    let units = u32::try_from(bytes.div_ceil(ROOM_UNIT_BYTES)).unwrap_or(u32::MAX);
    match tokio::time::timeout(WAIT_FOR_ROOM, ROOM.acquire_many(units)).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => {
            let message = "no room for a large record among those that are read now; try again";
            Err(Failure::plain(StatusCode::SERVICE_UNAVAILABLE, message))
        }
    }
}

/// A page that is being filled.
struct Page {
    wanted: Wanted,
    shown: Shown,
    bytes: usize,
    /// How large its first record may be; the others are no larger than a page.
    large: usize,
}

/// What became of a page.
#[derive(Debug)]
enum Filled {
    Whole(Shown),
    /// Its first record needs more room.
    Large {
        needed_bytes: usize,
    },
}

/// Why a batch adds no more to a page.
enum Stop {
    /// The next record is too large for what is left.
    Large(usize),
    /// It cannot be read.
    Unreadable(String),
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Unreadable(why)
    }
}

impl Page {
    fn fill(mut self, batches: &[u8]) -> Result<Filled, Failure> {
        for batch in Batches::new(batches) {
            let added = self.add_batch(&batch);
            // What comes before an unreadable batch or a large record is shown first.
            if self.shown.records.is_empty()
                && let Err(stop) = added
            {
                return self.stopped(stop, &batch);
            }
            if added.is_err() || self.is_full() {
                break;
            }
        }
        Ok(Filled::Whole(self.shown))
    }

    /// Nothing can be shown as it is.
    fn stopped(&self, stop: Stop, batch: &Batch<'_>) -> Result<Filled, Failure> {
        let Wanted { topic, index, .. } = &self.wanted;
        let next = self.shown.next_offset;
        let (why, end) = match stop {
            Stop::Large(needed_bytes) if needed_bytes <= MAX_RECORD_BYTES => {
                return Ok(Filled::Large { needed_bytes });
            }
            Stop::Large(bytes) => {
                let why = format!(
                    "the record has {bytes} bytes, and no more than {MAX_RECORD_BYTES} are shown"
                );
                (why, Offset(next + 1))
            }
            Stop::Unreadable(why) => (why, batch.next_offset()),
        };
        Err(fault(&format!(
            "{topic}-{index} cannot be read at offset {next}: {why}; go on at {end}"
        )))
    }

    fn is_full(&self) -> bool {
        self.shown.records.len() >= self.wanted.limit || self.bytes >= PAGE_BYTES
    }

    fn add_batch(&mut self, batch: &Batch<'_>) -> Result<(), Stop> {
        // Control records tell consumers something, and are not records of anyone's.
        if !batch.attributes().is_control() {
            let mut pieces = Pieces::of(batch)?;
            while !self.is_full() {
                let from = self.shown.next_offset.saturating_sub(batch.base_offset().0);
                let room = if self.shown.records.is_empty() { self.large } else { PAGE_BYTES };
                let record = match pieces.next(from, room)? {
                    Some(Piece::Record(record)) => record,
                    Some(Piece::Large(bytes)) => return Err(Stop::Large(bytes)),
                    None => break,
                };
                let offset = batch.base_offset().0 + i64::from(record.offset_delta);
                let Wanted { topic, index, .. } = &self.wanted;
                let shown = ShownRecord::of(topic, *index, batch, &record, offset);
                self.bytes += shown.bytes();
                self.shown.records.push(shown);
                self.shown.next_offset = offset + 1;
            }
            if self.is_full() {
                return Ok(());
            }
        }
        self.shown.next_offset = self.shown.next_offset.max(batch.next_offset().0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::Timestamp;
    use milena_protocol::record::{BatchBuilder, BatchOptions, Compression};

    use super::*;

    fn batch(base_offset: i64, records: usize, options: BatchOptions) -> Vec<u8> {
        let options = BatchOptions { base_offset: Offset(base_offset), ..options };
        let mut builder = BatchBuilder::new(options);
        for _ in 0..records {
            builder.append(Timestamp(0), None, Some(b"value"), &[]);
        }
        builder.build().expect("a batch").to_vec()
    }

    fn fill(batches: &[u8], offset: i64, limit: usize) -> Result<(Vec<i64>, i64), String> {
        let (topic, topic_id) = ("t".to_owned(), Uuid::ZERO);
        let page = Page {
            wanted: Wanted { topic, topic_id, index: 0, offset, limit, max_wait_ms: 0 },
            shown: Shown {
                records: Vec::new(),
                next_offset: offset,
                log_start_offset: 0,
                high_watermark: 9,
                room: None,
            },
            bytes: 0,
            large: PAGE_BYTES,
        };
        let filled = page.fill(batches).map_err(|failure| failure.into_body().message)?;
        let Filled::Whole(shown) = filled else {
            return Err(format!("{filled:?}"));
        };
        let offsets = shown.records.iter().map(|record| record.offset).collect();
        Ok((offsets, shown.next_offset))
    }

    /// A reader would see records twice, or none of those behind a place where it stopped.
    #[test]
    fn pages_begin_and_end_within_batches() {
        let zstd = || BatchOptions { compression: Compression::Zstd, ..Default::default() };
        let log = [batch(0, 3, zstd()), batch(3, 3, BatchOptions::default())].concat();
        assert_eq!(fill(&log, 0, 9), Ok((vec![0, 1, 2, 3, 4, 5], 6)));
        assert_eq!(fill(&log, 1, 1), Ok((vec![1], 2)));
        assert_eq!(fill(&log, 2, 2), Ok((vec![2, 3], 4)));
        assert_eq!(fill(&log, 0, 0), Ok((vec![], 0)));
        let control = BatchOptions { is_control: true, ..Default::default() };
        let log = [batch(0, 1, control), batch(1, 1, BatchOptions::default())].concat();
        assert_eq!(fill(&log, 0, 9), Ok((vec![1], 2)));
    }

    /// A reader would be stuck for ever before a batch that cannot be read, and not know why.
    #[test]
    fn an_unreadable_batch_says_where_to_go_on() {
        let zstd = BatchOptions { compression: Compression::Zstd, ..Default::default() };
        let mut damaged = batch(1, 4, zstd);
        damaged.iter_mut().skip(61).for_each(|byte| *byte = 0xff);
        let log = [batch(0, 1, BatchOptions::default()), damaged].concat();
        assert_eq!(fill(&log, 0, 9), Ok((vec![0], 1)));
        let said = fill(&log, 1, 9).expect_err("it is damaged");
        assert!(said.starts_with("t-0 cannot be read at offset 1: "), "{said}");
        assert!(said.ends_with("; go on at 5"), "{said}");
    }

    /// A large record would take memory that nobody counts, keep those before it from being shown,
    /// or stop a reader who has nowhere else to go.
    #[test]
    fn a_large_record_needs_room() {
        let sized = |base_offset: i64, value_bytes: usize| {
            let compression = Compression::Zstd;
            let base_offset = Offset(base_offset);
            let options = BatchOptions { base_offset, compression, ..Default::default() };
            let mut builder = BatchBuilder::new(options);
            builder.append(Timestamp(0), None, Some(&vec![b'v'; value_bytes]), &[]);
            builder.build().expect("a batch").to_vec()
        };
        let log = [sized(0, 5), sized(1, 2 << 20), sized(2, 5), sized(3, 17 << 20)].concat();
        assert_eq!(fill(&log, 0, 9), Ok((vec![0], 1)));
        let needs = fill(&log, 1, 9).unwrap_err();
        assert!(needs.starts_with("Large { needed_bytes: 20971"), "{needs}");
        assert_eq!(fill(&log, 2, 9), Ok((vec![2], 3)));
        let said = fill(&log, 3, 9).unwrap_err();
        assert!(
            said.starts_with("t-0 cannot be read at offset 3: the record has 17825801"),
            "{said}"
        );
        assert!(said.ends_with("no more than 16777216 are shown; go on at 4"), "{said}");
    }
}
