//! Reading records of a partition, as many as fit in a page.

use milena_protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, Uuid};
use milena_protocol::record::compression::decompress;
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;
use milena_protocol::record::{Batch, Compression};

use super::shown::ShownRecord;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::handlers::fetch;

/// Bytes read for one page, and shown in it, beyond its first record.
const PAGE_BYTES: usize = 1 << 20;
/// Records read at once, at most.
pub const MAX_LIMIT: usize = 1000;
/// What a batch may decompress to here.
const MAX_PLAIN_BYTES: usize = 64 << 20;

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
        let page = Page {
            wanted: wanted.clone(),
            shown: Shown {
                records: Vec::new(),
                next_offset: wanted.offset,
                log_start_offset: partition.log_start_offset.0,
                high_watermark: partition.high_watermark.0,
            },
            bytes: 0,
        };
        if bytes.is_empty() {
            return Ok(page.shown);
        }
        // Decompressing takes its time, and pages that are not in memory take theirs.
        let filled = tokio::task::spawn_blocking(move || page.fill(&bytes)).await;
        filled.unwrap_or_else(|_| Err(fault("the node is stopping")))
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

/// A page that is being filled.
struct Page {
    wanted: Wanted,
    shown: Shown,
    bytes: usize,
}

impl Page {
    fn fill(mut self, batches: &[u8]) -> Result<Shown, Failure> {
        for batch in Batches::new(batches) {
            let added = self.add_batch(&batch);
            // What comes before an unreadable batch is shown first.
            if self.shown.records.is_empty()
                && let Err(error) = added
            {
                let Wanted { topic, index, .. } = &self.wanted;
                let (next, end) = (self.shown.next_offset, batch.next_offset());
                return Err(fault(&format!(
                    "{topic}-{index} cannot be read at offset {next}: {error}; go on at {end}"
                )));
            }
            if added.is_err() || self.is_full() {
                break;
            }
        }
        Ok(self.shown)
    }

    fn is_full(&self) -> bool {
        self.shown.records.len() >= self.wanted.limit || self.bytes >= PAGE_BYTES
    }

    fn add_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        let mut plain = Vec::new();
        let codec = batch.attributes().codec().unwrap_or_default();
        let bytes = if codec == Compression::None {
            batch.records_bytes()
        } else {
            decompress(codec, batch.records_bytes(), MAX_PLAIN_BYTES, &mut plain)
                .map_err(|error| error.to_string())?;
            plain.as_slice()
        };
        let records = Records::new(bytes, batch.record_count());
        // Control records tell consumers something, and are not records of anyone's.
        let records = records.filter(|_| !batch.attributes().is_control());
        for record in records {
            let record = record.map_err(|error| error.to_string())?;
            let offset = batch.base_offset().0 + i64::from(record.offset_delta);
            if offset < self.shown.next_offset {
                continue;
            }
            if self.is_full() {
                return Ok(());
            }
            let Wanted { topic, index, .. } = &self.wanted;
            let shown = ShownRecord::of(topic, *index, batch, &record, offset);
            self.bytes += shown.bytes();
            self.shown.records.push(shown);
            self.shown.next_offset = offset + 1;
        }
        self.shown.next_offset = self.shown.next_offset.max(batch.next_offset().0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::Timestamp;
    use milena_protocol::record::{BatchBuilder, BatchOptions};

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
            },
            bytes: 0,
        };
        let shown = page.fill(batches).map_err(|failure| failure.into_body().message)?;
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
}
