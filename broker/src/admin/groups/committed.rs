//! What a group has committed, as OffsetFetch tells it.

use milena_protocol::api::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use milena_protocol::ids::{Offset, Uuid};

use crate::admin::call::Call;
use crate::admin::elsewhere::Asked;
use crate::admin::error::Failure;
use crate::handlers::offset_fetch;
use crate::lag::Committed;
use crate::security::Operation;

/// The last version that names topics; later ones give their ids, and leave out those that are
/// gone.
const NAMES_TOPICS: i16 = 9;

impl Call {
    /// The offsets of a group, by topic and partition. A group that is not there has none.
    ///
    /// # Errors
    /// Why its coordinator does not answer.
    pub(super) async fn committed(&self, group: &str) -> Result<Vec<Committed>, Failure> {
        if !self.keeps_groups() {
            return Ok(Vec::new());
        }
        let asked = OffsetFetchRequestGroup { group_id: group.into(), ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![asked], ..Default::default() };
        let asked = Asked { request, version: NAMES_TOPICS };
        let right = (Operation::Describe, group);
        let response = self.coordinate(right, asked, offset_fetch::handle).await?;
        let mut committed = Vec::new();
        for group in response.groups {
            Failure::unless_none(group.error_code, None)?;
            for topic in group.topics {
                for found in topic.partitions {
                    Failure::unless_none(found.error_code, None)?;
                    committed.push(Committed {
                        topic: topic.name.clone(),
                        topic_id: Uuid::ZERO,
                        partition: found.partition_index,
                        offset: found.committed_offset,
                    });
                }
            }
        }
        committed.retain(|one| one.offset != Offset::NONE);
        Ok(committed)
    }
}
