//! The states of a transactional id, and which may follow which (fact T1).

/// Where a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its producer has begun nothing yet.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// It is decided that it commits; not every partition knows.
    PrepareCommit,
    /// It is decided that it aborts; not every partition knows.
    PrepareAbort,
    /// Every partition knows that it committed.
    CompleteCommit,
    /// Every partition knows that it aborted.
    CompleteAbort,
}

/// All states with the numbers in the log and the names that are shown. Kafka has two more that it
/// never writes: Dead (6) and PrepareEpochFence (7), which are moments within a change here.
const TABLE: [(State, i8, &str); 6] = [
    (State::Empty, 0, "Empty"),
    (State::Ongoing, 1, "Ongoing"),
    (State::PrepareCommit, 2, "PrepareCommit"),
    (State::PrepareAbort, 3, "PrepareAbort"),
    (State::CompleteCommit, 4, "CompleteCommit"),
    (State::CompleteAbort, 5, "CompleteAbort"),
];

/// States that Kafka knows by name, although no transaction is ever seen in them.
const UNSEEN: [&str; 2] = ["Dead", "PrepareEpochFence"];

impl State {
    /// Its number in the log.
    #[must_use]
    pub fn number(self) -> i8 {
        TABLE.iter().find(|row| row.0 == self).map_or(-1, |row| row.1)
    }

    /// The state of a number.
    #[must_use]
    pub fn from_number(number: i8) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// The state of a name; none for one that no transaction is seen in.
    ///
    /// # Errors
    /// When there is no such name.
    pub fn from_name(name: &str) -> Result<Option<Self>, UnknownState> {
        let state = TABLE.iter().find(|row| row.2 == name).map(|row| row.0);
        if state.is_none() && !UNSEEN.contains(&name) {
            return Err(UnknownState);
        }
        Ok(state)
    }

    /// The state of a decision that not every partition knows.
    #[must_use]
    pub fn prepare(is_commit: bool) -> Self {
        if is_commit { Self::PrepareCommit } else { Self::PrepareAbort }
    }

    /// The state of a decision that every partition knows.
    #[must_use]
    pub fn complete(is_commit: bool) -> Self {
        if is_commit { Self::CompleteCommit } else { Self::CompleteAbort }
    }

    /// The decision whose markers are being written; true commits.
    #[must_use]
    pub fn decision(self) -> Option<bool> {
        match self {
            Self::PrepareCommit => Some(true),
            Self::PrepareAbort => Some(false),
            _ => None,
        }
    }

    /// The decision that every partition knows; true commits.
    #[must_use]
    pub fn outcome(self) -> Option<bool> {
        match self {
            Self::CompleteCommit => Some(true),
            Self::CompleteAbort => Some(false),
            _ => None,
        }
    }

    /// Whether nothing is open: a new transaction may begin, and an id may be forgotten.
    #[must_use]
    pub fn is_idle(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }

    /// Whether it may come after another one. An abort out of nothing is KIP-890's: a client that
    /// does not know whether anything was added ends the transaction all the same.
    #[must_use]
    pub fn may_follow(self, before: Self) -> bool {
        match self {
            Self::Empty => before.is_idle(),
            Self::Ongoing => before == Self::Ongoing || before.is_idle(),
            Self::PrepareCommit => before == Self::Ongoing,
            Self::PrepareAbort => before == Self::Ongoing || before.is_idle(),
            Self::CompleteCommit => before == Self::PrepareCommit,
            Self::CompleteAbort => before == Self::PrepareAbort,
        }
    }
}

/// A name that no state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownState;

#[cfg(test)]
mod tests {
    use super::*;

    /// A transaction could be decided twice, or a log of Kafka's be read as another state.
    #[test]
    fn states_follow_each_other_as_in_kafka() {
        use State::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};
        let before = |state: State| -> Vec<i8> {
            let may = TABLE.iter().filter(|row| state.may_follow(row.0));
            may.map(|row| row.1).collect()
        };
        assert_eq!(before(Empty), [0, 4, 5]);
        assert_eq!(before(Ongoing), [0, 1, 4, 5]);
        assert_eq!(before(PrepareCommit), [1]);
        assert_eq!(before(PrepareAbort), [0, 1, 4, 5]);
        assert_eq!(before(CompleteCommit), [2]);
        assert_eq!(before(CompleteAbort), [3]);
        for (state, number, name) in TABLE {
            assert_eq!(State::from_number(number), Some(state));
            assert_eq!(State::from_name(name), Ok(Some(state)));
            assert_eq!((state.number(), state.name()), (number, name));
        }
        assert_eq!(State::from_name("Dead"), Ok(None));
        assert_eq!(State::from_name("ongoing"), Err(UnknownState));
        assert_eq!(State::from_number(6), None);
    }
}
