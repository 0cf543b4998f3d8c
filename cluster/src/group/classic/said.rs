//! What the members of a classic group say of themselves, added up as they come and go: a member
//! that joins must not cost a look at all protocols of all the others.

use std::collections::BTreeMap;

use milena_protocol::codec::Text;

use super::member::Member;

/// Protocols with the number of members that could use them, and the bytes of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    supporters: BTreeMap<Text, usize>,
    bytes: usize,
}

impl Said {
    pub(super) fn add(&mut self, member: &Member) {
        self.bytes += member.said_bytes();
        for protocol in &member.protocols {
            *self.supporters.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, member: &Member) {
        self.bytes -= member.said_bytes();
        for protocol in &member.protocols {
            let count = self.supporters.get_mut(&protocol.name).expect("it was counted");
            *count -= 1;
            if *count == 0 {
                self.supporters.remove(&protocol.name);
            }
        }
    }

    /// What a record of all of them takes at most, without their assignments.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many members could use a protocol.
    pub(super) fn supporters(&self, protocol: &str) -> usize {
        self.supporters.get(protocol).copied().unwrap_or(0)
    }
}
