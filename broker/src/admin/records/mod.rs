//! Records: produced one by one, as a stream or as a batch; read page by page or live.

pub mod batch;
pub mod page;
mod pieces;
pub mod stream;
pub mod watch;

mod objects;
mod partitioner;
mod produce;
mod read;
mod received;
mod shown;
