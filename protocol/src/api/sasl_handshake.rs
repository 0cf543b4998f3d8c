//! SaslHandshake (17), versions 0–1: chooses a SASL mechanism.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The mechanism that the client wants.
    pub struct SaslHandshakeRequest: 0..=1, flexible none {
        /// The mechanism.
        mechanism: Text [0..],
    }

    /// Whether it is available, and which are.
    pub struct SaslHandshakeResponse: 0..=1, flexible none {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The mechanisms available.
        mechanisms: Vec<Text> [0..],
    }
}

request!(SaslHandshake, SaslHandshakeRequest => SaslHandshakeResponse);
