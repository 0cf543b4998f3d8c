//! The leader's walk over a client's batch: a batch that would poison every consumer never gets in.
//!
//! Facts P5–P14: one batch of magic 2 at base offset 0, no control batch, a record count that
//! matches the offsets, offset deltas 0, 1, 2, …, no null key where the log is compacted,
//! timestamps within bounds. One bad record refuses the whole batch. Uncompressed records are
//! walked where they stand, without an allocation; compressed ones through a small reused window,
//! with a limit for all of them.

use crate::error_code::ErrorCode;
use crate::ids::{Offset, Sequence, Timestamp};
use crate::record::batch::{Batch, TimestampType};
use crate::record::compression::Compression;
pub use crate::record::outline::Scratch;
use crate::record::outline::{Outline, OutlineError, Outlines};
use crate::record::record::{RecordError, Records};

/// Record errors that an answer names at most.
const MAX_RECORD_ERRORS: usize = 32;
/// What a batch may decompress to, whatever its size.
pub const MAX_PLAIN_BYTES: usize = 256 * 1024 * 1024;

/// What a log demands of records.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The wall clock.
    pub now: Timestamp,
    /// Who sets timestamps.
    pub timestamp_type: TimestampType,
    /// How much older than now a record may be, in milliseconds.
    pub before_max_ms: i64,
    /// How much newer than now a record may be, in milliseconds.
    pub after_max_ms: i64,
    /// Whether every record needs a key.
    pub is_compacted: bool,
    /// Whether records are looked at one by one; else only the header is.
    pub walk_records: bool,
}

/// What a good batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The largest timestamp of its records.
    pub max_timestamp: Timestamp,
    /// Where the first record with it stands, from the base offset on.
    pub max_timestamp_delta: i32,
    /// How many records it holds.
    pub record_count: i32,
    /// Whether the header's largest timestamp is the records'.
    pub header_timestamp_matches: bool,
}

/// Why a batch is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The code to answer.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Index and message of each bad record (KIP-467), at most 32 of them.
    pub record_errors: Vec<(i32, String)>,
}

impl Invalid {
    fn batch(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), record_errors: Vec::new() }
    }

    fn unreadable(error: OutlineError) -> Self {
        match error {
            OutlineError::Record(error) => Self::malformed(error),
            OutlineError::Compression(error) => {
                Self::batch(ErrorCode::INVALID_RECORD, error.to_string())
            }
        }
    }

    fn malformed(error: RecordError) -> Self {
        Self::batch(ErrorCode::INVALID_RECORD, format!("the batch cannot be read: {error}"))
    }
}

/// Checks the header of a client's batch.
///
/// # Errors
/// [`Invalid`] with the code that Kafka answers.
pub fn validate_header(batch: &Batch<'_>, rules: &Rules) -> Result<(), Invalid> {
    let invalid = |message: &str| Err(Invalid::batch(ErrorCode::INVALID_RECORD, message));
    let attributes = batch.attributes();
    let count = batch.record_count();
    if batch.base_offset() != Offset::ZERO {
        return invalid("a client's batch must have base offset 0");
    }
    if attributes.is_control() {
        return invalid("clients may not write control batches");
    }
    if count <= 0 || batch.last_offset_delta() != count.wrapping_sub(1) {
        return Err(Invalid::batch(
            ErrorCode::INVALID_RECORD,
            format!(
                "the batch claims {count} records and last offset delta {}",
                batch.last_offset_delta()
            ),
        ));
    }
    if batch.producer_id().0 >= 0 && batch.base_sequence() < Sequence(0) {
        return invalid("a batch with a producer id needs a sequence");
    }
    if attributes.has_delete_horizon() {
        return invalid("clients may not set a delete horizon");
    }
    if attributes.codec().is_none() {
        return invalid("the batch names a codec that does not exist");
    }
    if attributes.timestamp_type() == TimestampType::LogAppendTime
        && rules.timestamp_type == TimestampType::CreateTime
    {
        return Err(Invalid::batch(
            ErrorCode::INVALID_TIMESTAMP,
            "the batch claims log append time, which only the broker may set",
        ));
    }
    Ok(())
}

/// Checks a client's batch, whose checksum was verified, against a log's rules.
///
/// # Errors
/// [`Invalid`]; nothing of the batch may be stored then.
pub fn validate(
    batch: &Batch<'_>,
    rules: &Rules,
    scratch: &mut Scratch,
) -> Result<Validated, Invalid> {
    validate_header(batch, rules)?;
    if !rules.walk_records && !rules.is_compacted {
        return Ok(Validated {
            max_timestamp: batch.max_timestamp(),
            max_timestamp_delta: batch.last_offset_delta(),
            record_count: batch.record_count(),
            header_timestamp_matches: true,
        });
    }
    let mut walk = Walk::new(batch, rules);
    let has_rest = if batch.attributes().codec() == Some(Compression::None) {
        let mut records = Records::new(batch.records_bytes(), batch.record_count());
        for record in &mut records {
            let record = record.map_err(Invalid::malformed)?;
            record.check_headers().map_err(Invalid::malformed)?;
            walk.record(Outline {
                timestamp_delta: record.timestamp_delta,
                offset_delta: record.offset_delta,
                has_key: record.key.is_some(),
            });
        }
        records.has_rest()
    } else {
        let mut outlines =
            Outlines::of(batch, MAX_PLAIN_BYTES, scratch).map_err(Invalid::unreadable)?;
        for outline in &mut outlines {
            walk.record(outline.map_err(Invalid::unreadable)?);
        }
        outlines.has_rest().map_err(Invalid::unreadable)?
    };
    if has_rest {
        let message = "the batch holds more records than it claims";
        return Err(Invalid::batch(ErrorCode::INVALID_RECORD, message));
    }
    walk.finish(batch)
}

/// What is known of a batch while its records are looked at.
struct Walk<'a> {
    rules: &'a Rules,
    base: i64,
    oldest: i64,
    newest: i64,
    checks_times: bool,
    max: (i64, i32),
    next: i32,
    faults: Faults,
}

impl<'a> Walk<'a> {
    fn new(batch: &Batch<'_>, rules: &'a Rules) -> Self {
        Self {
            rules,
            base: batch.base_timestamp().0,
            oldest: rules.now.0.saturating_sub(rules.before_max_ms),
            newest: rules.now.0.saturating_add(rules.after_max_ms),
            checks_times: rules.timestamp_type == TimestampType::CreateTime,
            max: (i64::MIN, 0),
            next: 0,
            faults: Faults::default(),
        }
    }

    #[inline]
    fn record(&mut self, record: Outline) {
        let index = self.next;
        let timestamp = self.base.wrapping_add(record.timestamp_delta);
        if record.offset_delta != index {
            self.faults.add(index, ErrorCode::INVALID_RECORD, || {
                format!("offset delta {} where {index} belongs", record.offset_delta)
            });
        }
        if self.rules.is_compacted && !record.has_key {
            self.faults.add(index, ErrorCode::INVALID_RECORD, || {
                "a compacted topic takes no record without a key".into()
            });
        }
        let (oldest, newest) = (self.oldest, self.newest);
        if self.checks_times && timestamp != -1 && !(oldest..=newest).contains(&timestamp) {
            self.faults.add(index, ErrorCode::INVALID_TIMESTAMP, || {
                format!("timestamp {timestamp} is not within {oldest} to {newest}")
            });
        }
        if timestamp > self.max.0 {
            self.max = (timestamp, index);
        }
        self.next += 1;
    }

    fn finish(self, batch: &Batch<'_>) -> Result<Validated, Invalid> {
        self.faults.into_result()?;
        let max_timestamp = Timestamp(self.max.0);
        Ok(Validated {
            max_timestamp,
            max_timestamp_delta: self.max.1,
            record_count: self.next,
            header_timestamp_matches: max_timestamp == batch.max_timestamp(),
        })
    }
}

/// The bad records of a batch; the first one decides the code.
#[derive(Default)]
struct Faults {
    code: ErrorCode,
    records: Vec<(i32, String)>,
}

impl Faults {
    #[cold]
    fn add(&mut self, index: i32, code: ErrorCode, message: impl FnOnce() -> String) {
        if self.records.is_empty() {
            self.code = code;
        }
        if self.records.len() < MAX_RECORD_ERRORS {
            self.records.push((index, message()));
        }
    }

    fn into_result(self) -> Result<(), Invalid> {
        let Some((index, message)) = self.records.first() else {
            return Ok(());
        };
        let message = format!("record {index} of the batch: {message}");
        Err(Invalid { code: self.code, message, record_errors: self.records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::patch;
    use crate::record::builder::{BatchBuilder, BatchOptions};

    fn rules() -> Rules {
        Rules {
            now: Timestamp(1_000_000_000),
            timestamp_type: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
            is_compacted: false,
            walk_records: true,
        }
    }

    fn batch(compression: Compression, timestamps: &[i64]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions { compression, ..Default::default() });
        for timestamp in timestamps {
            let headers: &[(&str, Option<&[u8]>)] = &[("h", None), ("h", Some(b"2"))];
            builder.append(Timestamp(*timestamp), Some(b"k"), Some(b"v"), headers);
        }
        builder.build().unwrap().to_vec()
    }

    fn check(bytes: &[u8], rules: &Rules) -> Result<Validated, Invalid> {
        let (batch, rest) = Batch::parse(bytes).unwrap();
        assert!(rest.is_empty());
        batch.verify_crc().unwrap();
        validate(&batch, rules, &mut Scratch::default())
    }

    /// A good batch would be refused, or its largest timestamp be wrong (fact P14).
    #[test]
    fn good_batches_pass_in_every_codec() {
        for id in 0..5 {
            let codec = Compression::from_id(id).unwrap();
            let validated = check(&batch(codec, &[5, 9, 9, 7]), &rules()).unwrap();
            assert_eq!(validated.max_timestamp, Timestamp(9));
            assert_eq!(validated.max_timestamp_delta, 1);
            assert_eq!(validated.record_count, 4);
            assert!(validated.header_timestamp_matches);
        }
    }

    /// Fact P11: a timestamp from the far future would block retention for ever.
    #[test]
    fn timestamps_out_of_bounds_name_their_record() {
        let error = check(&batch(Compression::None, &[5, 2_000_000_000]), &rules()).unwrap_err();
        assert_eq!(error.code, ErrorCode::INVALID_TIMESTAMP);
        assert_eq!(error.record_errors.len(), 1);
        assert_eq!(error.record_errors[0].0, 1);
        // −1 is always accepted.
        assert!(check(&batch(Compression::None, &[-1]), &rules()).is_ok());
    }

    /// Fact P10: compaction could not place a record without a key.
    #[test]
    fn compacted_logs_refuse_records_without_a_key() {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(Timestamp(1), None, Some(b"v"), &[]);
        let bytes = builder.build().unwrap();
        let compacted = Rules { is_compacted: true, ..rules() };
        let error = check(&bytes, &compacted).unwrap_err();
        assert_eq!((error.code, error.record_errors[0].0), (ErrorCode::INVALID_RECORD, 0));
        assert!(check(&bytes, &rules()).is_ok());
    }

    /// Fact P5: a header that lies about its records would confuse every reader.
    #[test]
    fn headers_that_lie_are_refused() {
        let good = batch(Compression::None, &[1, 2]);
        let change = |position: usize, value: &[u8]| {
            let mut bytes = good.clone();
            bytes[position..position + value.len()].copy_from_slice(value);
            let (attributes, max) = {
                let (batch, _) = Batch::parse(&bytes).unwrap();
                (batch.attributes(), batch.max_timestamp())
            };
            patch::stamp(&mut bytes, attributes, max);
            check(&bytes, &rules()).unwrap_err().code
        };
        let record = ErrorCode::INVALID_RECORD;
        assert_eq!(change(0, &1i64.to_be_bytes()), record);
        assert_eq!(change(23, &5i32.to_be_bytes()), record);
        assert_eq!(change(57, &1i32.to_be_bytes()), record);
        assert_eq!(change(21, &(1i16 << 5).to_be_bytes()), record);
        assert_eq!(change(21, &7i16.to_be_bytes()), record);
        assert_eq!(change(21, &(1i16 << 3).to_be_bytes()), ErrorCode::INVALID_TIMESTAMP);
        assert_eq!(change(43, &7i64.to_be_bytes()), record);
        // Count and delta agree with each other, not with the records.
        let mut bytes = good.clone();
        bytes[23..27].copy_from_slice(&0i32.to_be_bytes());
        bytes[57..61].copy_from_slice(&1i32.to_be_bytes());
        patch::stamp(&mut bytes, Default::default(), Timestamp(2));
        assert_eq!(check(&bytes, &rules()).unwrap_err().code, record);
    }

    /// Bytes from a stranger would bring the broker down.
    #[test]
    fn any_byte_may_be_wrong() {
        for id in 0..5 {
            let good = batch(Compression::from_id(id).unwrap(), &[1, 2, 3]);
            for position in 0..good.len() {
                for bit in 0..8 {
                    let mut bytes = good.clone();
                    bytes[position] ^= 1 << bit;
                    if let Ok((batch, _)) = Batch::parse(&bytes) {
                        let _ = validate(&batch, &rules(), &mut Scratch::default());
                    }
                    let _ = Batch::parse(&bytes[..position]).is_err();
                }
            }
        }
    }
}
