//! Identifiers and places in a log as types of their own, so that no bare integer crosses a
//! function boundary.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number!(
    /// A node of the cluster, broker or controller. −1 means none.
    NodeId(i32)
);
number!(
    /// A partition's number within its topic.
    PartitionIndex(i32)
);
number!(
    /// A place in a log. An *end* offset is exclusive, a *last* offset inclusive.
    Offset(i64)
);
number!(
    /// The term of one leader of one partition, or of the metadata quorum. −1 means unknown.
    LeaderEpoch(i32)
);
number!(
    /// One registration of a broker: the offset of its registration record.
    BrokerEpoch(i64)
);
number!(
    /// An idempotent or transactional producer. −1 means none.
    ProducerId(i64)
);
number!(
    /// The incarnation of a producer id. −1 means none.
    ProducerEpoch(i16)
);
number!(
    /// A producer's record number within a partition; wraps from 2³¹−1 to 0. −1 means none.
    Sequence(i32)
);
number!(
    /// Milliseconds since 1970-01-01T00:00:00Z. −1 means none.
    Timestamp(i64)
);

impl NodeId {
    /// No node.
    pub const NONE: Self = Self(-1);
}

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Self = Self(0);
    /// No offset.
    pub const NONE: Self = Self(-1);

    /// The place `count` records after this one.
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0 + count)
    }
}

impl LeaderEpoch {
    /// No epoch, or an unknown one.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// No producer id.
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// No producer epoch.
    pub const NONE: Self = Self(-1);
}

impl Sequence {
    /// No sequence.
    pub const NONE: Self = Self(-1);

    /// The sequence `count` after this one, wrapping past 2³¹−1 to 0.
    #[must_use]
    pub const fn plus(self, count: i32) -> Self {
        Self(((self.0 as i64 + count as i64) & 0x7fff_ffff) as i32)
    }
}

impl Timestamp {
    /// No timestamp.
    pub const NONE: Self = Self(-1);
}

/// Sixteen bytes that name a topic, a directory or an incarnation.
///
/// Its text form is URL-safe base64 without padding, 22 characters.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// No id.
    pub const ZERO: Self = Self([0; 16]);
    /// The topic id of `__cluster_metadata`, and the directory id UNASSIGNED is the same value.
    pub const METADATA_TOPIC: Self = Self::from_u128(1);
    /// A directory whose place is not known yet.
    pub const UNASSIGNED_DIRECTORY: Self = Self::from_u128(1);
    /// A directory that failed.
    pub const LOST_DIRECTORY: Self = Self::from_u128(2);

    /// An id from a number, most significant byte first.
    #[must_use]
    pub const fn from_u128(value: u128) -> Self {
        Self(value.to_be_bytes())
    }

    /// Whether this id is one of the hundred that Kafka keeps for itself.
    #[must_use]
    pub const fn is_reserved(&self) -> bool {
        u128::from_be_bytes(self.0) < 100
    }

    /// Makes a version 4 id of 16 random bytes. Kafka's tools parse ids that begin with a dash
    /// badly, so such bytes, and reserved ones, are refused with `None`: draw again.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Option<Self> {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = Self(bytes);
        (!id.is_reserved() && !id.to_string().starts_with('-')).then_some(id)
    }

    /// The form that Java writes: hexadecimal digits in groups of 8, 4, 4, 4 and 12.
    #[must_use]
    pub fn hyphenated(&self) -> String {
        let digits = format!("{:032x}", u128::from_be_bytes(self.0));
        let (a, rest) = digits.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        format!("{a}-{b}-{c}-{d}-{e}")
    }

    /// Reads the 22-character text form.
    ///
    /// # Errors
    /// `None` when the text is not 16 bytes of URL-safe base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('=').as_bytes();
        if text.len() != 22 {
            return None;
        }
        let mut value: u128 = 0;
        for (index, byte) in text.iter().enumerate() {
            let digit = u128::from(ALPHABET.iter().position(|a| a == byte)? as u8);
            if index == 21 {
                // The last character carries the two lowest bits in its upper bits.
                return (digit & 0xf == 0).then(|| Self::from_u128((value << 2) | (digit >> 4)));
            }
            value = (value << 6) | digit;
        }
        None
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let mut text = [0u8; 22];
        for (index, slot) in text.iter_mut().enumerate() {
            let shift = 122 - 6 * index as i32;
            let digit = if shift >= 0 { value >> shift } else { value << 4 } & 0x3f;
            *slot = ALPHABET[digit as usize];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text and bytes of an id would drift apart.
    #[test]
    fn uuid_text_is_kafkas_base64() {
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        for seed in 0..1000u128 {
            let id = Uuid::from_u128(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            assert_eq!(Uuid::parse(&id.to_string()), Some(id));
        }
        assert_eq!(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAB"), None);
        assert_eq!(Uuid::parse("short"), None);
    }

    /// A producer that wraps its sequence would be refused as out of order.
    #[test]
    fn sequence_wraps_to_zero() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
    }
}
