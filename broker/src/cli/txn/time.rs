//! Times of transactions, as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use milena_protocol::ids::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How long ago something was; a dash where nobody knows.
pub fn shown_age(at: Timestamp, now: Timestamp) -> String {
    if at.0 < 0 {
        return "–".to_owned();
    }
    shown(Duration::from_millis(u64::try_from(now.0 - at.0).unwrap_or_default()))
}

/// A span in its two largest units.
pub fn shown(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 => format!("{} ms", span.as_millis()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transaction that has hung for days would look like one of this minute.
    #[test]
    fn spans_are_for_people() {
        let shown = |seconds| shown(Duration::from_secs(seconds));
        assert_eq!(super::shown(Duration::from_millis(12)), "12 ms");
        assert_eq!([shown(59), shown(61), shown(3_720)], ["59 s", "1 min 1 s", "1 h 2 min"]);
        assert_eq!(shown(90_000), "1 d 1 h");
        assert_eq!(shown_age(Timestamp(-1), Timestamp(5)), "–");
        assert_eq!(shown_age(Timestamp(1000), Timestamp(3000)), "2 s");
        assert_eq!(shown_age(Timestamp(3000), Timestamp(1000)), "0 ms", "clocks differ");
    }
}
