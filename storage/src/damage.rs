//! What opening a log gave up.

use std::fmt;
use std::path::PathBuf;

use milena_protocol::ids::Offset;
use milena_protocol::record::run::Batches;

/// The end of a log as it was found that could not be read, or does not follow what comes before.
///
/// It is beside the log in files under `.quarantined`, and was acknowledged if it was written
/// whole. Space that was never written is none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment that it begins in.
    pub path: PathBuf,
    /// The byte of that file where it begins.
    pub position: u64,
    /// The log ends here now.
    pub from: Offset,
    /// Where the last whole batch ended that was given up; `from` where none was whole.
    pub end: Offset,
    /// How many later segments were put aside.
    pub later_segments: usize,
}

impl Damage {
    /// Sees bytes that are given up.
    pub(crate) fn observe(&mut self, bytes: &[u8]) {
        let whole = Batches::new(bytes).filter(|batch| batch.verify_crc().is_ok());
        self.end = whole.map(|batch| batch.next_offset()).fold(self.end, Offset::max);
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, position, from, end, later_segments } = self;
        write!(f, "{} cannot be read from byte {position} on: ", path.display())?;
        if end > from {
            write!(f, "offsets {from} to {end}")?;
        } else {
            write!(f, "what began at offset {from}")?;
        }
        write!(f, " and {later_segments} later segments are put aside as .quarantined")
    }
}
