//! The files of the metadata quorum: the log `__cluster_metadata-0`, its snapshots beside its
//! segments, and `quorum-state`.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::metadata::snapshot::{self, Snapshot};
use milena_cluster::quorum::{Membership, QuorumState, SnapshotId};
use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use milena_storage::LogDirectory;
use milena_storage::checkpoint::{Survives, replace};
use milena_storage::disk::{Disk, Mode};

/// The metadata log's name as a topic.
pub const TOPIC: &str = "__cluster_metadata";
/// The directory of the log.
pub const DIRECTORY: &str = "__cluster_metadata-0";

const QUORUM_STATE: &str = "quorum-state";
/// Snapshots that are kept.
const KEPT_SNAPSHOTS: usize = 2;

/// The small files of the metadata quorum.
#[derive(Clone, Debug)]
pub struct QuorumFiles {
    directory: PathBuf,
    disk: Arc<dyn Disk>,
}

impl QuorumFiles {
    /// The files in the metadata log's directory, which is made if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &LogDirectory) -> io::Result<Self> {
        let (directory, disk) = (root.path().join(DIRECTORY), Arc::clone(root.disk()));
        if !directory.is_dir() {
            disk.create_directory(&directory)?;
        }
        Ok(Self { directory, disk })
    }

    /// The persisted quorum state; none on a new node.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged: a node without its vote must not start.
    pub fn read_state(&self) -> io::Result<Option<QuorumState>> {
        match fs::read_to_string(self.directory.join(QUORUM_STATE)) {
            Ok(text) => QuorumState::parse(&text).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the quorum state, durably.
    ///
    /// # Errors
    /// When the disk refuses; the old state stands then.
    pub fn write_state(&self, state: &QuorumState) -> io::Result<()> {
        self.replace(QUORUM_STATE, state.to_text().as_bytes())
    }

    /// The newest snapshot that is whole; an empty one where there is none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn read_snapshot(&self) -> io::Result<Snapshot> {
        for (offset, epoch, path) in self.snapshots()?.into_iter().rev() {
            match snapshot::read(&fs::read(&path)?, offset, epoch) {
                Ok(snapshot) => return Ok(snapshot),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "snapshot passed over");
                }
            }
        }
        Ok(Snapshot::default())
    }

    /// Writes a snapshot of an image and removes those that are no longer needed.
    ///
    /// # Errors
    /// When the disk refuses; the snapshots before it stand then.
    pub fn write_snapshot(
        &self,
        image: &MetadataImage,
        membership: &Membership,
        now: Timestamp,
    ) -> io::Result<()> {
        let bytes = snapshot::write(image, membership, now).map_err(io::Error::other)?;
        let name = snapshot::file_name(image.offset().plus(1), image.epoch());
        self.replace(&name, &bytes)?;
        let snapshots = self.snapshots()?;
        let surplus = snapshots.len().saturating_sub(KEPT_SNAPSHOTS);
        for (_, _, path) in snapshots.into_iter().take(surplus) {
            self.disk.remove_file(&path)?;
        }
        Ok(())
    }

    /// The size of a snapshot, and its bytes from a position on, at most so many; none where there
    /// is no such snapshot.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_piece(
        &self,
        snapshot: SnapshotId,
        position: u64,
        max_bytes: usize,
    ) -> io::Result<Option<(u64, Bytes)>> {
        let mut file = match File::open(self.directory.join(file_name(snapshot))) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = file.metadata()?.len();
        let left = size.saturating_sub(position).min(max_bytes as u64);
        file.seek(SeekFrom::Start(position.min(size)))?;
        let mut bytes = Vec::with_capacity(left as usize);
        file.take(left).read_to_end(&mut bytes)?;
        Ok(Some((size, bytes.into())))
    }

    /// Keeps a piece of a snapshot that is on its way here; position 0 begins it anew.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_piece(&self, snapshot: SnapshotId, position: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.download(snapshot);
        let is_new = position == 0 || !path.exists();
        let file = self.disk.open(&path, if is_new { Mode::Replace } else { Mode::Write })?;
        self.disk.write_at(&file, bytes, position)
    }

    /// The snapshot that came in pieces.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_download(&self, snapshot: SnapshotId) -> io::Result<Vec<u8>> {
        fs::read(self.download(snapshot))
    }

    /// Drops a snapshot that came in pieces and is no good.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn drop_download(&self, snapshot: SnapshotId) -> io::Result<()> {
        self.disk.remove_file(&self.download(snapshot))
    }

    /// Makes the snapshot that came in pieces one that counts, durably.
    ///
    /// # Errors
    /// When the disk refuses; it does not count then.
    pub fn keep_download(&self, snapshot: SnapshotId) -> io::Result<()> {
        let from = self.download(snapshot);
        self.disk.sync_data(&self.disk.open(&from, Mode::Read)?)?;
        self.disk.rename(&from, &self.directory.join(file_name(snapshot)))?;
        self.disk.sync_directory(&self.directory)
    }

    fn download(&self, snapshot: SnapshotId) -> PathBuf {
        self.directory.join(format!("{}.part", file_name(snapshot)))
    }

    fn snapshots(&self) -> io::Result<Vec<(Offset, LeaderEpoch, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let parsed = name.to_str().and_then(snapshot::parse_file_name);
            if let Some((offset, epoch)) = parsed {
                found.push((offset, epoch, entry.path()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Temporary file, sync, rename, sync of the directory: old or new, never neither.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        replace(&*self.disk, &self.directory.join(name), bytes, Survives::Power)
    }
}

fn file_name(snapshot: SnapshotId) -> String {
    snapshot::file_name(snapshot.end_offset, snapshot.epoch)
}
