//! What the operating system says about this process.
//!
//! Where `/proc` does not say, a figure is left out.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The figures that Prometheus calls `process_…`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFigures {
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Memory that is really there.
    pub resident_bytes: Option<u64>,
    /// Memory that is mapped.
    pub virtual_bytes: Option<u64>,
    /// Open descriptors.
    pub open_descriptors: Option<u64>,
    /// How many there may be.
    pub max_descriptors: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

impl ProcessFigures {
    /// Asks the system.
    #[must_use]
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Self {
            cpu: cpu_time(),
            resident_bytes: field("VmRSS:").map(|kib| kib * 1024),
            virtual_bytes: field("VmSize:").map(|kib| kib * 1024),
            // One of them is the directory that is being read.
            open_descriptors: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| (entries.count() as u64).saturating_sub(1)),
            max_descriptors: getrlimit(Resource::Nofile).current,
            threads: field("Threads:"),
        }
    }
}

/// Processor time that all threads of this process used so far.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Seconds since 1970.
#[must_use]
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory and descriptors of a node would be missing from every dashboard.
    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_all_of_it() {
        let figures = ProcessFigures::read();
        assert!(figures.resident_bytes.unwrap() > 100_000);
        assert!(figures.virtual_bytes >= figures.resident_bytes);
        assert!(figures.open_descriptors.unwrap() >= 3);
        assert!(figures.threads.unwrap() >= 1);
        assert!(figures.cpu > Duration::ZERO);
    }
}
