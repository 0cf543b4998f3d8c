//! Frames out of a stream of bytes: `int32` length, then that many bytes.
//!
//! The buffer grows with what was received, at most doubling, whatever a length announces. Frames
//! are slices of the buffer; once a frame is dropped its space is used again, so a connection that
//! settles at a request size allocates nothing any more.

use bytes::{Buf, Bytes, BytesMut};

/// What the buffer starts with.
pub const FIRST_BYTES: usize = 8 * 1024;
/// A buffer that may be kept while the connection is idle.
pub const IDLE_BYTES: usize = 16 * 1024;

/// Why a stream holds no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFrame {
    /// A negative length.
    Negative(i32),
    /// A length above the limit.
    TooLarge(i32),
}

/// The bytes received and not yet handed out.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: BytesMut,
}

impl Buffer {
    /// The next whole frame without its length, if it has arrived.
    ///
    /// # Errors
    /// [`BadFrame`] when what stands where a length should be cannot be one.
    pub fn next_frame(&mut self, max_bytes: usize) -> Result<Option<Bytes>, BadFrame> {
        let Some(length) = self.announced(max_bytes)? else {
            return Ok(None);
        };
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        self.bytes.advance(4);
        Ok(Some(self.bytes.split_to(length).freeze()))
    }

    fn announced(&self, max_bytes: usize) -> Result<Option<usize>, BadFrame> {
        let Some(prefix) = self.bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*prefix);
        match usize::try_from(length) {
            Err(_) => Err(BadFrame::Negative(length)),
            Ok(bytes) if bytes > max_bytes => Err(BadFrame::TooLarge(length)),
            Ok(bytes) => Ok(Some(bytes)),
        }
    }

    /// The capacity the buffer should have before the next read.
    #[must_use]
    pub fn wanted_capacity(&self, max_bytes: usize) -> usize {
        let received = self.bytes.len();
        let announced = match self.announced(max_bytes) {
            Ok(Some(length)) => length + 4,
            _ => 0,
        };
        let doubled = (2 * received).max(FIRST_BYTES);
        announced.min(doubled).max(received + 1024).max(FIRST_BYTES)
    }

    /// Makes room for `capacity` bytes in all.
    pub fn grow_to(&mut self, capacity: usize) {
        if self.bytes.capacity() < capacity {
            self.bytes.reserve(capacity - self.bytes.len());
        }
    }

    /// Where the next bytes go.
    pub fn incoming(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Bytes that were received and not handed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is waiting to be handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The memory held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives the memory back; only an empty buffer may be released.
    pub fn release(&mut self) {
        debug_assert!(self.bytes.is_empty());
        self.bytes = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory would follow what is announced.
    #[test]
    fn an_announced_length_reserves_nothing() {
        let mut buffer = Buffer::default();
        buffer.incoming().extend_from_slice(&90_000_000i32.to_be_bytes());
        buffer.incoming().extend_from_slice(&[0; 100]);
        assert_eq!(buffer.next_frame(100_000_000), Ok(None));
        assert!(buffer.wanted_capacity(100_000_000) <= FIRST_BYTES);
    }

    /// A frame would be cut or joined with the next.
    #[test]
    fn frames_come_out_whole_and_in_order() {
        let mut buffer = Buffer::default();
        buffer.incoming().extend_from_slice(&[0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(buffer.next_frame(10), Ok(Some(Bytes::from_static(&[1, 2]))));
        assert_eq!(buffer.next_frame(10), Ok(Some(Bytes::new())));
        assert_eq!(buffer.next_frame(10), Ok(None));
        buffer.incoming().extend_from_slice(&[7]);
        assert_eq!(buffer.next_frame(10), Ok(Some(Bytes::from_static(&[7]))));
    }

    /// A negative or oversized length would be waited for.
    #[test]
    fn impossible_lengths_are_refused() {
        let mut buffer = Buffer::default();
        buffer.incoming().extend_from_slice(&(-5i32).to_be_bytes());
        assert_eq!(buffer.next_frame(10), Err(BadFrame::Negative(-5)));
        let mut buffer = Buffer::default();
        buffer.incoming().extend_from_slice(&11i32.to_be_bytes());
        assert_eq!(buffer.next_frame(10), Err(BadFrame::TooLarge(11)));
    }
}
