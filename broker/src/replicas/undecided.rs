//! Where the last stable offset may go (fact F12).
//!
//! A transaction whose marker is in the log is decided only once the high watermark has passed the
//! marker: until then another leader may not have it, and what consumers of committed records were
//! shown would be undecided again. So the bound stays where it was when the oldest transaction
//! ended, until the log's end of that time is reached.

use std::collections::VecDeque;

use milena_protocol::ids::Offset;

/// Nothing is undecided.
pub(super) const NOTHING: Offset = Offset(i64::MAX);

/// The bound of what is decided.
#[derive(Debug)]
pub(super) struct Undecided {
    /// Where the oldest open transaction begins.
    open_from: Offset,
    /// Bounds that hold until the high watermark is there; both rise from one to the next.
    held: VecDeque<(Offset, Offset)>,
}

impl Undecided {
    /// The log as it was found.
    pub(super) fn new(open_from: Option<Offset>) -> Self {
        Self { open_from: open_from.unwrap_or(NOTHING), held: VecDeque::new() }
    }

    /// The oldest open transaction begins here now, with a log that ends at `end`.
    pub(super) fn appended(&mut self, open_from: Option<Offset>, end: Offset) {
        let open_from = open_from.unwrap_or(NOTHING);
        if self.open_from < open_from {
            self.held.push_back((self.open_from, end));
        }
        self.open_from = open_from;
    }

    /// The high watermark is here; answers the bound.
    pub(super) fn reached(&mut self, high_watermark: Offset) -> Offset {
        while self.held.front().is_some_and(|(_, until)| *until <= high_watermark) {
            self.held.pop_front();
        }
        self.held.front().map_or(self.open_from, |(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Consumers of committed records would be shown what another leader has yet to decide.
    #[test]
    fn a_transaction_is_decided_once_its_marker_is_replicated() {
        let mut undecided = Undecided::new(None);
        undecided.appended(Some(Offset(5)), Offset(6));
        assert_eq!(undecided.reached(Offset(6)), Offset(5));
        undecided.appended(None, Offset(9));
        assert_eq!(undecided.reached(Offset(8)), Offset(5), "the marker is at 8");
        undecided.appended(Some(Offset(9)), Offset(10));
        assert_eq!(undecided.reached(Offset(9)), Offset(9));
        undecided.appended(Some(Offset(12)), Offset(14));
        undecided.appended(None, Offset(15));
        assert_eq!(undecided.reached(Offset(14)), Offset(12));
        assert_eq!(undecided.reached(Offset(15)), NOTHING);
    }
}
