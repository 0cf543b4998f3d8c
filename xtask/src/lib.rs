//! What `cargo xtask` does, as a library so that `cargo test` can run it too.

pub mod cycles;
pub mod elections;
pub mod interop;
pub mod kill9;
pub mod mutants;
pub mod sim;
pub mod tidy;
