//! When records were written, of which nothing else is wanted.

use milena_protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use milena_protocol::codec::Records as RecordBytes;
use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::batch::TimestampType;
use milena_protocol::record::compression::decompress;
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;
use milena_protocol::record::{Batch, Compression};

use super::ask::Admin;
use crate::client::Leader;
use crate::error::{ClientError, Refused};
use crate::offsets::{FoundOffset, missing};

/// The highest version of Fetch that names topics, for brokers that tell no topic id.
const LAST_VERSION_WITH_NAMES: i16 = 12;
/// A fetch outside of any session (KIP-227).
const NO_SESSION: i32 = -1;
/// Fetches for one record, of which each may find markers only.
const MAX_FETCHES: usize = 16;
/// What the records of a batch may decompress to.
const MAX_PLAIN_BYTES: usize = 64 << 20;

impl Admin {
    /// The first record of a partition at or behind an offset, up to the high watermark: one that
    /// is no marker. The leader is asked for a single batch at a time; nothing where it has none.
    ///
    /// # Errors
    /// When there is no such partition or offset, or its leader does not answer.
    pub async fn first_record(
        &self,
        topic: &str,
        partition: PartitionIndex,
        from: Offset,
    ) -> Result<Option<FoundOffset>, ClientError> {
        self.of_leader(topic, partition, async |leader| {
            self.try_first_record(&leader, topic, partition, from).await
        })
        .await
    }

    async fn try_first_record(
        &self,
        leader: &Leader,
        topic: &str,
        partition: PartitionIndex,
        from: Offset,
    ) -> Result<Option<FoundOffset>, ClientError> {
        let what = || format!("reading {topic} {partition}");
        let topic_id = self.client.metadata().topic(topic).map_or(Uuid::ZERO, |topic| topic.id);
        let mut version = leader.connection.version_of::<FetchRequest>()?;
        if topic_id == Uuid::ZERO {
            version = version.min(LAST_VERSION_WITH_NAMES);
        }
        let mut next = from;
        for _ in 0..MAX_FETCHES {
            let request = one_batch((topic, topic_id), (partition, leader.epoch), next);
            let response = leader.connection.submit(&request, version)?.wait().await?;
            Refused::check(response.error_code, None).map_err(|refused| refused.of(what()))?;
            let answer = response.responses.iter().flat_map(|topic| &topic.partitions).next();
            let answer = answer.ok_or_else(|| missing().of(what()))?;
            Refused::check(answer.error_code, None).map_err(|refused| refused.of(what()))?;
            let before = next;
            match answer.records.as_ref().and_then(|records| first(records, &mut next)) {
                Some(found) => return Ok(Some(found)),
                // Nothing came.
                None if next == before => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }
}

/// A fetch of one batch: a leader gives the first one whole, however small the limit (KIP-74).
fn one_batch(
    (topic, topic_id): (&str, Uuid),
    (partition, current_leader_epoch): (PartitionIndex, LeaderEpoch),
    fetch_offset: Offset,
) -> FetchRequest {
    let partition = FetchPartition {
        partition,
        current_leader_epoch,
        fetch_offset,
        partition_max_bytes: 1,
        ..Default::default()
    };
    FetchRequest {
        max_bytes: 1,
        session_epoch: NO_SESSION,
        topics: vec![FetchTopic { topic: topic.into(), topic_id, partitions: vec![partition] }],
        ..Default::default()
    }
}

/// The first record at or behind `next` that is no marker; `next` moves behind the others.
fn first(records: &RecordBytes, next: &mut Offset) -> Option<FoundOffset> {
    for batch in Batches::new(&records.0) {
        if !batch.attributes().is_control()
            && let Some((offset, timestamp)) = first_of(&batch, *next)
        {
            let leader_epoch = batch.leader_epoch();
            return Some(FoundOffset { offset, timestamp, leader_epoch });
        }
        *next = batch.next_offset().max(*next);
    }
    None
}

fn first_of(batch: &Batch<'_>, from: Offset) -> Option<(Offset, Timestamp)> {
    let mut plain = Vec::new();
    let bytes = match batch.attributes().codec()? {
        Compression::None => batch.records_bytes(),
        codec => {
            decompress(codec, batch.records_bytes(), MAX_PLAIN_BYTES, &mut plain).ok()?;
            &plain
        }
    };
    let appended = batch.attributes().timestamp_type() == TimestampType::LogAppendTime;
    let records = Records::new(bytes, batch.record_count()).map_while(Result::ok);
    let mut placed =
        records.map(|one| (batch.base_offset().plus(i64::from(one.offset_delta)), one));
    let (offset, record) = placed.find(|(offset, _)| *offset >= from)?;
    let created = Timestamp(batch.base_timestamp().0.saturating_add(record.timestamp_delta));
    Some((offset, if appended { batch.max_timestamp() } else { created }))
}
