//! Snappy as clients of Kafka write it: the xerial stream, or one raw block.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | magic `82 53 4e 41 50 50 59 00` |
//! | 4 + 4 | version and least compatible version, big endian |
//! | 4 + n | a block: its size, big endian, and a raw snappy block |

use std::io::{self, Read, Write};

/// What begins a stream: magic, version 1, compatible version 1.
const HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const MAGIC_BYTES: usize = 8;
/// Plain bytes in one block that we write.
const BLOCK_BYTES: usize = 32 * 1024;
/// No block becomes larger than so many times its size: a copy of 64 bytes takes at least 3. A
/// length beyond that is a lie, and nothing is allocated for it.
const MAX_EXPANSION: usize = 22;

/// Reads a stream, or a raw block.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    rest: &'a [u8],
    is_stream: bool,
    limit_bytes: usize,
    block: Vec<u8>,
    position: usize,
}

impl<'a> Blocks<'a> {
    /// Begins; a block that would become larger than the limit ends it with
    /// [`io::ErrorKind::FileTooLarge`].
    pub(crate) fn open(bytes: &'a [u8], limit_bytes: usize) -> Self {
        // Only the magic is compared: other writers give other versions behind it.
        let has_magic = bytes.first_chunk::<MAGIC_BYTES>() == HEADER.first_chunk();
        let stream = bytes.get(HEADER.len()..).filter(|_| has_magic);
        Self {
            rest: stream.unwrap_or(bytes),
            is_stream: stream.is_some(),
            limit_bytes,
            block: Vec::new(),
            position: 0,
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let block = if self.is_stream {
            let (length, after) = self.rest.split_first_chunk::<4>().ok_or_else(damaged)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (block, after) = after.split_at_checked(length).ok_or_else(damaged)?;
            self.rest = after;
            block
        } else {
            std::mem::take(&mut self.rest)
        };
        let plain_bytes = snap::raw::decompress_len(block).map_err(|_| damaged())?;
        if plain_bytes > block.len().saturating_mul(MAX_EXPANSION) {
            return Err(damaged());
        }
        if plain_bytes > self.limit_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.position = 0;
        self.block.clear();
        self.block.resize(plain_bytes, 0);
        let written = snap::raw::Decoder::new().decompress(block, &mut self.block);
        if written.ok() == Some(plain_bytes) { Ok(()) } else { Err(damaged()) }
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position >= self.block.len() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.next_block()?;
        }
        let read = self.block.get(self.position..).unwrap_or_default().read(out)?;
        self.position += read;
        Ok(read)
    }
}

/// Writes a stream.
#[derive(Debug)]
pub(crate) struct Stream<W> {
    out: W,
    plain: Vec<u8>,
}

impl<W: Write> Stream<W> {
    pub(crate) fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self { out, plain: Vec::new() })
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.write_block()?;
        Ok(self.out)
    }

    fn write_block(&mut self) -> io::Result<()> {
        if self.plain.is_empty() {
            return Ok(());
        }
        let block =
            snap::raw::Encoder::new().compress_vec(&self.plain).map_err(io::Error::other)?;
        self.plain.clear();
        self.out.write_all(&(block.len() as u32).to_be_bytes())?;
        self.out.write_all(&block)
    }
}

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK_BYTES - self.plain.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.plain.extend_from_slice(taken);
        if self.plain.len() >= BLOCK_BYTES {
            self.write_block()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
