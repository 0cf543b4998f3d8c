//! A record's bytes: its value in eight, the rest is weight.

use crate::history::operation::Value;

/// The bytes of a record.
#[must_use]
pub fn bytes(value: Value, size: usize) -> Vec<u8> {
    let mut bytes = value.0.to_be_bytes().to_vec();
    bytes.resize(size.max(bytes.len()), b'.');
    bytes
}

/// The value of a record. What nobody here wrote is the largest value, which is never sent.
#[must_use]
pub fn value(payload: Option<&[u8]>) -> Value {
    let named = payload.and_then(|payload| payload.first_chunk());
    Value(named.map_or(u64::MAX, |named| u64::from_be_bytes(*named)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records would be taken for others.
    #[test]
    fn a_value_comes_back_from_its_bytes() {
        for size in [0, 8, 100] {
            let bytes = bytes(Value(77 << 32), size);
            assert_eq!((value(Some(&bytes)), bytes.len()), (Value(77 << 32), size.max(8)));
        }
        assert_eq!(value(Some(b"short")), Value(u64::MAX));
    }
}
