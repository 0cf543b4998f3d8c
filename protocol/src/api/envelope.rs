//! Envelope (58), version 0: a broker forwards a client's request to the controller (KIP-590).

use bytes::Bytes;

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The request of another.
    pub struct EnvelopeRequest: 0..=0, flexible 0 {
        /// The forwarded request, its header included.
        request_data: Bytes [0..],
        /// On whose behalf, as bytes.
        request_principal: Option<Bytes> [0.., nullable 0..],
        /// The client's address, as raw bytes.
        client_host_address: Bytes [0..],
    }

    /// The answer for another.
    pub struct EnvelopeResponse: 0..=0, flexible 0 {
        /// The answer, its header included; null when there is an error.
        response_data: Option<Bytes> [0.., nullable 0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }

    /// A principal, as brokers write it for one another into an envelope.
    pub struct DefaultPrincipalData: 0..=0, flexible 0 {
        /// The principal's type, such as `User`.
        principal_type: Text [0..],
        /// The name.
        name: Text [0..],
        /// Whether it authenticated by delegation token.
        token_authenticated: bool [0..],
    }
}

request!(Envelope, EnvelopeRequest => EnvelopeResponse);
