//! Consumer groups: the broker assigns, and every member converges on its own (KIP-848).
//!
//! There are three epochs. The *group's* grows with every change of members, subscriptions or
//! topics. The *assignment's* is the group epoch that the target assignment was made for. A
//! *member's* is the assignment epoch that it has reached: it gives up what it shall no longer
//! have, says so, moves to the epoch, and is then given what the others have given up.
//!
//! All of that is in the log. A request is decided on and answered with records, which alone change
//! the group when they are replayed; nothing of an answer may leave before they are committed.
//! What is not in the log are times: when a session ends, until when a member may take to give up
//! its partitions, when the next assignment may be made. They are given afresh after a load.

mod classic;
mod commit;
mod describe;
mod expression;
mod group;
mod heartbeat;
mod interest;
mod member;
mod migrate;
mod pace;
mod plan;
mod reconcile;
mod record;
mod replay;
mod rules;
mod settings;
mod timers;
mod topics;

pub use commit::Committer;
pub use group::{Group, State};
pub use heartbeat::{Decision, Refused};
pub use member::{ClassicMember, ClassicProtocol, Member, MemberState, Owned};
pub use migrate::{NeutralGroup, NeutralMember};
pub use record::Content;
pub use rules::{Kip848, Rules};
pub use settings::{Migration, Settings};
