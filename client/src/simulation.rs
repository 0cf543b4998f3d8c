//! Chance within a simulation: numbers that follow from a seed, one sequence for all of a thread.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Begins a sequence.
pub fn seed(seed: u64) {
    STATE.set(seed);
}

/// The next number (SplitMix64); none outside of a simulation.
#[must_use]
pub fn draw() -> Option<u64> {
    if !turmoil::in_simulation() {
        return None;
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Some(mixed ^ (mixed >> 31))
}
