//! What becomes of the partitions of a process that another one comes for.

use milena_protocol::ids::NodeId;
use milena_protocol::metadata_record::MetadataRecord;

use super::elections::change;
use super::features::ELIGIBLE_LEADERS;
use super::machine::Controller;
use crate::metadata::image::PartitionImage;

impl Controller {
    /// What becomes of partitions that others could lead or are in sync with too. What a broker
    /// held alone stays as it is.
    pub(super) fn without_company(&self, gone: NodeId) -> Vec<MetadataRecord> {
        let has_company = |partition: &PartitionImage| {
            let takes_part = partition.leader == gone || partition.isr.contains(&gone);
            takes_part && partition.isr.iter().any(|id| *id != gone)
        };
        self.without_where(gone, has_company, false)
    }

    /// What becomes of the partitions of a broker that may have lost records: where leaders are
    /// eligible outside of the ISR (KIP-966), it is not until it has caught up. Elsewhere whoever
    /// is the last in sync stays, as if it had only gone.
    pub(super) fn without_lossy_broker(&self, gone: NodeId) -> Vec<MetadataRecord> {
        if self.image.feature(ELIGIBLE_LEADERS) == 0 {
            return self.without_broker(gone);
        }
        let takes_part = |partition: &PartitionImage| {
            partition.leader == gone
                || partition.isr.contains(&gone)
                || partition.elr.contains(&gone)
        };
        self.without_where(gone, takes_part, true)
    }

    fn without_where(
        &self,
        gone: NodeId,
        is_meant: impl Fn(&PartitionImage) -> bool,
        is_lossy: bool,
    ) -> Vec<MetadataRecord> {
        let with_elr = self.image.feature(ELIGIBLE_LEADERS) > 0;
        let mut records = Vec::new();
        for topic in self.image.topics() {
            for (index, partition) in topic.partitions().filter(|(_, it)| is_meant(it)) {
                let mut target = self.target_without(topic, partition, gone, with_elr);
                if is_lossy {
                    target.elr.retain(|id| *id != gone);
                }
                records.extend(change(topic, index, partition, &target));
            }
        }
        records
    }
}
