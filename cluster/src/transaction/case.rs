//! What a request is decided on, and what a decision is.

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{ProducerId, Timestamp};

use super::known::{LAST_EPOCH, Transaction};
use super::request::Answer;
use super::settings::Settings;
use crate::coordinator::Producer;

/// What a request is decided on.
pub(super) struct Case<'a> {
    pub(super) now: Timestamp,
    pub(super) settings: &'a Settings,
    /// What is known of the transactional id.
    pub(super) known: Option<&'a Transaction>,
    /// The version of the request.
    pub(super) version: i16,
    pub(super) fresh_producer_id: Option<ProducerId>,
}

/// What is decided.
pub(super) enum Verdict {
    /// Nothing changes.
    Answer(Answer),
    /// The transaction changes, and that is the answer.
    Become(Transaction, Answer),
    /// The transaction is aborted, and the request waits for that.
    AbortAndWait(Transaction),
    /// The request waits for the markers that are being written.
    Wait,
}

/// Whether a producer is the holder of a transactional id (fact T5).
///
/// # Errors
/// INVALID_PRODUCER_ID_MAPPING where another id holds it, PRODUCER_FENCED where another epoch does.
pub(super) fn check_holder(known: &Transaction, producer: Producer) -> Result<(), ErrorCode> {
    let holder = known.holder();
    if producer.id != holder.id && producer.id != known.producer.id {
        return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    }
    // The last epoch is for fencing: who names it was never given it.
    if producer != holder || producer.epoch == LAST_EPOCH {
        return Err(ErrorCode::PRODUCER_FENCED);
    }
    Ok(())
}

/// PRODUCER_FENCED has not always been there: older clients know INVALID_PRODUCER_EPOCH.
pub(super) fn for_version(code: ErrorCode, version: i16, fenced_since: i16) -> ErrorCode {
    if code == ErrorCode::PRODUCER_FENCED && version < fenced_since {
        return ErrorCode::INVALID_PRODUCER_EPOCH;
    }
    code
}
