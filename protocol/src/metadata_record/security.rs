//! Records about ACLs, SCRAM credentials and delegation tokens.

use bytes::Bytes;

use crate::codec::Text;
use crate::ids::{Timestamp, Uuid};
use crate::message;

message! {
    /// An access control entry exists.
    pub struct AccessControlEntryRecord: 0..=0, flexible 0 {
        /// The id.
        id: Uuid [0..],
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The pattern's type: 3 literal, 4 prefixed.
        pattern_type: i8 [0..],
        /// The principal, such as `User:alice`.
        principal: Text [0..],
        /// The host.
        host: Text [0..],
        /// The operation.
        operation: i8 [0..],
        /// 2 deny, 3 allow; in filters 1 any.
        permission_type: i8 [0..],
    }

    /// An access control entry is gone.
    pub struct RemoveAccessControlEntryRecord: 0..=0, flexible 0 {
        /// The id.
        id: Uuid [0..],
    }

    /// A user's SCRAM credential is set.
    pub struct UserScramCredentialRecord: 0..=0, flexible 0 {
        /// The name.
        name: Text [0..],
        /// The mechanism.
        mechanism: i8 [0..],
        /// The salt.
        salt: Bytes [0..],
        /// The stored key.
        stored_key: Bytes [0..],
        /// The server's key.
        server_key: Bytes [0..],
        /// How often the hash is applied.
        iterations: i32 [0..],
    }

    /// A user's SCRAM credential is gone.
    pub struct RemoveUserScramCredentialRecord: 0..=0, flexible 0 {
        /// The name.
        name: Text [0..],
        /// The mechanism.
        mechanism: i8 [0..],
    }

    /// A delegation token exists.
    pub struct DelegationTokenRecord: 0..=0, flexible 0 {
        /// The owner.
        owner: Text [0..],
        /// Who asked for the token.
        requester: Text [0..],
        /// Who may renew it besides the owner.
        renewers: Vec<Text> [0..],
        /// When it was created.
        issue_timestamp: Timestamp [0..],
        /// When it expires at the latest.
        max_timestamp: Timestamp [0..],
        /// When it expires.
        expiration_timestamp: Timestamp [0..],
        /// The token's id.
        token_id: Text [0..],
    }

    /// A delegation token is gone.
    pub struct RemoveDelegationTokenRecord: 0..=0, flexible 0 {
        /// The token's id.
        token_id: Text [0..],
    }
}
