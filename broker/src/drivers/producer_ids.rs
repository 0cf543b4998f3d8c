//! Handing out producer ids from the block at hand; a new block comes from the controller
//! (KIP-730).

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::ProducerId;
use tokio::sync::Mutex;

use crate::metadata::Published;
use crate::peers::ActiveController;

/// The block at hand: the next id and the end of the block.
#[derive(Debug, Default)]
pub struct ProducerIds {
    block: Mutex<(i64, i64)>,
}

impl ProducerIds {
    /// An id that nobody else gets.
    ///
    /// # Errors
    /// What the controller answers when it has no block to give.
    pub async fn next(
        &self,
        metadata: &Published,
        controller: &ActiveController,
    ) -> Result<ProducerId, ErrorCode> {
        // Held across the wait on purpose: those who come meanwhile need the same block.
        let mut block = self.block.lock().await;
        if block.0 >= block.1 {
            let node = controller.local().node();
            let epoch = metadata.image().broker(node).map(|known| known.epoch);
            let epoch = epoch.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
            *block = controller.allocate_producer_ids(epoch).await?;
        }
        let id = block.0;
        block.0 += 1;
        Ok(ProducerId(id))
    }
}
