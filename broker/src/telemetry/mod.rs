//! What a node says about itself: log lines and figures.

pub mod logging;
pub mod metrics;
pub mod process;
pub mod scrape;
pub mod state;
