//! Work that takes longer than the connections of a thread should wait.

use tokio::runtime::RuntimeFlavor;

/// Runs something that takes long while other threads take over this one's connections. A runtime
/// of one thread, as tests have, has no others.
pub fn off_the_reactor<T>(run: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(run),
        _ => run(),
    }
}
