//! What the producer and its sender share.

use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, Semaphore};

use super::lane::Lanes;
use super::options::ProducerOptions;
use crate::client::Client;

/// What the producer and its sender share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub client: Client,
    pub options: ProducerOptions,
    pub lanes: Mutex<Lanes>,
    /// There is something to send, or nothing left to wait for.
    pub wake: Notify,
    /// Bytes that records may still take.
    pub memory: Arc<Semaphore>,
}
