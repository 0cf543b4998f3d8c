//! What the coordinator of transactions decides, fact by fact, with one machine and a log in
//! memory.

mod ending;
mod markers;
mod node;
mod partitions;
mod producers;
mod records;
mod shown;
mod timers;
mod waiting;
