//! The two shapes of the machines in this crate; there is no third.
//!
//! **Stepped** (quorum, replica): `step(now, input, &mut outputs)` and `deadline()`. Inputs and
//! outputs are closed enums. The driver executes the outputs in order, so "persist, then send" is a
//! fact of the list.
//!
//! **Event-sourced** (controller): deciding returns records and an answer and changes nothing;
//! `replay` alone changes state. The driver appends, replays, and answers once committed.
//!
//! Neither has a clock, entropy, IO or async: the time and random ids come in with the request.
//! Each has `check_invariants()`, called after every step.
