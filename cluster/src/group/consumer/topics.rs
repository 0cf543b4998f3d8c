//! Which topics a subscription stands for, and whether they have changed.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;
use milena_protocol::ids::Uuid;
use regex::Regex;

use super::group::Expression;
use super::member::Member;
use crate::metadata::image::MetadataImage;

/// The topics whose names an expression matches.
pub(super) fn matching(expression: &Regex, topics: &MetadataImage) -> BTreeSet<Text> {
    let names = topics.topics().map(|topic| topic.name());
    names.filter(|name| expression.is_match(name)).cloned().collect()
}

/// The names that a member subscribes to, those of its expression among them.
pub(super) fn names<'a>(
    member: &'a Member,
    expressions: &'a BTreeMap<Text, Expression>,
) -> impl Iterator<Item = &'a Text> {
    let expression = member.expression.as_ref().and_then(|it| expressions.get(it));
    member.topics.iter().chain(expression.into_iter().flat_map(|it| &it.topics))
}

/// The topics that a member subscribes to, of those that exist.
pub(super) fn subscribed(
    member: &Member,
    expressions: &BTreeMap<Text, Expression>,
    topics: &MetadataImage,
) -> BTreeSet<Uuid> {
    let id = |name: &Text| topics.topic(name).map(|topic| topic.id());
    names(member, expressions).filter_map(id).collect()
}

/// A hash over everything of these topics that an assignment depends on: ids, names, partitions and
/// the racks of their replicas (KIP-1101). 0 where none of them exists.
pub(super) fn hash<'a>(names: impl Iterator<Item = &'a Text>, topics: &MetadataImage) -> i64 {
    let mut fold = Fold::default();
    for topic in names.filter_map(|name| topics.topic(name)) {
        fold.bytes(&topic.id().0);
        fold.bytes(topic.name().as_bytes());
        fold.bytes(&topic.partition_count().to_be_bytes());
        for (index, partition) in topic.partitions() {
            fold.bytes(&index.0.to_be_bytes());
            let rack = |node| topics.broker(node).and_then(|broker| broker.rack.as_ref());
            let racks: BTreeSet<&Text> =
                partition.replicas.iter().filter_map(|node| rack(*node)).collect();
            racks.into_iter().for_each(|rack| fold.bytes(rack.as_bytes()));
        }
    }
    fold.finish()
}

/// FNV-1a, each piece closed with its length.
#[derive(Debug, Default)]
struct Fold(Option<u64>);

impl Fold {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;

    fn bytes(&mut self, bytes: &[u8]) {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(Self::PRIME);
        let hash = bytes.iter().fold(self.0.unwrap_or(Self::START), step);
        let length = bytes.len() as u64;
        self.0 = Some((hash ^ length).wrapping_mul(Self::PRIME));
    }

    /// Never 0, which stands for nothing, where there was something.
    fn finish(&self) -> i64 {
        self.0.map_or(0, |hash| hash.max(1).cast_signed())
    }
}
