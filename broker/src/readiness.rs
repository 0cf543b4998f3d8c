//! Whether clients are served. A listener that is for the quorum as well is there before.

use tokio::sync::watch;

/// Whether clients are served.
#[derive(Debug)]
pub struct Readiness(watch::Sender<bool>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Readiness {
    /// From now on they are.
    pub fn declare(&self) {
        self.0.send_replace(true);
    }

    /// Whether they are.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until they are.
    pub async fn ready(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(|is_ready| *is_ready).await;
    }
}
