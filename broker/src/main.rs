//! milena binary.
fn main() {}
