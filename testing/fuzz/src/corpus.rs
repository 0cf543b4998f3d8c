//! Inputs that once showed something, or that must never show anything: they run before all else.
//!
//! `corpus/<target>.txt`, one input per line: which message, a space, the bytes in hex; lines that
//! begin with `#` say why.

use crate::target::{Input, Kind};

/// The corpus of a target.
#[must_use]
pub fn of(kind: Kind) -> Vec<Input> {
    let text = match kind {
        Kind::Frame => include_str!("../corpus/frame.txt"),
        Kind::Batches => include_str!("../corpus/batches.txt"),
        Kind::Codecs => include_str!("../corpus/codecs.txt"),
        _ => "",
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(parse).collect()
}

/// Reads one line.
#[must_use]
pub fn parse(line: &str) -> Option<Input> {
    let (which, hex) = line.trim().split_once(' ')?;
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    Some(Input { which: which.parse().ok()?, bytes: digits.map(byte).collect::<Option<_>>()? })
}
