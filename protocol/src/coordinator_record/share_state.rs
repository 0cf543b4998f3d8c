//! Records of `__share_group_state` (KIP-932).

use crate::codec::Text;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp, Uuid};
use crate::message;

message! {
    /// Key of a whole state of a share partition (0).
    pub struct ShareSnapshotKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The topic's id.
        topic_id: Uuid [0..=0],
        /// The partition.
        partition: PartitionIndex [0..=0],
    }

    /// The whole state of a share partition.
    pub struct ShareSnapshotValue: 0..=0, flexible 0 {
        /// Counts the snapshots of the state.
        snapshot_epoch: i32 [0..],
        /// The epoch of the share partition's state.
        state_epoch: i32 [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// The first offset still to be delivered; −1 not known yet.
        start_offset: Offset [0..],
        /// Records past the start offset that need no delivery any more; −1 unknown.
        delivery_complete_count: i32 [0.., tag 0, default -1],
        /// When the state was created.
        create_timestamp: Timestamp [0..],
        /// When it was written.
        write_timestamp: Timestamp [0..],
        /// The states of ranges of records.
        state_batches: Vec<ShareSnapshotStateBatch> [0..],
    }

    /// The state of a range of records.
    pub struct ShareSnapshotStateBatch {
        /// The first offset.
        first_offset: Offset [0..],
        /// The last offset, inclusive.
        last_offset: Offset [0..],
        /// 0 available, 2 acknowledged, 4 archived.
        delivery_state: i8 [0..],
        /// How often it was delivered.
        delivery_count: i16 [0..],
    }

    /// Key of a change to a share partition (1).
    pub struct ShareUpdateKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The topic's id.
        topic_id: Uuid [0..=0],
        /// The partition.
        partition: PartitionIndex [0..=0],
    }

    /// A change to the state of a share partition since its snapshot.
    pub struct ShareUpdateValue: 0..=0, flexible 0 {
        /// Counts the snapshots of the state.
        snapshot_epoch: i32 [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// The first offset still to be delivered; −1 not known yet.
        start_offset: Offset [0..],
        /// Records past the start offset that need no delivery any more; −1 unknown.
        delivery_complete_count: i32 [0.., tag 0, default -1],
        /// The states of ranges of records.
        state_batches: Vec<ShareUpdateStateBatch> [0..],
    }

    /// The state of a range of records.
    pub struct ShareUpdateStateBatch {
        /// The first offset.
        first_offset: Offset [0..],
        /// The last offset, inclusive.
        last_offset: Offset [0..],
        /// 0 available, 2 acknowledged, 4 archived.
        delivery_state: i8 [0..],
        /// How often it was delivered.
        delivery_count: i16 [0..],
    }
}
