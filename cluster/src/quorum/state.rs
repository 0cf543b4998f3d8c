//! The persisted state of a quorum's member: epoch, vote and leader, as Kafka's `quorum-state`.
//!
//! JSON of version 1, one line. `crc` is ours: CRC-32 (IEEE) is not Kafka's, and Kafka ignores it.
//! The driver replaces the file atomically and syncs it before anything that depends on it leaves.

use milena_protocol::ids::{LeaderEpoch, NodeId, Uuid};

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

impl QuorumState {
    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!(
            "{{\"leaderId\":{},\"leaderEpoch\":{},\"votedId\":{},\"votedDirectoryId\":\"{}\",\
             \"data_version\":1}}",
            self.leader_id, self.leader_epoch, self.voted_id, self.voted_directory_id
        )
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`BadQuorumState`].
    pub fn parse(text: &str) -> Result<Self, BadQuorumState> {
        let number = |key: &str| {
            let text = field(text, key).ok_or(BadQuorumState)?;
            text.parse::<i32>().map_err(|_| BadQuorumState)
        };
        let directory = field(text, "votedDirectoryId").ok_or(BadQuorumState)?;
        Ok(Self {
            leader_id: NodeId(number("leaderId")?),
            leader_epoch: LeaderEpoch(number("leaderEpoch")?),
            voted_id: NodeId(number("votedId")?),
            voted_directory_id: Uuid::parse(directory.trim_matches('"')).ok_or(BadQuorumState)?,
        })
    }
}

/// The value behind a key of a flat JSON object.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let start = text.find(&format!("\"{key}\""))?;
    let (_, rest) = text.get(start..)?.split_once(':')?;
    let end = rest.find([',', '}'])?;
    rest.get(..end).map(str::trim)
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
}
