//! What a data directory remembers of its logs, in a few files for all of them together.
//!
//! | file | line | what it bounds | survives |
//! |---|---|---|---|
//! | `recovery-point-offset-checkpoint` | topic partition offset | everything below is on the medium | power |
//! | `log-start-offset-checkpoint` | topic partition offset | first readable offset | power |
//! | `replication-offset-checkpoint` | topic partition offset | high watermark | power |
//! | `cleaner-offset-checkpoint` | topic partition offset | compaction was through with everything below | power |
//! | `milena-tail-checkpoint` | see below | everything below was whole when the line was written | process |
//!
//! The first four are Kafka's. The last is ours: after a kill -9 the page cache is still what it
//! was, so a log needs to be looked at only behind the place that was last written here. Its first
//! line is `milena 1 BOOT MOUNT CRC`: the kernel's boot id, the mount's id, and the CRC-32 of the
//! rest; under another kernel or mount the file says nothing. The rest is a checkpoint of lines
//! `topic partition topicId offset segment position producers timestamp offset`: up to `offset` the
//! log was whole, which is byte `position` of segment `segment`; producers is 1 if a file of
//! producers lies at `offset` and 0 if there was no producer; then the segment's largest timestamp
//! and the last offset of its batch.
//!
//! Lines of the first three say nothing of the topic's id. So a log whose name had one before it
//! may take records only after the older log's lines are gone from the files: see
//! [`Ledger::settle`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_protocol::ids::{Offset, PartitionIndex, Timestamp, Uuid};
use parking_lot::Mutex;

use crate::checkpoint::{self, Survives};
use crate::disk::Disk;

/// Which kernel and mount hold our pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) boot: String,
    pub(crate) mount: u64,
}

/// The files of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    RecoveryPoint,
    LogStart,
    HighWatermark,
    FirstDirty,
    Tail,
}

impl Page {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery-point-offset-checkpoint",
            Self::LogStart => "log-start-offset-checkpoint",
            Self::HighWatermark => "replication-offset-checkpoint",
            Self::FirstDirty => "cleaner-offset-checkpoint",
            Self::Tail => "milena-tail-checkpoint",
        }
    }

    pub(crate) const ALL: [Self; 5] =
        [Self::RecoveryPoint, Self::LogStart, Self::HighWatermark, Self::FirstDirty, Self::Tail];
}

/// How far a log was whole when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TailMark {
    pub(crate) topic_id: Uuid,
    pub(crate) offset: Offset,
    pub(crate) segment: Offset,
    pub(crate) position: u64,
    pub(crate) has_producers: bool,
    pub(crate) largest_timestamp: Timestamp,
    pub(crate) largest_offset: Offset,
}

/// What is remembered of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) recovery_point: Option<Offset>,
    pub(crate) log_start: Option<Offset>,
    pub(crate) high_watermark: Option<Offset>,
    pub(crate) first_dirty: Option<Offset>,
    pub(crate) tail: Option<TailMark>,
}

type Key = (String, PartitionIndex);

/// All of it. Lines of logs that are not open are kept as they were found.
#[derive(Debug)]
pub(crate) struct Ledger {
    root: PathBuf,
    kernel: Kernel,
    marks: Mutex<BTreeMap<Key, Marks>>,
    /// Logs that were forgotten, and whose lines may still be in the files.
    stale: Mutex<BTreeSet<Key>>,
    settling: Mutex<()>,
    writing: Mutex<()>,
    /// Log start offsets were written, but not for a power cut.
    log_start_changed: AtomicBool,
}

impl Ledger {
    /// Reads the files; the tail marks only if `kernel` wrote them.
    pub(crate) fn load(root: PathBuf, kernel: Kernel) -> Self {
        let mut marks: BTreeMap<Key, Marks> = BTreeMap::new();
        for page in Page::ALL {
            let text = std::fs::read_to_string(root.join(page.name())).unwrap_or_default();
            let body = if page == Page::Tail { tail_body(&text, &kernel) } else { Some(&text[..]) };
            for row in body.and_then(checkpoint::parse).unwrap_or_default() {
                if let [topic, partition, fields @ ..] = row.as_slice()
                    && let Ok(partition) = partition.parse()
                {
                    let key = ((*topic).to_owned(), PartitionIndex(partition));
                    read_line(page, fields, marks.entry(key).or_default());
                }
            }
        }
        Self {
            root,
            kernel,
            marks: Mutex::new(marks),
            stale: Mutex::default(),
            settling: Mutex::new(()),
            writing: Mutex::new(()),
            log_start_changed: AtomicBool::new(false),
        }
    }

    pub(crate) fn marks(&self, topic: &str, partition: PartitionIndex) -> Marks {
        self.marks.lock().get(&(topic.to_owned(), partition)).copied().unwrap_or_default()
    }

    pub(crate) fn update(
        &self,
        topic: &str,
        partition: PartitionIndex,
        change: impl FnOnce(&mut Marks),
    ) {
        change(self.marks.lock().entry((topic.to_owned(), partition)).or_default());
    }

    pub(crate) fn log_start_changed(&self) {
        self.log_start_changed.store(true, Ordering::Release);
    }

    /// Whether log start offsets wait to be made durable; clears the mark.
    pub(crate) fn take_log_start_changed(&self) -> bool {
        self.log_start_changed.swap(false, Ordering::AcqRel)
    }

    /// Drops what is remembered of a log. Its lines stay in the files until these are written the
    /// next time.
    pub(crate) fn forget(&self, topic: &str, partition: PartitionIndex) {
        let key = (topic.to_owned(), partition);
        if self.marks.lock().remove(&key).is_some() {
            self.stale.lock().insert(key);
        }
    }

    /// Sees to it that no line of a forgotten log is left that could be taken for the word on
    /// a new one of its name, not even after a power cut. The tail marks tell by themselves.
    pub(crate) fn settle(
        &self,
        disk: &dyn Disk,
        topic: &str,
        partition: PartitionIndex,
    ) -> io::Result<()> {
        // Whoever comes while the files are written must not believe that they are.
        let _alone = self.settling.lock();
        if !self.stale.lock().contains(&(topic.to_owned(), partition)) {
            return Ok(());
        }
        let stale = std::mem::take(&mut *self.stale.lock());
        let mut pages = Page::ALL.into_iter().filter(|page| *page != Page::Tail);
        let written = pages.try_for_each(|page| self.write(disk, page, Survives::Power));
        if written.is_err() {
            self.stale.lock().extend(stale);
        }
        written
    }

    /// Writes one of the files.
    pub(crate) fn write(&self, disk: &dyn Disk, page: Page, survives: Survives) -> io::Result<()> {
        let _alone = self.writing.lock();
        let body = checkpoint::render(self.marks.lock().iter().filter_map(|(key, marks)| {
            let line = write_line(page, marks)?;
            Some(format!("{} {} {line}", key.0, key.1))
        }));
        let text = if page == Page::Tail {
            let Kernel { boot, mount } = &self.kernel;
            format!("milena 1 {boot} {mount} {:08x}\n{body}", crc32fast::hash(body.as_bytes()))
        } else {
            body
        };
        checkpoint::replace(disk, &self.root.join(page.name()), text.as_bytes(), survives)
    }
}

fn tail_body<'t>(text: &'t str, kernel: &Kernel) -> Option<&'t str> {
    let (head, body) = text.split_once('\n')?;
    let fields: Vec<&str> = head.split(' ').collect();
    let ["milena", "1", boot, mount, crc] = fields.as_slice() else { return None };
    let is_ours = *boot == kernel.boot && mount.parse() == Ok(kernel.mount);
    let is_whole = u32::from_str_radix(crc, 16) == Ok(crc32fast::hash(body.as_bytes()));
    (is_ours && is_whole).then_some(body)
}

fn read_line(page: Page, fields: &[&str], marks: &mut Marks) -> Option<()> {
    if page == Page::Tail {
        let [topic_id, offset, segment, position, producers, timestamp, at] = fields else {
            return None;
        };
        marks.tail = Some(TailMark {
            topic_id: Uuid::parse(topic_id)?,
            offset: Offset(offset.parse().ok()?),
            segment: Offset(segment.parse().ok()?),
            position: position.parse().ok()?,
            has_producers: *producers == "1",
            largest_timestamp: Timestamp(timestamp.parse().ok()?),
            largest_offset: Offset(at.parse().ok()?),
        });
        return Some(());
    }
    let [offset] = fields else { return None };
    let offset = Offset(offset.parse().ok()?);
    let mark = match page {
        Page::RecoveryPoint => &mut marks.recovery_point,
        Page::LogStart => &mut marks.log_start,
        Page::HighWatermark => &mut marks.high_watermark,
        Page::FirstDirty => &mut marks.first_dirty,
        Page::Tail => return None,
    };
    *mark = (offset.0 >= 0).then_some(offset);
    Some(())
}

fn write_line(page: Page, marks: &Marks) -> Option<String> {
    match page {
        Page::RecoveryPoint => marks.recovery_point.map(|offset| offset.to_string()),
        Page::LogStart => marks.log_start.map(|offset| offset.to_string()),
        Page::HighWatermark => marks.high_watermark.map(|offset| offset.to_string()),
        Page::FirstDirty => marks.first_dirty.map(|offset| offset.to_string()),
        Page::Tail => marks.tail.map(|tail| {
            format!(
                "{} {} {} {} {} {} {}",
                tail.topic_id,
                tail.offset,
                tail.segment,
                tail.position,
                u8::from(tail.has_producers),
                tail.largest_timestamp,
                tail.largest_offset,
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    /// A restart would not find what it may skip, or believe another kernel's word.
    #[test]
    fn marks_come_back_under_the_same_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = Kernel { boot: "b-1".to_owned(), mount: 7 };
        let load = |kernel: &Kernel| Ledger::load(directory.path().to_owned(), kernel.clone());
        let ledger = load(&kernel);
        let marks = Marks {
            recovery_point: Some(Offset(5)),
            log_start: Some(Offset(2)),
            high_watermark: Some(Offset(9)),
            first_dirty: Some(Offset(4)),
            tail: Some(TailMark {
                topic_id: Uuid::from_u128(77),
                offset: Offset(10),
                segment: Offset(2),
                position: 4096,
                has_producers: true,
                largest_timestamp: Timestamp(-1),
                largest_offset: Offset(-1),
            }),
        };
        ledger.update("orders", PartitionIndex(3), |slot| *slot = marks);
        for page in Page::ALL {
            ledger.write(&RealDisk, page, Survives::Process).unwrap();
        }
        assert_eq!(load(&kernel).marks("orders", PartitionIndex(3)), marks);
        let other = Kernel { boot: "b-2".to_owned(), ..kernel.clone() };
        let expected = Marks { tail: None, ..marks };
        assert_eq!(load(&other).marks("orders", PartitionIndex(3)), expected);
        let text = std::fs::read(directory.path().join("recovery-point-offset-checkpoint"));
        assert_eq!(text.unwrap(), b"0\n1\norders 3 5\n");
    }
}
