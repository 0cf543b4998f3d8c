//! The two shapes of a state machine; everything in this crate has one of them.
//!
//! | | stepped | event-sourced |
//! | --- | --- | --- |
//! | who | [`quorum`](crate::quorum), [`replica`](crate::replica) | [`controller`](crate::controller) |
//! | in | `step(now, input, &mut outputs)`, `deadline()` | `decide(&self, at, request)` |
//! | out | a list of outputs, executed in order | records and an answer |
//! | state changes in | `step` | `replay(offset, record)` alone |
//!
//! A stepped machine tells its driver what to do; because outputs are executed in their order,
//! "persist, then send" is a fact of the list. An event-sourced machine never changes what it
//! knows while deciding: the driver has the records appended, replays them, and hands the answer
//! out once they are committed. Losing leadership drops such a machine; the log rebuilds it.
//!
//! Neither sees a clock, entropy or the order of a hash: the time and seeds come in, maps are
//! ordered, and the same inputs give the same outputs. Each has `check_invariants()`, which
//! panics when the machine contradicts itself.

use milena_protocol::ids::{Offset, Timestamp};

/// When and where a decision is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The time.
    pub now: Timestamp,
    /// The offset that the first record of the decision will get: the end of the log.
    pub next_offset: Offset,
}
