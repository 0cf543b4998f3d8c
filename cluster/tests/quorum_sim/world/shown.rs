//! What a transcript shows of an input.

use std::fmt;

use milena_cluster::quorum::{Envelope, Fetched, Input, Message, ResponseBody};

/// An input in a line of a transcript.
pub(super) struct Shown<'a>(pub &'a Input);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Input::Receive(Envelope { peer, message: Message::Request(request), .. }) => {
                write!(f, "< {peer} {request:?}")
            }
            Input::Receive(Envelope { peer, message: Message::Response(response), .. }) => {
                match &response.body {
                    ResponseBody::Fetch(Fetched::Batches { high_watermark, batches }) => write!(
                        f,
                        "< {peer} {} batches, high watermark {high_watermark:?}",
                        batches.len()
                    ),
                    body => write!(f, "< {peer} {} {body:?}", response.error.0),
                }
            }
            input => write!(f, "{input:?}"),
        }
    }
}
