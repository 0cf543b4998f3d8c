//! Where a group shall go on, as it is written and as it is found.

use std::time::Duration;

use clap::Args;
use milena_client::admin::OffsetSpec;
use milena_protocol::ids::{Offset, Timestamp};

use crate::timestamp;

/// Where a group shall go on.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// beginning, end, an offset, or @ and an instant, in milliseconds or as 2021-02-05T19:14:42Z.
    #[arg(long, value_name = "PLACE", value_parser = target)]
    to: Option<Target>,
    /// At what came in the last 90s, 15m, 2h or 7d.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    ago: Option<Duration>,
    /// So many offsets further on than now, or, if it is negative, back.
    #[arg(long, value_name = "OFFSETS", allow_negative_numbers = true)]
    by: Option<i64>,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Beginning,
    End,
    At(Offset),
    Since(Timestamp),
    By(i64),
}

/// What is known of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub earliest: Offset,
    pub latest: Offset,
    /// Where the group is now.
    pub committed: Option<Offset>,
    /// What was found by time; −1 where there is nothing so young.
    pub since: Offset,
}

impl Place {
    /// What it comes to at a time.
    pub fn target(&self, now: Timestamp) -> Target {
        match (self.to, self.ago, self.by) {
            (Some(target), ..) => target,
            (_, Some(span), _) => {
                let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                Target::Since(Timestamp(now.0.saturating_sub(span_ms).max(0)))
            }
            (.., by) => Target::By(by.unwrap_or(0)),
        }
    }
}

impl Target {
    /// What leaders are to be asked besides where their logs begin and end.
    pub fn spec(self) -> OffsetSpec {
        match self {
            Self::Since(instant) => OffsetSpec::Time(instant),
            _ => OffsetSpec::Latest,
        }
    }

    /// Its offset in a partition, which is none before its first record or behind its last; nothing
    /// where the group is nowhere that it could be moved from.
    pub fn offset(self, known: Known) -> Option<Offset> {
        let offset = match self {
            Self::Beginning => known.earliest,
            Self::End => known.latest,
            Self::At(offset) => offset,
            Self::Since(_) if known.since == Offset::NONE => known.latest,
            Self::Since(_) => known.since,
            Self::By(offsets) => Offset(known.committed?.0.saturating_add(offsets)),
        };
        Some(offset.min(known.latest).max(known.earliest))
    }
}

fn target(text: &str) -> Result<Target, String> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
    let instant = |text: &str| number(text).map(Timestamp).or_else(|| timestamp::read(text));
    let found = match text {
        "beginning" | "earliest" => Some(Target::Beginning),
        "end" | "latest" => Some(Target::End),
        _ => match text.strip_prefix('@') {
            Some(time) => instant(time).map(Target::Since),
            None => number(text).map(|offset| Target::At(Offset(offset))),
        },
    };
    found.ok_or_else(|| {
        format!(
            "{text:?} is no place; write beginning, end, OFFSET, @MILLISECONDS or \
             @2021-02-05T19:14:42Z"
        )
    })
}

fn span(text: &str) -> Result<Duration, String> {
    let found = || {
        let unit = text.chars().last()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(count.checked_mul(seconds)?))
    };
    found().ok_or_else(|| format!("{text:?} is no span; write 90s, 15m, 2h or 7d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group would be moved somewhere else than was written.
    #[test]
    fn places_are_what_they_say() {
        assert_eq!(target("beginning"), Ok(Target::Beginning));
        assert_eq!(target("latest"), Ok(Target::End));
        assert_eq!(target("42"), Ok(Target::At(Offset(42))));
        let instant = Timestamp(1_612_552_482_000);
        for text in ["@1612552482000", "@2021-02-05T19:14:42Z", "@2021-02-05T20:14:42+01:00"] {
            assert_eq!(target(text), Ok(Target::Since(instant)), "{text}");
        }
        for bad in ["", "-1", "@", "@-1", "@soon", "middle"] {
            assert!(target(bad).is_err(), "{bad}");
        }
        assert_eq!(span("15m"), Ok(Duration::from_secs(900)));
        for bad in ["", "h", "1", "-1h", "1.5h", "2 h", "99999999999999999999d", "5ü"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    /// A group would go on where there is nothing, and begin anew wherever its consumers like.
    #[test]
    fn no_place_is_outside_of_its_partition() {
        let known = Known {
            earliest: Offset(10),
            latest: Offset(20),
            committed: Some(Offset(15)),
            since: Offset(12),
        };
        for (target, offset) in [
            (Target::Beginning, 10),
            (Target::End, 20),
            (Target::At(Offset(3)), 10),
            (Target::At(Offset(13)), 13),
            (Target::At(Offset(99)), 20),
            (Target::Since(Timestamp(0)), 12),
            (Target::By(2), 17),
            (Target::By(-2), 13),
            (Target::By(i64::MIN), 10),
            (Target::By(i64::MAX), 20),
        ] {
            assert_eq!(target.offset(known), Some(Offset(offset)), "{target:?}");
        }
        let young = Known { since: Offset::NONE, ..known };
        assert_eq!(Target::Since(Timestamp(0)).offset(young), Some(Offset(20)));
        let nowhere = Known { committed: None, ..known };
        assert_eq!(Target::By(1).offset(nowhere), None);
    }
}
