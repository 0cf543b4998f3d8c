//! Requests that the active controller decides on: read, decided, told.

#[cfg(test)]
mod tests;

use milena_protocol::api::Request;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use crate::controller::{Controller, Decision, Refused, Sessions};
use crate::time::Now;

/// An API that the active controller answers, in all its versions. Who may ask, and in which
/// cluster, the driver has checked.
pub trait Decided: Request {
    /// What is decided on it.
    type Answer;

    /// Decides on what is asked.
    fn ask(
        &self,
        now: Now,
        controller: &Controller,
        sessions: &mut Sessions,
    ) -> Decision<Result<Self::Answer, Refused>>;

    /// Tells what was decided.
    fn tell(&self, answer: Self::Answer) -> Self::Response;

    /// Tells that the request was refused as a whole.
    fn refuse(refused: Refused) -> Self::Response;

    /// The records that follow from a request, and the answer that is let go once they are
    /// committed.
    fn decide(
        &self,
        now: Now,
        controller: &Controller,
        sessions: &mut Sessions,
    ) -> Decision<Self::Response> {
        let Decision { records, answer } = self.ask(now, controller, sessions);
        let answer = match answer {
            Ok(answer) => self.tell(answer),
            Err(refused) => Self::refuse(refused),
        };
        Decision { records, answer }
    }

    /// The answer where nothing could be decided, for a reason of the driver's.
    fn fail(code: ErrorCode) -> Self::Response {
        Self::refuse(Refused::new(code, ""))
    }
}

/// The code of a part of an answer, and the sentence that goes with it.
pub(super) fn outcome<T>(result: &Result<T, Refused>) -> (ErrorCode, Option<Text>) {
    match result {
        Ok(_) => (ErrorCode::NONE, None),
        Err(refused) => (refused.code, sentence(refused)),
    }
}

/// What a refusal says to people.
pub(super) fn sentence(refused: &Refused) -> Option<Text> {
    (!refused.message.is_empty()).then(|| refused.message.as_str().into())
}

/// An answer, or the code that stands in place of it.
pub(super) fn checked<T>(code: ErrorCode, answer: T) -> Result<T, ErrorCode> {
    if code.is_none() { Ok(answer) } else { Err(code) }
}
