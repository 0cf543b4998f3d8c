//! The four codecs of record batches, always behind a limit for what comes out.
//!
//! | codec | framing |
//! | --- | --- |
//! | gzip | RFC 1952 |
//! | snappy | xerial stream; a raw block alone is accepted too |
//! | lz4 | one LZ4 frame, written with independent 64 KiB blocks |
//! | zstd | zstd frames, window at most 8 MiB, or 128 MiB for contents of 32 MiB |

use std::fmt;
use std::io::{self, Read, Write};

use super::{lz4, snappy};

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

/// log₂ of the largest zstd window that is accepted without further ado.
const ZSTD_WINDOW_LOG: u32 = 23;
/// log₂ of the largest zstd window that is accepted, which is what other readers accept too. The
/// highest levels declare it even for a few bytes.
const ZSTD_LARGEST_WINDOW_LOG: u32 = 27;
/// What such a frame may hold at most: so much of its window is used at most.
const ZSTD_LARGE_WINDOW_PLAIN_BYTES: usize = 32 * 1024 * 1024;

/// Compresses, at a level where the codec has one.
///
/// # Errors
/// When the codec's library fails, which it does only for levels that do not exist.
pub fn compress(
    codec: Compression,
    level: Option<i32>,
    plain: &[u8],
) -> Result<Vec<u8>, CompressionError> {
    if codec == Compression::None {
        return Ok(plain.to_vec());
    }
    let mut encoder = Encoder::begin(codec, level, plain.len(), Vec::new())
        .map_err(|_| CompressionError::Corrupt(codec))?;
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    written.map_err(|_| CompressionError::Corrupt(codec))
}

/// Compresses in another codec, behind a limit for what comes out. Neither the plain bytes nor
/// more than the limit are ever in memory.
///
/// # Errors
/// When the bytes are damaged, would become more than `plain_limit_bytes` in between, or more than
/// `limit_bytes` in the end.
pub fn recompress(
    source: Compression,
    compressed: &[u8],
    plain_limit_bytes: usize,
    target: (Compression, Option<i32>),
    limit_bytes: usize,
) -> Result<Vec<u8>, CompressionError> {
    let plain_bytes = plain_bytes(source, compressed, plain_limit_bytes)?;
    let mut decoder = Decoder::begin(source, compressed, plain_limit_bytes)?;
    let (codec, level) = target;
    let out = Limited { out: Vec::new(), limit_bytes };
    let ended = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => CompressionError::TooLarge { limit_bytes },
        _ => CompressionError::Corrupt(source),
    };
    let mut encoder = Encoder::begin(codec, level, plain_bytes, out).map_err(ended)?;
    io::copy(&mut decoder, &mut encoder).map_err(ended)?;
    encoder.finish().map(|limited| limited.out).map_err(ended)
}

/// What the bytes decompress to, counted without keeping it.
fn plain_bytes(
    codec: Compression,
    compressed: &[u8],
    limit_bytes: usize,
) -> Result<usize, CompressionError> {
    if codec == Compression::None {
        return Ok(compressed.len());
    }
    let mut decoder = Decoder::begin(codec, compressed, limit_bytes)?;
    let counted = io::copy(&mut decoder, &mut io::sink());
    let counted = counted.map_err(|error| Decoder::fault(codec, limit_bytes, &error))?;
    Ok(usize::try_from(counted).unwrap_or(usize::MAX))
}

/// A vector that takes no more than its limit.
struct Limited {
    out: Vec<u8>,
    limit_bytes: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit_bytes.saturating_sub(self.out.len()) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compresses what is written to it.
enum Encoder<W: Write> {
    None(W),
    Gzip(flate2::write::GzEncoder<W>),
    Snappy(snappy::Stream<W>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<W>>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// Begins; `plain_bytes` is exactly what will be written.
    fn begin(
        codec: Compression,
        level: Option<i32>,
        plain_bytes: usize,
        out: W,
    ) -> io::Result<Self> {
        Ok(match codec {
            Compression::None => Self::None(out),
            Compression::Gzip => {
                let level = match level.and_then(|level| u32::try_from(level).ok()) {
                    Some(level) => flate2::Compression::new(level.min(9)),
                    None => flate2::Compression::default(),
                };
                Self::Gzip(flate2::write::GzEncoder::new(out, level))
            }
            Compression::Snappy => Self::Snappy(snappy::Stream::begin(out)?),
            Compression::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max64KB)
                    .block_mode(lz4_flex::frame::BlockMode::Independent);
                let encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, out);
                Self::Lz4(Box::new(encoder))
            }
            Compression::Zstd => {
                let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
                // The codec takes memory for what it is told to expect.
                encoder.set_pledged_src_size(Some(plain_bytes as u64))?;
                encoder.include_contentsize(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Snappy(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(|error| match error {
                lz4_flex::frame::Error::IoError(error) => error,
                error => io::Error::other(error),
            }),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Snappy(encoder) => encoder.write(bytes),
            Self::Lz4(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives back what was compressed, piece by piece, at most as much as it is allowed to.
///
/// Its memory is the codec's own: some 100 KiB for gzip, a window of at most 8 MiB for zstd, one
/// block for the others, which is as large as what has come out of it.
pub struct Decoder<'a> {
    stream: Stream<'a>,
    left_bytes: usize,
}

enum Stream<'a> {
    None(&'a [u8]),
    Gzip(Box<flate2::read::MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(Box<lz4::Frame<'a>>),
    Zstd(zstd::stream::read::Decoder<'static, &'a [u8]>),
}

impl<'a> Decoder<'a> {
    /// Begins to decompress.
    ///
    /// # Errors
    /// When the first bytes show that they are not of this codec.
    pub fn begin(
        codec: Compression,
        compressed: &'a [u8],
        limit_bytes: usize,
    ) -> Result<Self, CompressionError> {
        let corrupt = |_| CompressionError::Corrupt(codec);
        let mut left_bytes = limit_bytes;
        let stream = match codec {
            Compression::None => Stream::None(compressed),
            Compression::Gzip => {
                Stream::Gzip(Box::new(flate2::read::MultiGzDecoder::new(compressed)))
            }
            Compression::Snappy => Stream::Snappy(snappy::Blocks::open(compressed, limit_bytes)),
            Compression::Lz4 => {
                Stream::Lz4(Box::new(lz4::Frame::open(compressed).map_err(corrupt)?))
            }
            Compression::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(compressed).map_err(corrupt)?;
                let mut window_log_max = ZSTD_WINDOW_LOG;
                if zstd_window_log(compressed) > ZSTD_WINDOW_LOG {
                    window_log_max = ZSTD_LARGEST_WINDOW_LOG;
                    left_bytes = left_bytes.min(ZSTD_LARGE_WINDOW_PLAIN_BYTES);
                }
                decoder.window_log_max(window_log_max).map_err(corrupt)?;
                Stream::Zstd(decoder)
            }
        };
        Ok(Self { stream, left_bytes })
    }

    /// What an error of [`Read::read`] means.
    #[must_use]
    pub fn fault(codec: Compression, limit_bytes: usize, error: &io::Error) -> CompressionError {
        match error.kind() {
            io::ErrorKind::FileTooLarge => CompressionError::TooLarge { limit_bytes },
            _ => CompressionError::Corrupt(codec),
        }
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.stream {
            Stream::None(bytes) => bytes.read(out)?,
            Stream::Gzip(decoder) => decoder.read(out)?,
            Stream::Snappy(decoder) => decoder.read(out)?,
            Stream::Lz4(decoder) => decoder.read(out)?,
            Stream::Zstd(decoder) => decoder.read(out)?,
        };
        self.left_bytes = match self.left_bytes.checked_sub(read) {
            Some(left_bytes) => left_bytes,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        };
        Ok(read)
    }
}

/// log₂ of the window that a zstd frame declares (RFC 8878, 3.1.1.1.2), rounded down; 0 where it
/// declares none, being one segment.
fn zstd_window_log(frame: &[u8]) -> u32 {
    const IS_ONE_SEGMENT: u8 = 1 << 5;
    match frame {
        [_, _, _, _, descriptor, window, ..] if descriptor & IS_ONE_SEGMENT == 0 => {
            10 + u32::from(window >> 3)
        }
        _ => 0,
    }
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
    let mut decoder = Decoder::begin(codec, compressed, limit_bytes)?;
    match decoder.read_to_end(out) {
        Ok(_) => Ok(()),
        Err(error) => Err(Decoder::fault(codec, limit_bytes, &error)),
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

    /// A topic that demands a codec would store something else, or fill the memory on the way.
    #[test]
    fn codecs_are_changed_behind_limits() {
        let plain: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        for source in CODECS {
            let compressed = compress(source, None, &plain).unwrap();
            for target in CODECS {
                let change = |plain_limit, limit| {
                    recompress(source, &compressed, plain_limit, (target, None), limit)
                };
                let changed = change(plain.len(), 300_000).unwrap();
                let mut out = Vec::new();
                decompress(target, &changed, plain.len(), &mut out).unwrap();
                assert!(out == plain, "{source:?} to {target:?}");
                let too_large = |limit_bytes| Err(CompressionError::TooLarge { limit_bytes });
                assert_eq!(change(plain.len(), 5000), too_large(5000));
                if source != Compression::None {
                    assert_eq!(change(100_000, 300_000), too_large(100_000));
                }
            }
        }
    }

    /// Producers at the highest levels of zstd would be refused, or use up the memory.
    #[test]
    fn large_windows_are_read_up_to_a_limit() {
        let compressed = |window_log, plain: &[u8]| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(window_log).unwrap();
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        };
        let mut out = Vec::new();
        let limit_bytes = 200 << 20;
        for window_log in [20, 23, 24, 27] {
            let frame = compressed(window_log, b"a few bytes");
            assert_eq!(zstd_window_log(&frame), window_log);
            decompress(Compression::Zstd, &frame, limit_bytes, &mut out).unwrap();
            assert_eq!(out, b"a few bytes");
        }
        let zeros = vec![0; ZSTD_LARGE_WINDOW_PLAIN_BYTES + 1];
        let large = decompress(Compression::Zstd, &compressed(27, &zeros), limit_bytes, &mut out);
        assert_eq!(large, Err(CompressionError::TooLarge { limit_bytes }));
        decompress(Compression::Zstd, &compressed(20, &zeros), limit_bytes, &mut out).unwrap();
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
