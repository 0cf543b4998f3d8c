//! The record batch, magic 2: a view of its bytes, its header in place, and runs of batches.
//!
//! | offset | size | field |
//! | --- | --- | --- |
//! | 0 | 8 | base offset |
//! | 8 | 4 | bytes after this field |
//! | 12 | 4 | partition leader epoch |
//! | 16 | 1 | magic, 2 |
//! | 17 | 4 | CRC-32C of everything from byte 21 on |
//! | 21 | 2 | attributes |
//! | 23 | 4 | last offset delta |
//! | 27 | 8 | base timestamp, or the delete horizon |
//! | 35 | 8 | largest timestamp |
//! | 43 | 8 | producer id |
//! | 51 | 2 | producer epoch |
//! | 53 | 4 | base sequence |
//! | 57 | 4 | record count |
//! | 61 | … | records, one compressed stream where a codec is named |
//!
//! Base offset and leader epoch lie before the checksum's range, so a leader sets them without
//! touching it.

use std::fmt;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use crate::record::compression::Compression;

/// Bytes before the records.
pub const HEADER_BYTES: usize = 61;
/// Bytes that the length field does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// Where the length stands.
pub const LENGTH_POSITION: usize = 8;
/// Where the leader epoch stands.
pub const LEADER_EPOCH_POSITION: usize = 12;
/// Where the magic byte stands.
pub const MAGIC_POSITION: usize = 16;
/// Where the checksum stands.
pub const CRC_POSITION: usize = 17;
/// Where the checksum's range begins.
pub const ATTRIBUTES_POSITION: usize = 21;
/// Where the largest timestamp stands.
pub const MAX_TIMESTAMP_POSITION: usize = 35;

/// Why bytes are not a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes end before the batch does.
    Truncated {
        /// Bytes that the batch needs, header included, as far as known.
        needed_bytes: usize,
        /// Bytes that there are.
        found_bytes: usize,
    },
    /// The length field is smaller than a header.
    BadLength(i32),
    /// Not magic 2.
    BadMagic(i8),
    /// The checksum does not match.
    BadCrc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed_bytes, found_bytes } => {
                write!(f, "a record batch of {needed_bytes} bytes ends after {found_bytes}")
            }
            Self::BadLength(length) => write!(f, "a record batch cannot have length {length}"),
            Self::BadMagic(magic) => write!(f, "magic {magic} is not supported, only 2"),
            Self::BadCrc { stored, computed } => {
                write!(f, "checksum {computed:08x} does not match the stored {stored:08x}")
            }
        }
    }
}

impl std::error::Error for BatchError {}

/// When a record's timestamp was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// By the producer.
    CreateTime,
    /// By the leader, when it appended.
    LogAppendTime,
}

/// The attributes of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// The codec, if it is one that exists.
    #[must_use]
    pub fn codec(self) -> Option<Compression> {
        Compression::from_id((self.0 & Self::CODEC) as i8)
    }

    /// When timestamps were taken.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether its record is for the protocol, not for consumers.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp holds the delete horizon instead (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// With this codec.
    #[must_use]
    pub fn with_codec(self, codec: Compression) -> Self {
        Self((self.0 & !Self::CODEC) | i16::from(codec.id()))
    }

    /// With this kind of timestamps.
    #[must_use]
    pub fn with_timestamp_type(self, kind: TimestampType) -> Self {
        self.with(Self::LOG_APPEND_TIME, kind == TimestampType::LogAppendTime)
    }

    /// As part of a transaction or not.
    #[must_use]
    pub fn with_transactional(self, on: bool) -> Self {
        self.with(Self::TRANSACTIONAL, on)
    }

    /// As a control batch or not.
    #[must_use]
    pub fn with_control(self, on: bool) -> Self {
        self.with(Self::CONTROL, on)
    }

    /// With the delete horizon for a base timestamp, or with the first record's.
    #[must_use]
    pub fn with_delete_horizon(self, on: bool) -> Self {
        self.with(Self::DELETE_HORIZON, on)
    }

    fn with(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// Exactly one whole batch, its length and magic checked, its checksum not.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    header: &'a [u8; HEADER_BYTES],
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch at the start of `bytes`, and what follows it.
    ///
    /// # Errors
    /// When no whole batch of magic 2 stands there. The checksum is not looked at.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), BatchError> {
        let found_bytes = bytes.len();
        let truncated = |needed_bytes| BatchError::Truncated { needed_bytes, found_bytes };
        let prefix =
            bytes.first_chunk::<{ MAGIC_POSITION + 1 }>().ok_or(truncated(HEADER_BYTES))?;
        let magic = prefix[MAGIC_POSITION] as i8;
        let length = i32::from_be_bytes([prefix[8], prefix[9], prefix[10], prefix[11]]);
        if magic != 2 {
            return Err(BatchError::BadMagic(magic));
        }
        let total = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(LOG_OVERHEAD_BYTES))
            .filter(|total| *total >= HEADER_BYTES)
            .ok_or(BatchError::BadLength(length))?;
        let (batch, rest) = bytes.split_at_checked(total).ok_or(truncated(total))?;
        let header = batch.first_chunk().ok_or(truncated(HEADER_BYTES))?;
        Ok((Self { header, bytes: batch }, rest))
    }

    fn field<const N: usize>(&self, position: usize) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(&self.header[position..position + N]);
        value
    }

    /// The offset of the first record.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset(i64::from_be_bytes(self.field(0)))
    }

    /// The whole size.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The epoch of the leader that appended it.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::from_be_bytes(self.field(LEADER_EPOCH_POSITION)))
    }

    /// The stored checksum.
    #[must_use]
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(self.field(CRC_POSITION))
    }

    /// The attributes.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        Attributes(i16::from_be_bytes(self.field(ATTRIBUTES_POSITION)))
    }

    /// The last record's offset less the base offset; kept when compaction drops records.
    #[must_use]
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(self.field(23))
    }

    /// The last record's offset.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset().0.wrapping_add(i64::from(self.last_offset_delta())))
    }

    /// The offset after the last record's.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.wrapping_add(1))
    }

    /// The first record's timestamp, or the delete horizon.
    #[must_use]
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.field(27)))
    }

    /// The largest timestamp.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.field(MAX_TIMESTAMP_POSITION)))
    }

    /// The producer; −1 none.
    #[must_use]
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(i64::from_be_bytes(self.field(43)))
    }

    /// The producer's epoch; −1 none.
    #[must_use]
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::from_be_bytes(self.field(51)))
    }

    /// The first record's sequence; −1 none.
    #[must_use]
    pub fn base_sequence(&self) -> Sequence {
        Sequence(i32::from_be_bytes(self.field(53)))
    }

    /// The last record's sequence; −1 none.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        let base = self.base_sequence();
        if base == Sequence::NONE { base } else { base.plus(self.last_offset_delta()) }
    }

    /// How many records the header claims.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(self.field(57))
    }

    /// The records as they stand, compressed or not.
    #[must_use]
    pub fn records_bytes(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The checksum that the bytes give.
    #[must_use]
    pub fn compute_crc(&self) -> u32 {
        crc32c(self.bytes.get(ATTRIBUTES_POSITION..).unwrap_or_default())
    }

    /// Compares stored and computed checksum.
    ///
    /// # Errors
    /// [`BatchError::BadCrc`].
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.crc(), self.compute_crc());
        if stored == computed { Ok(()) } else { Err(BatchError::BadCrc { stored, computed }) }
    }
}

/// CRC-32C (Castagnoli), the checksum of record batches.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Changes in a batch's header that a leader makes before it stores it.
pub mod patch {
    use super::{
        ATTRIBUTES_POSITION, Attributes, CRC_POSITION, LEADER_EPOCH_POSITION,
        MAX_TIMESTAMP_POSITION, crc32c,
    };
    use crate::ids::{LeaderEpoch, Offset, Timestamp};

    fn put<const N: usize>(bytes: &mut [u8], position: usize, value: [u8; N]) {
        if let Some(slot) = bytes.get_mut(position..position + N) {
            slot.copy_from_slice(&value);
        }
    }

    /// Sets base offset and leader epoch; the checksum does not cover them.
    pub fn place(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
        put(batch, 0, base_offset.0.to_be_bytes());
        put(batch, LEADER_EPOCH_POSITION, leader_epoch.0.to_be_bytes());
    }

    /// Sets attributes and the largest timestamp, and computes the checksum anew.
    pub fn stamp(batch: &mut [u8], attributes: Attributes, max_timestamp: Timestamp) {
        put(batch, ATTRIBUTES_POSITION, attributes.0.to_be_bytes());
        put(batch, MAX_TIMESTAMP_POSITION, max_timestamp.0.to_be_bytes());
        let crc = crc32c(batch.get(ATTRIBUTES_POSITION..).unwrap_or_default());
        put(batch, CRC_POSITION, crc.to_be_bytes());
    }
}
