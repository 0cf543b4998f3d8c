//! EndTxn: a producer commits or aborts (facts T7, T8; KIP-890).
//!
//! The decision is made when its record is in the log, and the producer is told then; the markers
//! follow. Up to version 4 the epoch stays, so that a retry and the next end look alike. From
//! version 5 on each end raises the epoch:
//!
//! | state | abort, epoch before | abort, epoch now | commit, epoch before | commit, epoch now |
//! | --- | --- | --- | --- | --- |
//! | Empty | fenced | an empty abort | fenced | INVALID_TXN_STATE |
//! | CompleteAbort | done before | an empty abort | INVALID_TXN_STATE | INVALID_TXN_STATE |
//! | CompleteCommit | INVALID_TXN_STATE | an empty abort | done before | INVALID_TXN_STATE |
//!
//! While the markers are written, a retry is told again what was decided, and the end of the next
//! transaction waits; Kafka refuses both for the time being.

use milena_protocol::api::end_txn::{EndTxnRequest, EndTxnResponse};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{ProducerEpoch, ProducerId};

use super::case::{Case, Verdict, check_holder, for_version};
use super::known::{End, LAST_EPOCH, RAISES_EPOCH, Transaction, is_exhausted};
use super::request::Answer;
use super::rules::Rules;
use super::state::State;
use crate::coordinator::Producer;

/// The first version whose transactions raise the epoch.
const FIRST_TO_RAISE: i16 = 5;

pub(super) fn decide<R: Rules>(case: &Case<'_>, request: &EndTxnRequest) -> Verdict {
    let refuse = |code| Verdict::Answer(refused(case.version, code));
    if request.transactional_id.is_empty() {
        return refuse(ErrorCode::INVALID_REQUEST);
    }
    let Some(known) = case.known else { return refuse(ErrorCode::INVALID_PRODUCER_ID_MAPPING) };
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let raises = case.version >= FIRST_TO_RAISE;
    if raises && is_of_before(known, producer) {
        return Verdict::Answer(again(case, known, request.committed));
    }
    if let Err(code) = check_holder(known, producer) {
        return refuse(code);
    }
    match known.state {
        State::Ongoing => end::<R>(case, known, request.committed),
        _ if !raises => Verdict::Answer(again(case, known, request.committed)),
        State::PrepareCommit | State::PrepareAbort => Verdict::Wait,
        // Nothing was added, so there is nothing to commit; an abort clears up all the same.
        _ if request.committed => refuse(ErrorCode::INVALID_TXN_STATE),
        _ => end::<R>(case, known, false),
    }
}

/// Whether the producer had the epoch that ended with the last decision: it comes again. Where that
/// decision raised no epoch, the one before is another producer's, which must not get this one's.
fn is_of_before(known: &Transaction, producer: Producer) -> bool {
    let is_ended = known.state.decision().or(known.state.outcome()).is_some()
        && known.client_version >= RAISES_EPOCH;
    let epoch_after = producer.epoch.0.checked_add(1).map(ProducerEpoch);
    let is_raised = producer.id == known.producer.id && epoch_after == Some(known.producer.epoch);
    let is_rotated = producer.id == known.previous_producer_id
        && producer.id != known.producer.id
        && is_exhausted(producer.epoch)
        && known.producer.epoch == ProducerEpoch(0);
    is_ended && (is_raised || is_rotated)
}

/// What was decided before, told again; it cannot be decided in another way.
fn again(case: &Case<'_>, known: &Transaction, is_commit: bool) -> Answer {
    let decided = known.state.decision().or(known.state.outcome());
    if decided != Some(is_commit) {
        return refused(case.version, ErrorCode::INVALID_TXN_STATE);
    }
    // Fenced with the last epoch: what comes after it, only InitProducerId can say.
    if known.holder().epoch == LAST_EPOCH {
        return refused(case.version, ErrorCode::PRODUCER_FENCED);
    }
    accepted(known.holder())
}

fn end<R: Rules>(case: &Case<'_>, known: &Transaction, is_commit: bool) -> Verdict {
    let raises = case.version >= FIRST_TO_RAISE;
    let mut end = End {
        is_commit,
        version: if raises { RAISES_EPOCH } else { 0 },
        next_producer_id: ProducerId::NONE,
    };
    if raises && known.is_exhausted() {
        let Some(fresh) = case.fresh_producer_id else {
            return Verdict::Answer(Answer::NeedsProducerId);
        };
        end.next_producer_id = fresh;
    }
    let next = known.ended::<R>(end, case.now);
    let holder = next.holder();
    Verdict::Become(next, accepted(holder))
}

fn accepted(next: Producer) -> Answer {
    Answer::EndTransaction(EndTxnResponse {
        producer_id: next.id,
        producer_epoch: next.epoch,
        ..Default::default()
    })
}

pub(super) fn refused(version: i16, code: ErrorCode) -> Answer {
    Answer::EndTransaction(EndTxnResponse {
        error_code: for_version(code, version, 2),
        ..Default::default()
    })
}
