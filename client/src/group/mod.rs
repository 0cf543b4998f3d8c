//! Reading topics as a member of a group: the partitions come from the group, and how far they are
//! read is committed to it.
//!
//! ```text
//! GroupConsumer ── wishes ──► driver ── questions ──► coordinator
//!   │    ▲                      │  ▲                      │
//!   │    └────── notices ───────┘  └────── answers ───────┘
//!   └─ Consumer (fetches), offsets (commits)
//! ```
//!
//! What a member does when is decided by a machine without sockets and clock: `member` for the
//! consumer protocol (KIP-848), `classic` for the older one. The driver is a task that runs it in
//! the background, so a member lives on while its application works on records; one that does not
//! poll for [`GroupOptions::max_poll_interval`] leaves.

mod assignor;
mod classic;
mod consumer;
mod driver;
mod embedded;
mod member;
mod offsets;
mod options;
mod step;

pub use consumer::{GroupConsumer, GroupEvent, GroupMetadata};
pub use offsets::{CommittedOffset, Offsets};
pub use options::{ClassicAssignor, GroupOptions, GroupProtocol, Subscription};
