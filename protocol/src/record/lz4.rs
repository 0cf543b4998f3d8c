//! Reading LZ4 frames block by block, with memory for one block that its bytes justify.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | magic `0x184d2204`, little endian as all numbers here |
//! | 1 | version (2 bits, 1), blocks independent, block checksums, content size, content checksum, reserved, dictionary |
//! | 1 | reserved, largest block (3 bits: 4 is 64 KiB, 5 256 KiB, 6 1 MiB, 7 4 MiB), reserved (4 bits) |
//! | 0 or 8 | content size |
//! | 1 | second byte of the descriptor's xxHash-32 |
//! | 4 + n (+ 4) | a block: its size (top bit: not compressed), its bytes, their xxHash-32 |
//! | 4 | 0, the end |
//! | 0 or 4 | xxHash-32 of the content |
//!
//! A frame may declare blocks of 4 MiB and hold a few bytes; memory is taken for what comes out of
//! them, not for what is declared.

use std::hash::Hasher;
use std::io::{self, Read};

use lz4_flex::block::{DecompressError, decompress_into_with_dict};
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184d_2204;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUM: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const NOT_COMPRESSED: u32 = 1 << 31;
/// How far back a block may refer into those before it.
const HISTORY_BYTES: usize = 64 * 1024;
/// What a block is given at first, whatever it holds.
const FIRST_BYTES: usize = 64 * 1024;
/// How much more a block is given when it shows that it holds more.
const GROWTH: usize = 8;

/// The content of one frame.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    rest: &'a [u8],
    flags: u8,
    block_bytes: usize,
    content_bytes: Option<u64>,
    produced_bytes: u64,
    checksum: XxHash32,
    /// The block that is being read from.
    block: Vec<u8>,
    position: usize,
    history: Vec<u8>,
    is_finished: bool,
}

impl<'a> Frame<'a> {
    /// Reads the frame's header.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn open(bytes: &'a [u8]) -> io::Result<Self> {
        let mut rest = bytes;
        if word(&mut rest)? != MAGIC {
            return Err(damaged());
        }
        let descriptor = rest;
        let [flags, sizes] = take(&mut rest)?;
        if flags >> 6 != 1 || flags & 0b11 != 0 || sizes & 0x8f != 0 {
            return Err(damaged());
        }
        let block_bytes = match sizes >> 4 {
            size @ 4..=7 => 1 << (8 + 2 * u32::from(size)),
            _ => return Err(damaged()),
        };
        let content_bytes = match flags & CONTENT_SIZE {
            0 => None,
            _ => Some(u64::from_le_bytes(take(&mut rest)?)),
        };
        let described = descriptor.get(..descriptor.len() - rest.len()).unwrap_or_default();
        let [checksum] = take(&mut rest)?;
        if checksum != (XxHash32::oneshot(0, described) >> 8) as u8 {
            return Err(damaged());
        }
        Ok(Self {
            rest,
            flags,
            block_bytes,
            content_bytes,
            produced_bytes: 0,
            checksum: XxHash32::with_seed(0),
            block: Vec::new(),
            position: 0,
            history: Vec::new(),
            is_finished: false,
        })
    }

    /// Makes the next block the one that is read from; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.is_finished {
            return Ok(false);
        }
        self.remember();
        let head = word(&mut self.rest)?;
        if head == 0 {
            return self.finish().map(|()| false);
        }
        let length = (head & !NOT_COMPRESSED) as usize;
        if length > self.block_bytes {
            return Err(damaged());
        }
        let (stored, rest) = self.rest.split_at_checked(length).ok_or_else(damaged)?;
        self.rest = rest;
        if self.flags & BLOCK_CHECKSUM != 0 && word(&mut self.rest)? != XxHash32::oneshot(0, stored)
        {
            return Err(damaged());
        }
        self.position = 0;
        if head & NOT_COMPRESSED == 0 {
            self.expand(stored)?;
        } else {
            self.block.clear();
            self.block.extend_from_slice(stored);
        }
        self.produced_bytes += self.block.len() as u64;
        if self.flags & CONTENT_CHECKSUM != 0 {
            self.checksum.write(&self.block);
        }
        Ok(true)
    }

    /// Decompresses a block. It is given room for what such bytes usually hold, and more only when
    /// it has filled that.
    fn expand(&mut self, stored: &[u8]) -> io::Result<()> {
        let mut room = stored.len().saturating_mul(GROWTH).max(FIRST_BYTES).min(self.block_bytes);
        loop {
            self.block.resize(room, 0);
            match decompress_into_with_dict(stored, &mut self.block, &self.history) {
                Ok(length) => {
                    self.block.truncate(length);
                    return Ok(());
                }
                Err(DecompressError::OutputTooSmall { .. }) if room < self.block_bytes => {
                    room = room.saturating_mul(GROWTH).min(self.block_bytes);
                }
                Err(_) => return Err(damaged()),
            }
        }
    }

    /// Keeps what the next block may refer to.
    fn remember(&mut self) {
        if self.flags & INDEPENDENT != 0 || self.block.is_empty() {
            return;
        }
        let kept = HISTORY_BYTES.saturating_sub(self.block.len()).min(self.history.len());
        self.history.drain(..self.history.len() - kept);
        let from = self.block.len().saturating_sub(HISTORY_BYTES);
        self.history.extend_from_slice(self.block.get(from..).unwrap_or_default());
    }

    fn finish(&mut self) -> io::Result<()> {
        self.is_finished = true;
        let is_as_long = self.content_bytes.is_none_or(|bytes| bytes == self.produced_bytes);
        let is_as_sound = self.flags & CONTENT_CHECKSUM == 0
            || word(&mut self.rest)? == self.checksum.finish_32();
        if is_as_long && is_as_sound && self.rest.is_empty() { Ok(()) } else { Err(damaged()) }
    }
}

impl Read for Frame<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position >= self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let read = self.block.get(self.position..).unwrap_or_default().read(out)?;
        self.position += read;
        Ok(read)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk().ok_or_else(damaged)?;
    *rest = behind;
    Ok(*taken)
}

fn word(rest: &mut &[u8]) -> io::Result<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

    use super::*;

    fn compressed(info: FrameInfo, plain: &[u8]) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Frame::open(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn sample() -> Vec<u8> {
        (0..700_000u32).map(|n| (n.wrapping_mul(n) >> 13) as u8).collect()
    }

    /// Frames with other block sizes, linked blocks or checksums would be refused.
    #[test]
    fn every_kind_of_frame_is_read() {
        let plain = sample();
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB]
        {
            for mode in [BlockMode::Independent, BlockMode::Linked] {
                for checksums in [false, true] {
                    let info = FrameInfo::new()
                        .block_size(size)
                        .block_mode(mode)
                        .block_checksums(checksums)
                        .content_checksum(checksums)
                        .content_size(checksums.then_some(plain.len() as u64));
                    let bytes = compressed(info, &plain);
                    assert!(read(&bytes).unwrap() == plain, "{size:?} {mode:?} {checksums}");
                    assert!(read(&bytes[..bytes.len() - 1]).is_err());
                    assert!(read(&[&bytes[..], &[0]].concat()).is_err());
                }
            }
        }
    }

    /// Damage would pass for records.
    #[test]
    fn checksums_and_sizes_are_believed() {
        let info = || FrameInfo::new().content_checksum(true).block_checksums(true);
        let good = compressed(info().content_size(Some(11)), b"hello hello");
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 0x55;
            assert!(read(&bad).is_err(), "byte {position}");
        }
    }

    /// A few bytes that declare large blocks would take megabytes.
    #[test]
    fn memory_is_for_what_comes_out() {
        let info = FrameInfo::new().block_size(BlockSize::Max4MB);
        let bytes = compressed(info, b"small");
        let mut frame = Frame::open(&bytes).unwrap();
        frame.read_to_end(&mut Vec::new()).unwrap();
        assert!(frame.block.capacity() <= 2 * FIRST_BYTES, "{}", frame.block.capacity());
    }
}
