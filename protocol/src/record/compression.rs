//! The four codecs of record batches, always behind a limit for what comes out.
//!
//! | codec | framing |
//! | --- | --- |
//! | gzip | RFC 1952 |
//! | snappy | xerial stream: 16 bytes of header, then `int32` length and a raw block each; a raw block alone is accepted too |
//! | lz4 | LZ4 frame, written with independent 64 KiB blocks |
//! | zstd | zstd frame, window at most 8 MiB |

use std::fmt;
use std::io::{Read, Write};

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// The codec of an id in a batch's attributes.
    #[must_use]
    pub fn from_id(id: i8) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd]
            .get(usize::try_from(id).ok()?)
            .copied()
    }

    /// The id in a batch's attributes.
    #[must_use]
    pub const fn id(self) -> i8 {
        self as i8
    }

    /// The name in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a name; `uncompressed` is none too.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" | "uncompressed" => Self::None,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

/// Why bytes cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionError {
    /// They are not of this codec, or damaged.
    Corrupt(Compression),
    /// They would become larger than allowed.
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(codec) => write!(f, "the records are not valid {}", codec.name()),
            Self::TooLarge { limit_bytes } => {
                write!(f, "the records decompress to more than {limit_bytes} bytes")
            }
        }
    }
}

impl std::error::Error for CompressionError {}

/// log₂ of the largest zstd window that is accepted.
const ZSTD_WINDOW_LOG: u32 = 23;
/// What begins a xerial snappy stream: magic, version 1, compatible version 1.
const XERIAL_HEADER: [u8; 16] =
    [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// Uncompressed bytes in one block of a xerial stream.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// Compresses, at a level where the codec has one.
///
/// # Errors
/// When the codec's library fails, which it does only for levels that do not exist.
pub fn compress(
    codec: Compression,
    level: Option<i32>,
    plain: &[u8],
) -> Result<Vec<u8>, CompressionError> {
    let corrupt = |_| CompressionError::Corrupt(codec);
    match codec {
        Compression::None => Ok(plain.to_vec()),
        Compression::Gzip => {
            let level = match level.and_then(|level| u32::try_from(level).ok()) {
                Some(level) => flate2::Compression::new(level.min(9)),
                None => flate2::Compression::default(),
            };
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(plain).map_err(corrupt)?;
            encoder.finish().map_err(corrupt)
        }
        Compression::Snappy => compress_snappy(plain),
        Compression::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(plain).map_err(corrupt)?;
            encoder.finish().map_err(|_| CompressionError::Corrupt(codec))
        }
        Compression::Zstd => zstd::bulk::compress(plain, level.unwrap_or(3)).map_err(corrupt),
    }
}

fn compress_snappy(plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let mut out = XERIAL_HEADER.to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(XERIAL_BLOCK_BYTES) {
        let block = encoder
            .compress_vec(block)
            .map_err(|_| CompressionError::Corrupt(Compression::Snappy))?;
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(out)
}

/// Decompresses into `out`, which is cleared first and whose memory is used again.
///
/// # Errors
/// When the bytes are damaged or would become more than `limit_bytes`.
pub fn decompress(
    codec: Compression,
    compressed: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    out.clear();
    match codec {
        Compression::None if compressed.len() > limit_bytes => {
            Err(CompressionError::TooLarge { limit_bytes })
        }
        Compression::None => {
            out.extend_from_slice(compressed);
            Ok(())
        }
        Compression::Gzip => {
            read_limited(codec, flate2::read::MultiGzDecoder::new(compressed), limit_bytes, out)
        }
        Compression::Snappy => decompress_snappy(compressed, limit_bytes, out),
        Compression::Lz4 => {
            read_limited(codec, lz4_flex::frame::FrameDecoder::new(compressed), limit_bytes, out)
        }
        Compression::Zstd => {
            let corrupt = |_| CompressionError::Corrupt(codec);
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(compressed).map_err(corrupt)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(corrupt)?;
            read_limited(codec, decoder, limit_bytes, out)
        }
    }
}

fn read_limited(
    codec: Compression,
    reader: impl Read,
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    match reader.take(limit).read_to_end(out) {
        Ok(_) if out.len() > limit_bytes => Err(CompressionError::TooLarge { limit_bytes }),
        Ok(_) => Ok(()),
        Err(_) => Err(CompressionError::Corrupt(codec)),
    }
}

fn decompress_snappy(
    compressed: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    let corrupt = CompressionError::Corrupt(Compression::Snappy);
    // Only the magic is compared: other writers give other versions behind it.
    let is_stream = compressed.len() >= 16 && compressed.starts_with(&XERIAL_HEADER[..8]);
    if !is_stream {
        return unsnap(compressed, limit_bytes, out);
    }
    let mut rest = compressed.get(16..).unwrap_or_default();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(corrupt)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or(corrupt)?;
        unsnap(block, limit_bytes, out)?;
        rest = after;
    }
    Ok(())
}

/// Appends one raw snappy block.
fn unsnap(block: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let corrupt = |_| CompressionError::Corrupt(Compression::Snappy);
    let plain_bytes = snap::raw::decompress_len(block).map_err(corrupt)?;
    let start = out.len();
    // A block cannot expand more than about 21 times; a length beyond that is a lie.
    if plain_bytes > block.len().saturating_mul(64) {
        return Err(CompressionError::Corrupt(Compression::Snappy));
    }
    match start.checked_add(plain_bytes) {
        Some(end) if end <= limit_bytes => out.resize(end, 0),
        _ => return Err(CompressionError::TooLarge { limit_bytes }),
    }
    let target = out.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, target).map_err(corrupt)?;
    if written == plain_bytes {
        Ok(())
    } else {
        Err(CompressionError::Corrupt(Compression::Snappy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    /// What a producer compressed would not come out again.
    #[test]
    fn every_codec_gives_back_what_it_took() {
        let plain: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        for codec in CODECS {
            let compressed = compress(codec, None, &plain).unwrap();
            let mut out = Vec::new();
            decompress(codec, &compressed, plain.len(), &mut out).unwrap();
            assert!(out == plain, "{codec:?}");
        }
    }

    /// A few bytes would fill the memory.
    #[test]
    fn bombs_stop_at_the_limit() {
        let plain = vec![0u8; 50_000_000];
        for codec in CODECS {
            let compressed = compress(codec, None, &plain).unwrap();
            let mut out = Vec::new();
            let result = decompress(codec, &compressed, 1_000_000, &mut out);
            assert_eq!(result, Err(CompressionError::TooLarge { limit_bytes: 1_000_000 }));
            assert!(out.capacity() <= 4_000_000, "{codec:?}: {}", out.capacity());
        }
    }

    /// Garbage would panic or pass for data.
    #[test]
    fn garbage_is_refused() {
        let mut out = Vec::new();
        for codec in &CODECS[1..] {
            for garbage in [&b"\x00\x01\x02\x03garbage that is long enough"[..], &[0xff; 40]] {
                assert!(decompress(*codec, garbage, 1 << 20, &mut out).is_err(), "{codec:?}");
            }
        }
    }

    /// Clients that write raw snappy blocks would be refused.
    #[test]
    fn a_raw_snappy_block_is_read() {
        let block = snap::raw::Encoder::new().compress_vec(b"hello hello hello").unwrap();
        let mut out = Vec::new();
        decompress(Compression::Snappy, &block, 100, &mut out).unwrap();
        assert_eq!(out, b"hello hello hello");
    }
}
