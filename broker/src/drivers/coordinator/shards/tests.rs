//! Coordinators of a topic one of whose partitions cannot be read.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use milena_cluster::configs::Values;
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp};
use milena_protocol::metadata_record::{MetadataRecord, PartitionRecord, TopicRecord};
use milena_protocol::record::{BatchBuilder, BatchOptions};
use milena_storage::{DirectoryOptions, LogDirectory, RealDisk, RecordValidation};

use super::super::shard::tests::Echo;
use super::*;
use crate::metadata::Published;
use crate::peers::ActiveController;
use crate::replicas::Replicas;

const TOPIC: &str = "t";
const TOPIC_ID: Uuid = Uuid::from_u128(9 << 64);
/// Where a batch says how its records are compressed.
const CODEC_AT: u64 = 22;

/// A topic of two partitions.
fn ground(root: &Path) -> Ground {
    let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(NodeId(1)) };
    let directory = LogDirectory::open(root, options, Arc::new(RealDisk)).unwrap();
    let mut image = MetadataImage::default();
    let topic = TopicRecord { name: TOPIC.into(), topic_id: TOPIC_ID };
    let partition = |index| PartitionRecord {
        partition_id: PartitionIndex(index),
        topic_id: TOPIC_ID,
        replicas: vec![NodeId(1)],
        isr: vec![NodeId(1)],
        leader: NodeId(1),
        leader_epoch: LeaderEpoch(0),
        ..Default::default()
    };
    let records = [
        MetadataRecord::Topic(topic),
        MetadataRecord::Partition(partition(0)),
        MetadataRecord::Partition(partition(1)),
    ];
    for (offset, record) in (0..).zip(&records) {
        image.replay(Offset(offset), LeaderEpoch(1), record).unwrap();
    }
    let directories = vec![Arc::new(directory)];
    let validation = RecordValidation::Records;
    let replicas = Replicas::new(NodeId(1), Values::default(), validation, directories);
    let image = Arc::new(image);
    replicas.apply(&image, &Changes::between(&MetadataImage::default(), &image));
    Ground {
        metadata: Arc::new(Published::new(image)),
        replicas: Arc::new(replicas),
        controller: Arc::new(ActiveController::to_nobody(NodeId(1))),
    }
}

/// One damaged partition hid the groups of all others, kept the offsets of deleted topics in all of
/// them, and was read from its beginning again for every request.
#[tokio::test(start_paused = true)]
async fn a_partition_that_cannot_be_read_is_in_nobodys_way() {
    let root = tempfile::tempdir().unwrap();
    let ground = ground(root.path());
    let partition = ground.replicas.leading(&TOPIC_ID, PartitionIndex(0)).unwrap();
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.append(Timestamp(1), Some(b"k"), None, &[]);
    let (batch, epoch) = (batch.build().unwrap(), LeaderEpoch(0));
    partition.append_as_coordinator(&batch, epoch, Timestamp(1)).unwrap();
    let path = root.path().join("t-0").join("00000000000000000000.log");
    let log = std::fs::File::options().write(true).open(path).unwrap();
    log.write_all_at(&[7], CODEC_AT).unwrap();

    let tries = Arc::new(AtomicUsize::new(0));
    let tried = Arc::clone(&tries);
    let topic = InternalTopic {
        name: TOPIC,
        partitions: 2,
        replication_factor: 1,
        configs: Vec::new(),
        commit_timeout: Duration::ZERO,
    };
    let make = move |partition: &Partition| {
        if partition.index() == PartitionIndex(0) {
            tried.fetch_add(1, Ordering::Relaxed);
        }
        Echo
    };
    let shards = Shards::new(topic, ground, make, |_, _| {});
    for _ in 0..2 {
        let All { shards: found, missing } = shards.all().await;
        let found: Vec<_> = found.iter().map(|shard| shard.partition().index()).collect();
        assert_eq!(found, [PartitionIndex(1)]);
        assert_eq!(missing, Some(ErrorCode::COORDINATOR_NOT_AVAILABLE));
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }
    log.write_all_at(&[0], CODEC_AT).unwrap();
    tokio::time::advance(FAILED_LOAD_PAUSE).await;
    let All { shards: found, missing } = shards.all().await;
    assert_eq!((found.len(), missing), (2, None));
}
