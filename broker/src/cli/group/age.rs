//! Ages as people read them.

use std::time::Duration;

/// An age in its two largest units: `3 h 12 min`.
pub fn shown_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) if age.is_zero() || seconds >= 10 => format!("{seconds} s"),
        (0, 0, 0) => format!("{:.1} s", age.as_secs_f64()),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group that is days behind would look as if it were seconds.
    #[test]
    fn ages_are_in_units_of_their_size() {
        for (milliseconds, shown) in [
            (0, "0 s"),
            (1_240, "1.2 s"),
            (42_900, "42 s"),
            (725_000, "12 min 5 s"),
            (11_520_000, "3 h 12 min"),
            (442_800_000, "5 d 3 h"),
        ] {
            assert_eq!(shown_age(Duration::from_millis(milliseconds)), shown);
        }
    }
}
