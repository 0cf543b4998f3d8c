//! The persisted state of a quorum's member: epoch, vote and leader, as Kafka's `quorum-state`.
//!
//! One line of JSON with Kafka's fields of data version 1, and a checksum of ours that Kafka skips:
//! CRC-32 over the line without it. The driver replaces the file atomically and syncs it before
//! anything that depends on it leaves.
//!
//! | field | meaning |
//! | --- | --- |
//! | `leaderId` | the leader of the epoch, −1 unknown |
//! | `leaderEpoch` | the highest epoch seen |
//! | `votedId`, `votedDirectoryId` | who got this member's vote in the epoch, −1 nobody |
//! | `data_version` | 1; version 0, without directory ids, is read too |
//! | `crc32` | the checksum; a file of Kafka's has none and is believed |

use milena_protocol::ids::{LeaderEpoch, NodeId, Uuid};
use serde::{Deserialize, Serialize};

/// What a member must not forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// The leader of the epoch; −1 unknown.
    pub leader_id: NodeId,
    /// The highest epoch seen.
    pub leader_epoch: LeaderEpoch,
    /// Whom this member voted for in that epoch; −1 nobody.
    pub voted_id: NodeId,
    /// The directory of the candidate voted for.
    pub voted_directory_id: Uuid,
}

impl Default for QuorumState {
    fn default() -> Self {
        Self {
            leader_id: NodeId::NONE,
            leader_epoch: LeaderEpoch(0),
            voted_id: NodeId::NONE,
            voted_directory_id: Uuid::ZERO,
        }
    }
}

/// Why a file is no quorum state. Without it a member could vote twice, so it refuses to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadQuorumState;

impl std::fmt::Display for BadQuorumState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the quorum state file is damaged")
    }
}

impl std::error::Error for BadQuorumState {}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    leader_id: i32,
    leader_epoch: i32,
    voted_id: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voted_directory_id: Option<String>,
    #[serde(rename = "data_version")]
    data_version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc32: Option<u32>,
}

impl Json {
    fn line(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are always JSON")
    }
}

/// The version that is written.
const DATA_VERSION: i64 = 1;

impl QuorumState {
    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut json = Json {
            leader_id: self.leader_id.0,
            leader_epoch: self.leader_epoch.0,
            voted_id: self.voted_id.0,
            voted_directory_id: Some(self.voted_directory_id.to_string()),
            data_version: DATA_VERSION,
            crc32: None,
        };
        json.crc32 = Some(crc32fast::hash(json.line().as_bytes()));
        json.line()
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`BadQuorumState`].
    pub fn parse(text: &str) -> Result<Self, BadQuorumState> {
        let mut json: Json = serde_json::from_str(text).map_err(|_| BadQuorumState)?;
        let is_known = (0..=DATA_VERSION).contains(&json.data_version);
        let stored = json.crc32.take();
        if !is_known || stored.is_some_and(|crc| crc != crc32fast::hash(json.line().as_bytes())) {
            return Err(BadQuorumState);
        }
        let voted_directory_id = match json.voted_directory_id.as_deref() {
            None => Uuid::ZERO,
            Some(id) => Uuid::parse(id).ok_or(BadQuorumState)?,
        };
        Ok(Self {
            leader_id: NodeId(json.leader_id),
            leader_epoch: LeaderEpoch(json.leader_epoch),
            voted_id: NodeId(json.voted_id),
            voted_directory_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member would forget its vote over a restart.
    #[test]
    fn text_and_back() {
        let state = QuorumState {
            leader_id: NodeId(1),
            leader_epoch: LeaderEpoch(7),
            voted_id: NodeId(1),
            voted_directory_id: Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788),
        };
        assert_eq!(QuorumState::parse(&state.to_text()), Ok(state));
        assert_eq!(QuorumState::parse("{}"), Err(BadQuorumState));
    }

    /// A damaged vote would be believed, and the member could vote twice.
    #[test]
    fn a_damaged_vote_is_refused() {
        let text = QuorumState { voted_id: NodeId(3), ..Default::default() }.to_text();
        let bent = text.replace(r#""votedId":3"#, r#""votedId":4"#);
        assert!(QuorumState::parse(&text).is_ok());
        assert_eq!(QuorumState::parse(&bent), Err(BadQuorumState));
        assert_eq!(QuorumState::parse(&text[..text.len() - 1]), Err(BadQuorumState));
    }

    /// A directory of Kafka's would not open here.
    #[test]
    fn kafkas_files_are_read() {
        let text = r#"{"leaderId":1,"leaderEpoch":4,"votedId":-1,
            "votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
        let expected = QuorumState {
            leader_id: NodeId(1),
            leader_epoch: LeaderEpoch(4),
            ..Default::default()
        };
        assert_eq!(QuorumState::parse(text), Ok(expected.clone()));
        let old = r#"{"clusterId":"","leaderId":1,"leaderEpoch":4,"votedId":-1,"appliedOffset":0,
            "currentVoters":[{"voterId":1}],"data_version":0}"#;
        assert_eq!(QuorumState::parse(old), Ok(expected));
        let newer = text.replace(r#""data_version":1"#, r#""data_version":2"#);
        assert_eq!(QuorumState::parse(&newer), Err(BadQuorumState));
    }
}
