//! Log lines of brokers with the time of the simulation, and who says them.

use std::fmt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:>7}", turmoil::sim_elapsed().unwrap_or_default().as_millis())
    }
}

/// Shows what a filter lets through, such as `info,turmoil=warn`, from now on.
pub fn logs(filter: &str) {
    let shown = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_timer(VirtualTime)
        .with_ansi(false)
        .with_writer(std::io::stdout);
    // Another test of this process may show them already.
    let _ = shown.try_init();
}
