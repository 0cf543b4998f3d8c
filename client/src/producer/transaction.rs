//! Where a producer's transaction stands: what may be called now, and what becomes of errors. No
//! socket and no clock: `transact` asks the coordinator and says here what came of it.
//!
//! ```text
//! new ── init ──► ready ── begin ──► open ── commit, abort ──► ending ──► ready
//!                   ▲                  │ an error                │
//!                   │                  ▼                         ▼ a fence
//!                   └──── abort ── spoilt                       over
//! ```

use std::collections::BTreeSet;

use milena_protocol::error_code::ErrorCode;

use super::lane::{Identity, Key};
use crate::error::{ClientError, Refused};

/// How transactions are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Commit,
    Abort,
}

/// A producer's transactions.
#[derive(Debug, Default)]
pub struct Transaction {
    phase: Phase,
    identity: Option<Identity>,
    /// The broker raises the epoch with each transaction and adds partitions by itself (KIP-890).
    is_implicit: bool,
    /// The coordinator may know of the transaction: something was handed in that the broker adds by
    /// itself, or it was told.
    is_known: bool,
    /// Sequences may have a gap, so that an epoch that stays would not do.
    needs_epoch: bool,
    /// What the coordinator was told that the transaction writes to.
    added: BTreeSet<Key>,
}

#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    New,
    Ready,
    Open,
    /// Only an abort is possible.
    Spoilt(ClientError),
    /// The coordinator was asked and its answer may be missing: only the same may be asked again.
    Ending(End),
    Over(ClientError),
}

impl Transaction {
    /// Under which name batches are written now; none while no transaction is open.
    pub fn identity(&self) -> Option<Identity> {
        self.identity.filter(|_| matches!(self.phase, Phase::Open))
    }

    /// Under which name the coordinator is asked.
    ///
    /// # Errors
    /// Before the first [`Transaction::initialised`].
    pub fn name(&self) -> Result<Identity, ClientError> {
        self.identity.ok_or(misused("the transactions are not initialised"))
    }

    /// Whether the broker adds partitions by itself.
    pub fn is_implicit(&self) -> bool {
        self.is_implicit
    }

    /// Whether an epoch that stays the same cannot be used on.
    pub fn needs_epoch(&self) -> bool {
        self.needs_epoch && !self.is_implicit
    }

    /// Whether the producer may ask for its identity.
    ///
    /// # Errors
    /// When it has one, or is over.
    pub fn may_initialise(&self) -> Result<(), ClientError> {
        match &self.phase {
            Phase::New => Ok(()),
            Phase::Over(error) => Err(error.clone()),
            _ => Err(misused("the transactions are initialised already")),
        }
    }

    /// The producer has an identity.
    pub fn initialised(&mut self, identity: Identity, is_implicit: bool) {
        self.identity = Some(identity);
        self.is_implicit = is_implicit;
        self.needs_epoch = false;
        self.phase = Phase::Ready;
    }

    /// Opens a transaction.
    ///
    /// # Errors
    /// When one is open, or none may be.
    pub fn begin(&mut self) -> Result<(), ClientError> {
        match &self.phase {
            Phase::Ready => {
                self.phase = Phase::Open;
                Ok(())
            }
            Phase::New => Err(misused("the transactions are not initialised")),
            Phase::Over(error) => Err(error.clone()),
            Phase::Open | Phase::Spoilt(_) | Phase::Ending(_) => {
                Err(misused("a transaction is open already"))
            }
        }
    }

    /// Takes something into the transaction.
    ///
    /// # Errors
    /// When none is open, or it can only be aborted.
    pub fn take(&mut self) -> Result<(), ClientError> {
        match &self.phase {
            Phase::Open => {
                self.is_known |= self.is_implicit;
                Ok(())
            }
            Phase::Spoilt(error) | Phase::Over(error) => Err(error.clone()),
            Phase::New | Phase::Ready | Phase::Ending(_) => Err(misused("no transaction is open")),
        }
    }

    /// Something of the transaction failed: it can only be aborted, or the producer is over.
    pub fn spoil(&mut self, error: &ClientError) {
        if error.ends_producer() {
            self.phase = Phase::Over(error.clone());
        } else if matches!(self.phase, Phase::Open | Phase::Ending(End::Commit)) {
            self.needs_epoch = true;
            self.phase = Phase::Spoilt(error.clone());
        }
    }

    /// Why the transaction can only be aborted, if that is so, or the producer is over.
    pub fn spoilt(&self) -> Option<ClientError> {
        match &self.phase {
            Phase::Spoilt(error) | Phase::Over(error) => Some(error.clone()),
            Phase::New | Phase::Ready | Phase::Open | Phase::Ending(_) => None,
        }
    }

    /// Whether a transaction may be ended like this now. Says whether the coordinator has to be
    /// asked: it knows nothing of a transaction without content.
    ///
    /// # Errors
    /// When none is open, it cannot be committed any more, or the producer is over.
    pub fn end(&mut self, end: End) -> Result<bool, ClientError> {
        match (&self.phase, end) {
            (Phase::Over(error), _) | (Phase::Spoilt(error), End::Commit) => {
                return Err(error.clone());
            }
            (Phase::Open | Phase::Spoilt(_), _) => {}
            (Phase::Ending(before), end) if *before == end => {}
            (Phase::Ending(_), _) => {
                return Err(misused("the transaction is being ended in another way"));
            }
            (Phase::New | Phase::Ready, _) => return Err(misused("no transaction is open")),
        }
        self.phase = Phase::Ending(end);
        Ok(self.is_known)
    }

    /// The transaction is ended; batches are written under a new name from now on, if there is one.
    pub fn ended(&mut self, next: Option<Identity>) {
        self.identity = next.or(self.identity);
        self.is_known = false;
        self.added.clear();
        self.phase = Phase::Ready;
    }

    /// Whether a partition may be written to.
    pub fn has(&self, key: &Key) -> bool {
        self.is_implicit || self.added.contains(key)
    }

    /// The coordinator knows that the transaction writes to these, or commits offsets where there
    /// are none.
    pub fn add(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.is_known = true;
        self.added.extend(keys);
    }
}

fn misused(what: &'static str) -> ClientError {
    ClientError::Misused { what }
}

/// What a coordinator's refusal means: one of an old epoch is a fence, whatever it is called.
pub fn refused(refused: Refused, what: &str) -> ClientError {
    let code = match refused.code {
        ErrorCode::INVALID_PRODUCER_EPOCH => ErrorCode::PRODUCER_FENCED,
        code => code,
    };
    Refused { code, message: refused.message }.of(what)
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::{ProducerEpoch, ProducerId};

    use super::*;

    const FIRST: Identity =
        Identity { producer_id: ProducerId(7), producer_epoch: ProducerEpoch(0) };
    const NEXT: Identity =
        Identity { producer_id: ProducerId(7), producer_epoch: ProducerEpoch(1) };

    fn ready() -> Transaction {
        let mut transaction = Transaction::default();
        transaction.initialised(FIRST, true);
        transaction
    }

    fn error(code: ErrorCode) -> ClientError {
        refused(Refused { code, message: None }, "writing")
    }

    /// Records would be written outside of any transaction, or under an epoch that is over.
    #[test]
    fn records_belong_to_an_open_transaction() {
        let mut transaction = Transaction::default();
        assert!(transaction.begin().is_err() && transaction.take().is_err());
        transaction.initialised(FIRST, true);
        assert!(transaction.may_initialise().is_err());
        assert!(transaction.take().is_err() && transaction.identity().is_none());
        transaction.begin().unwrap();
        assert_eq!(transaction.identity(), Some(FIRST));
        assert!(transaction.begin().is_err());
        transaction.take().unwrap();
        assert!(transaction.end(End::Commit).unwrap());
        assert!(transaction.identity().is_none(), "it is being ended");
        transaction.ended(Some(NEXT));
        transaction.begin().unwrap();
        assert_eq!(transaction.identity(), Some(NEXT));
        assert!(!transaction.end(End::Abort).unwrap(), "nobody knows of it");
    }

    /// A transaction with a hole would be committed.
    #[test]
    fn a_transaction_that_lost_something_can_only_be_aborted() {
        let mut transaction = ready();
        transaction.begin().unwrap();
        transaction.take().unwrap();
        transaction.spoil(&error(ErrorCode::MESSAGE_TOO_LARGE));
        assert!(transaction.take().is_err() && transaction.identity().is_none());
        assert!(transaction.end(End::Commit).is_err());
        assert!(transaction.end(End::Abort).unwrap());
        transaction.ended(Some(NEXT));
        transaction.begin().unwrap();
        transaction.take().unwrap();
    }

    /// A commit without an answer would be followed by an abort of what may be committed.
    #[test]
    fn an_end_without_an_answer_is_asked_for_again() {
        let mut transaction = ready();
        transaction.begin().unwrap();
        transaction.take().unwrap();
        assert!(transaction.end(End::Commit).unwrap());
        assert!(transaction.end(End::Abort).is_err());
        assert!(transaction.end(End::Commit).unwrap());
    }

    /// A producer whose place was taken would write on beside the other one.
    #[test]
    fn a_fenced_producer_is_over() {
        let mut transaction = ready();
        transaction.begin().unwrap();
        transaction.spoil(&error(ErrorCode::INVALID_PRODUCER_EPOCH));
        for refused in [
            transaction.take().unwrap_err(),
            transaction.end(End::Abort).unwrap_err(),
            transaction.begin().unwrap_err(),
            transaction.may_initialise().unwrap_err(),
        ] {
            assert_eq!(refused.code(), Some(ErrorCode::PRODUCER_FENCED));
        }
    }

    /// A broker of before KIP-890 would refuse partitions that it was not told of.
    #[test]
    fn partitions_are_added_anew_in_each_transaction() {
        let key: Key = ("t".into(), 0.into());
        let mut transaction = Transaction::default();
        transaction.initialised(FIRST, false);
        transaction.begin().unwrap();
        assert!(!transaction.has(&key));
        transaction.take().unwrap();
        assert!(!transaction.end(End::Abort).unwrap(), "such a broker knows of nothing to abort");
        transaction.ended(None);
        transaction.begin().unwrap();
        transaction.add([key.clone()]);
        assert!(transaction.has(&key) && transaction.end(End::Commit).unwrap());
        transaction.ended(None);
        assert!(!transaction.has(&key));
        assert!(ready().has(&key), "a newer one adds them by itself");
    }
}
