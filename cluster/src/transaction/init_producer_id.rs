//! InitProducerId with a transactional id: whoever asks becomes its producer, and the one before is
//! fenced (facts T2–T4; KIP-360).
//!
//! An open transaction is aborted first. Where Kafka answers CONCURRENT_TRANSACTIONS then, the
//! request waits for the markers here.

use milena_protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{ProducerEpoch, ProducerId};

use super::case::{Case, Verdict, for_version};
use super::known::{LAST_EPOCH, Transaction, is_exhausted};
use super::request::Answer;
use super::rules::Rules;
use super::state::State;
use crate::coordinator::Producer;

pub(super) fn decide<R: Rules>(case: &Case<'_>, request: &InitProducerIdRequest) -> Verdict {
    let refuse = |code| Verdict::Answer(refused(case.version, code));
    if request.transactional_id.as_ref().is_none_or(|id| id.is_empty()) {
        return refuse(ErrorCode::INVALID_REQUEST);
    }
    if request.transaction_timeout_ms <= 0
        || request.transaction_timeout_ms > case.settings.max_timeout_ms
    {
        return refuse(ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    }
    let Ok(expected) = expected(request) else { return refuse(ErrorCode::INVALID_REQUEST) };
    let timeout_ms = request.transaction_timeout_ms;
    let Some(known) = case.known else {
        let first = |fresh| Transaction::first(fresh, timeout_ms, case.now);
        return with_fresh(case, |fresh| given(first(fresh)));
    };
    if known.state.decision().is_some() {
        return Verdict::Wait;
    }
    if expected.is_some_and(|expected| !may_hold(known, expected)) {
        return refuse(ErrorCode::PRODUCER_FENCED);
    }
    if known.state == State::Ongoing {
        return match expected {
            Some(expected) if expected != known.producer => {
                // What comes late from before the transaction began must not abort it.
                let is_late = expected.epoch == known.last_epoch;
                let late = || Verdict::Answer(granted(known.producer));
                if is_late { late() } else { refuse(ErrorCode::PRODUCER_FENCED) }
            }
            _ => {
                let version = case.settings.transaction_version;
                Verdict::AbortAndWait(known.fenced::<R>(version, case.now))
            }
        };
    }
    next_epoch::<R>(case, known, expected, timeout_ms)
}

/// The producer that the request means to go on as.
fn expected(request: &InitProducerIdRequest) -> Result<Option<Producer>, ()> {
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    match (producer.id == ProducerId::NONE, producer.epoch == ProducerEpoch::NONE) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(producer)),
        _ => Err(()),
    }
}

/// Whether the id may still be the producer's: it is the current one, or the one before whose last
/// epoch was given up for it.
fn may_hold(known: &Transaction, expected: Producer) -> bool {
    expected.id == known.producer.id
        || (expected.id == known.previous_producer_id && is_exhausted(expected.epoch))
}

/// Raises the epoch, or begins with another id where no epoch is left.
fn next_epoch<R: Rules>(
    case: &Case<'_>,
    known: &Transaction,
    expected: Option<Producer>,
    timeout_ms: i32,
) -> Verdict {
    let current = known.producer;
    let last_epoch =
        if R::may_ask_again(expected.is_some()) { current.epoch } else { ProducerEpoch::NONE };
    let becomes =
        |producer, last_epoch| given(known.taken(producer, last_epoch, timeout_ms, case.now));
    let raised =
        Producer { id: current.id, epoch: ProducerEpoch(current.epoch.0.saturating_add(1)) };
    match expected.map(|expected| expected.epoch) {
        Some(epoch) if epoch != current.epoch && epoch != known.last_epoch => {
            Verdict::Answer(refused(case.version, ErrorCode::PRODUCER_FENCED))
        }
        // The answer was lost, and the request comes again: nobody else has had that epoch.
        Some(epoch) if epoch != current.epoch && current.epoch != LAST_EPOCH => {
            becomes(current, known.last_epoch)
        }
        _ if known.is_exhausted() => with_fresh(case, |fresh| {
            becomes(Producer { id: fresh, epoch: ProducerEpoch(0) }, last_epoch)
        }),
        _ => becomes(raised, last_epoch),
    }
}

fn with_fresh(case: &Case<'_>, then: impl FnOnce(ProducerId) -> Verdict) -> Verdict {
    case.fresh_producer_id.map_or(Verdict::Answer(Answer::NeedsProducerId), then)
}

fn given(transaction: Transaction) -> Verdict {
    let producer = transaction.producer;
    Verdict::Become(transaction, granted(producer))
}

fn granted(producer: Producer) -> Answer {
    Answer::InitProducerId(InitProducerIdResponse {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        ..Default::default()
    })
}

pub(super) fn refused(version: i16, code: ErrorCode) -> Answer {
    Answer::InitProducerId(InitProducerIdResponse {
        error_code: for_version(code, version, 4),
        producer_epoch: ProducerEpoch::NONE,
        ..Default::default()
    })
}
