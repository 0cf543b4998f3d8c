//! What a log knows of its idempotent producers: a fold of its batches. A broker's log has it;
//! here it is as short as the rule is.

use std::collections::BTreeMap;

use milena_cluster::quorum::Batch;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, ProducerEpoch, ProducerId};
use milena_protocol::record::batch;

/// Batches of which a retry is known again.
const WINDOW: usize = 5;

/// A batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub epoch: ProducerEpoch,
    /// The sequences of its first and last record.
    pub first: i32,
    pub last: i32,
    pub base_offset: Offset,
    pub end_offset: Offset,
}

/// All producers of a log.
#[derive(Clone, Debug, Default)]
pub struct Producers(BTreeMap<ProducerId, Vec<Sent>>);

/// Whose batch it is, and which.
pub fn sent(bytes: &[u8], base_offset: Offset) -> Option<(ProducerId, Sent)> {
    let (batch, _) = batch::Batch::parse(bytes).ok()?;
    let sent = Sent {
        epoch: batch.producer_epoch(),
        first: batch.base_sequence().0,
        last: batch.last_sequence().0,
        base_offset,
        end_offset: base_offset.plus(i64::from(batch.record_count())),
    };
    Some((batch.producer_id(), sent))
}

impl Producers {
    /// What a whole log says.
    pub fn of(log: &[Batch]) -> Self {
        let mut producers = Self::default();
        for batch in log {
            if let Some((id, sent)) = sent(&batch.bytes, batch.base_offset) {
                producers.note(id, sent);
            }
        }
        producers
    }

    /// A batch that was appended.
    pub fn note(&mut self, id: ProducerId, sent: Sent) {
        if id == ProducerId::NONE {
            return;
        }
        let known = self.0.entry(id).or_default();
        known.push(sent);
        if known.len() > WINDOW {
            known.remove(0);
        }
    }

    /// Whether a batch may be appended; where it is one again, which that was.
    pub fn admit(&self, id: ProducerId, next: Sent) -> Result<Option<Sent>, ErrorCode> {
        let known = self.0.get(&id).map_or(&[][..], |known| known);
        let again = known.iter().find(|it| (it.first, it.last) == (next.first, next.last));
        if let Some(again) = again {
            return Ok(Some(*again));
        }
        let follows = known.last().map_or(0, |last| last.last + 1);
        if next.first == follows {
            return Ok(None);
        }
        Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
    }
}
