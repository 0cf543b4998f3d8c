//! Damages inputs the way strangers and bugs do: flipped bits, extreme numbers, lost and repeated
//! pieces, lengths that lie.

use crate::sample::Random;

/// No input grows beyond this.
const MAX_BYTES: usize = 4096;
/// Numbers at which length checks break, as they stand on the wire.
const EXTREMES: &[&[u8]] = &[
    &[0xff],
    &[0x7f],
    &[0x80],
    &[0],
    &[0xff, 0xff],
    &[0x7f, 0xff],
    &[0x80, 0],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
    &[0, 0, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0x80, 0x80, 0x80, 0x80],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0, 0, 0, 0, 0],
];

/// Damages `bytes` one to four times; `other` is another input, to splice with.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        mutate_once(bytes, other, random);
    }
    bytes.truncate(MAX_BYTES);
}

fn mutate_once(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(9) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.word() as u8;
            }
        }
        3 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = byte.wrapping_add(random.below(9) as u8).wrapping_sub(4);
            }
        }
        4 | 5 => overwrite(bytes, at, EXTREMES[random.below(EXTREMES.len())]),
        6 => bytes.truncate(at),
        7 => {
            let end = (at + 1 + random.below(8)).min(bytes.len());
            if random.one_in(2) {
                bytes.drain(at.min(end)..end);
            } else {
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
        _ => {
            let from = random.below(other.len());
            let end = (from + 1 + random.below(16)).min(other.len());
            overwrite(bytes, at, &other[from.min(end)..end]);
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (slot, byte) in bytes.iter_mut().skip(at).zip(with) {
        *slot = *byte;
    }
}
