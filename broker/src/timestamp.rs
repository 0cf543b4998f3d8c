//! Instants as text: RFC 3339 with milliseconds, as in `2021-02-05T19:14:42.5Z`.

use milena_protocol::ids::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Nanoseconds in a millisecond.
const NANOS: i128 = 1_000_000;

/// Reads an instant, to the millisecond; none before 1970 or where the text is none.
#[must_use]
pub fn read(text: &str) -> Option<Timestamp> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let milliseconds = instant.unix_timestamp_nanos().div_euclid(NANOS);
    let milliseconds = i64::try_from(milliseconds).ok()?;
    (milliseconds >= 0).then_some(Timestamp(milliseconds))
}

/// Writes an instant; none where a record has none, or one that a calendar cannot name.
#[must_use]
pub fn write(timestamp: Timestamp) -> Option<String> {
    if timestamp == Timestamp::NONE {
        return None;
    }
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp.0) * NANOS);
    instant.ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records would get another time than the one that was sent.
    #[test]
    fn instants_are_read_to_the_millisecond() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2021-02-05T19:14:42Z", Some(1_612_552_482_000)),
            ("2021-02-05T20:14:42.1239+01:00", Some(1_612_552_482_123)),
            ("2024-02-29T23:59:59.999Z", Some(1_709_251_199_999)),
            ("1969-12-31T23:59:59Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2021-02-05", None),
            ("1612552482000", None),
            ("", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(read(text).map(|timestamp| timestamp.0), milliseconds, "{text}");
        }
    }

    /// A timestamp that was read could not be sent back.
    #[test]
    fn instants_are_written_as_they_are_read() {
        for milliseconds in [0, 1, 1_612_552_482_000, 1_709_251_199_999, 253_402_300_799_999] {
            let text = write(Timestamp(milliseconds)).expect("an instant with a name");
            assert_eq!(read(&text), Some(Timestamp(milliseconds)), "{text}");
        }
        assert_eq!(write(Timestamp::NONE), None);
        assert_eq!(write(Timestamp(i64::MAX)), None);
    }
}
