//! Reading records from standard input, one after each delimiter.
//!
//! What is read ahead is bounded in bytes: at most [`CHUNKS`] + 2 chunks of [`CHUNK_BYTES`], and of
//! a record that is longer than any request nothing is kept.

use std::io::{self, BufRead, BufReader, Read};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::mpsc;

/// Records are handed over together: as many as came at once, up to this.
const CHUNK_BYTES: usize = 1 << 20;
/// What an empty record counts, so that many of them make a chunk as well.
const LINE_BYTES: usize = 64;
/// Chunks that wait to be sent.
const CHUNKS: usize = 4;

/// What stood before a delimiter.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A record.
    Whole(Bytes),
    /// More than a record may be.
    TooLong {
        /// How much it is.
        bytes: u64,
    },
}

/// Reads standard input on a thread of its own, until its end or until nobody takes what is read.
pub fn read(
    delimiter: &[u8],
    max_bytes: usize,
) -> (mpsc::Receiver<Vec<Line>>, JoinHandle<io::Result<()>>) {
    let (lines, queue) = mpsc::channel(CHUNKS);
    let delimiter = delimiter.to_vec();
    let reader = std::thread::spawn(move || {
        let mut lines_of = Lines::new(io::stdin().lock(), &delimiter, max_bytes);
        while let Some(chunk) = lines_of.chunk()? {
            if lines.blocking_send(chunk).is_err() {
                break;
            }
        }
        Ok(())
    });
    (queue, reader)
}

struct Lines<'a, R> {
    input: BufReader<R>,
    delimiter: &'a [u8],
    max_bytes: usize,
}

impl<'a, R: Read> Lines<'a, R> {
    fn new(input: R, delimiter: &'a [u8], max_bytes: usize) -> Self {
        Self { input: BufReader::with_capacity(64 * 1024, input), delimiter, max_bytes }
    }

    /// The next records, without waiting for more than one; none at the end.
    fn chunk(&mut self) -> io::Result<Option<Vec<Line>>> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while let Some(line) = self.line()? {
            bytes += LINE_BYTES;
            if let Line::Whole(line) = &line {
                bytes += line.len();
            }
            chunk.push(line);
            if bytes >= CHUNK_BYTES || self.input.buffer().is_empty() {
                break;
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// The next record; behind the last delimiter stands none.
    fn line(&mut self) -> io::Result<Option<Line>> {
        let Some(last) = self.delimiter.last().copied() else { return Ok(None) };
        let mut line = Vec::new();
        let mut dropped = 0;
        loop {
            let limit = (self.max_bytes + self.delimiter.len()) as u64;
            let count = (&mut self.input).take(limit).read_until(last, &mut line)?;
            let is_whole = line.ends_with(self.delimiter);
            if is_whole {
                line.truncate(line.len() - self.delimiter.len());
            }
            let total = dropped + line.len() as u64;
            if is_whole || count == 0 {
                let is_record = is_whole || total > 0;
                let line = if total > self.max_bytes as u64 {
                    Line::TooLong { bytes: total }
                } else {
                    Line::Whole(Bytes::from(line))
                };
                return Ok(is_record.then_some(line));
            }
            // A delimiter may have begun.
            let begun = self.delimiter.len() - 1;
            if total > (self.max_bytes + begun) as u64 {
                let kept = line.len().min(begun);
                dropped += (line.len() - kept) as u64;
                line.drain(..line.len() - kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8], delimiter: &[u8], max_bytes: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, delimiter, max_bytes);
        let mut all = Vec::new();
        while let Some(chunk) = lines.chunk().unwrap() {
            all.extend(chunk);
        }
        all
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    /// Records would be cut where there is no delimiter, or an empty one would be lost.
    #[test]
    fn records_end_where_the_delimiter_is() {
        assert_eq!(all(b"a\n\nb", b"\n", 9), [whole("a"), whole(""), whole("b")]);
        assert_eq!(all(b"a;b;;c;;", b";;", 9), [whole("a;b"), whole("c")]);
        assert_eq!(all(b"", b"\n", 9), []);
    }

    /// A file without a delimiter would be read into memory as a whole, or what stands behind a
    /// record that is too long would be taken for a part of it.
    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        let long = [b"x".repeat(500_000), b";;".to_vec(), b"b".to_vec()].concat();
        assert_eq!(all(&long, b";;", 100), [Line::TooLong { bytes: 500_000 }, whole("b")]);
        let longest = [b"x".repeat(100), b";;".to_vec()].concat();
        assert_eq!(all(&longest, b";;", 100), [Line::Whole(Bytes::from(b"x".repeat(100)))]);
        assert_eq!(all(&longest, b";;", 99), [Line::TooLong { bytes: 100 }]);
        let many = b"\n".repeat(100_000);
        let mut lines = Lines::new(&many[..], b"\n", 100);
        let first = lines.chunk().unwrap().unwrap().len();
        assert!(first <= CHUNK_BYTES / LINE_BYTES, "{first} records in one chunk");
    }
}
