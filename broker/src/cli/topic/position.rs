//! Where reading begins and ends, as kcat's `-o` says it.

use std::str::FromStr;

use milena_client::consumer::Start;
use milena_protocol::ids::{Offset, Timestamp};

/// One `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Where to begin.
    From(Start),
    /// At the first record that is not older than this, to end.
    Until(Timestamp),
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || {
            format!(
                "{text:?} is no position; write beginning, end, OFFSET, -COUNT (before the end), \
                 s@TIMESTAMP to begin or e@TIMESTAMP to end at a time in milliseconds"
            )
        };
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        let from = match text {
            "beginning" | "earliest" => Start::Beginning,
            "end" | "latest" => Start::End,
            _ => match (text.strip_prefix('-'), text.strip_prefix("s@"), text.strip_prefix("e@")) {
                (Some(count), _, _) => Start::BeforeEnd(count.parse().map_err(|_| bad())?),
                (_, Some(time), _) => Start::Time(Timestamp(number(time).ok_or_else(bad)?)),
                (_, _, Some(time)) => {
                    return Ok(Self::Until(Timestamp(number(time).ok_or_else(bad)?)));
                }
                _ => Start::Offset(Offset(number(text).ok_or_else(bad)?)),
            },
        };
        Ok(Self::From(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script written for kcat would begin to read somewhere else.
    #[test]
    fn positions_are_those_of_kcat() {
        let from = |text: &str| match text.parse() {
            Ok(Position::From(start)) => start,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(from("beginning"), Start::Beginning);
        assert_eq!(from("end"), Start::End);
        assert_eq!(from("42"), Start::Offset(Offset(42)));
        assert_eq!(from("-5"), Start::BeforeEnd(5));
        assert_eq!(from("s@1700000000000"), Start::Time(Timestamp(1_700_000_000_000)));
        assert_eq!("e@7".parse(), Ok(Position::Until(Timestamp(7))));
        for bad in ["", "stored", "--1", "s@", "s@-1", "x@1", "1.5"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
