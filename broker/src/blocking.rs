//! Work that takes longer than the connections of a thread should wait.

use tokio::runtime::RuntimeFlavor;
use tokio::task::JoinHandle;

/// Runs something that takes long while other threads take over this one's connections. A runtime
/// of one thread, as tests have, has no others.
pub fn off_the_reactor<T>(run: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(run),
        _ => run(),
    }
}

/// Runs something that waits for a disk on a thread that may wait. A simulation has one thread, and
/// its disk keeps nobody waiting.
pub fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[cfg(feature = "simulation")]
    if turmoil::in_simulation() {
        return tokio::spawn(async move { run() });
    }
    tokio::task::spawn_blocking(run)
}
