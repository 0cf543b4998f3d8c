//! Random ids. The machines of `cluster` get theirs from here, with the request.

use milena_protocol::ids::Uuid;
use rustix::rand::{GetRandomFlags, getrandom};

/// The id that everybody makes of a text: its FNV-1a hash of 128 bits, marked as a UUID of version
/// 8 (RFC 9562).
#[must_use]
pub fn uuid_of(text: &str) -> Uuid {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = text.bytes().fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    let (version, variant) = (0xf << 76, 0b11 << 62);
    Uuid::from_u128((hash & !version & !variant) | (8 << 76) | (0b10 << 62))
}

/// A new id.
///
/// # Panics
/// When the system has no entropy to give, which it has once it has booted.
#[must_use]
pub fn new_uuid() -> Uuid {
    loop {
        let mut bytes = [0; 16];
        let filled = fill(&mut bytes);
        if let (16, Some(id)) = (filled, Uuid::from_random(bytes)) {
            return id;
        }
    }
}

/// Fills bytes with entropy; answers how many.
fn fill(bytes: &mut [u8; 16]) -> usize {
    #[cfg(feature = "simulation")]
    if let (Some(high), Some(low)) =
        (milena_client::simulation::draw(), milena_client::simulation::draw())
    {
        *bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
        return bytes.len();
    }
    getrandom(&mut bytes[..], GetRandomFlags::empty())
        .expect("the system gives entropy once it has booted")
}
