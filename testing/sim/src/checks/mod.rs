//! What has to hold whatever happens, one checker per property.

mod cluster;
mod groups;
mod images;
mod records;
pub mod transactions;

use crate::quorum_checks::{self, Violation};
pub use cluster::partitions;
use groups::Groups;
use images::Images;
pub use records::Records;

/// The checkers of a run.
#[derive(Default)]
pub struct Checks {
    /// One leader per epoch, votes that are kept, commits that stay.
    pub quorum: quorum_checks::Checks,
    /// Images are the same everywhere.
    pub images: Images,
    /// What producers were told, and what anybody was shown.
    pub records: Records,
    /// Whose the partitions of groups are, and what is committed of them.
    pub groups: Groups,
    /// Producer ids that were given away.
    blocks: Vec<(i64, i64)>,
}

impl Checks {
    /// A broker was given producer ids.
    pub fn given(&mut self, block: (i64, i64)) -> Result<(), Violation> {
        let is_apart = self.blocks.iter().all(|it| it.1 <= block.0 || block.1 <= it.0);
        self.blocks.push(block);
        require(is_apart, || format!("the producer ids {block:?} are given twice"))
    }
}

/// Something that has to hold.
pub fn require(holds: bool, what: impl FnOnce() -> Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(what()) }
}
