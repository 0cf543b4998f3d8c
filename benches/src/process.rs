//! CPU time and memory of another process, from `/proc`.

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Memory that is resident now.
    pub rss_bytes: u64,
}

/// Ticks per second of `/proc/PID/stat`; 100 on every Linux that people run.
const TICKS: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

impl Usage {
    /// Reads several processes and adds them up; none when there are none, or one is gone.
    pub fn of(pids: &[u32]) -> Option<Self> {
        pids.iter().map(|pid| Self::read(*pid)).reduce(|all, one| {
            let (all, one) = (all?, one?);
            Some(Self {
                cpu_seconds: all.cpu_seconds + one.cpu_seconds,
                rss_bytes: all.rss_bytes + one.rss_bytes,
            })
        })?
    }

    /// Reads a process; none when it is gone.
    fn read(pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold spaces.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            cpu_seconds: (number(11)? + number(12)?) as f64 / TICKS,
            rss_bytes: number(21)? * PAGE_BYTES,
        })
    }
}
