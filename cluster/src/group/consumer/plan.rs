//! What follows for the group from a change: its next epoch, and the next assignment.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;
use milena_protocol::coordinator_record::consumer_group::{
    ConsumerGroupMetadataValue, ConsumerGroupRegularExpressionValue,
};
use milena_protocol::ids::Uuid;

use super::group::{Expression, Group, Hashed};
use super::member::Member;
use super::record::Records;
use super::rules::Rules;
use super::settings::Settings;
use super::{expression, topics};
use crate::group::assignor::{Assignment, Kind, Partitions, Spec, Subscriber};
use crate::metadata::image::MetadataImage;
use crate::time::{Instant, Now};

/// The epoch of a group that nobody has joined yet, as Kafka counts: the first is 2.
const UNUSED_EPOCH: i32 = 1;

/// What a decision is made in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub now: Now,
    pub topics: &'a MetadataImage,
    pub settings: &'a Settings,
}

/// A change of members that is decided on and not replayed yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Change<'a> {
    /// Someone who comes, or says something else of itself than before.
    pub updated: Option<&'a Member>,
    /// A member whose place that one takes.
    pub replaced: Option<&'a Text>,
    /// Those who go.
    pub gone: BTreeSet<&'a Text>,
    /// Whether the group epoch must grow.
    pub must_grow: bool,
}

/// What follows from a change.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub epoch: i32,
    pub assignment_epoch: i32,
    /// The new assignment, where there is one.
    pub assignment: Option<Assignment>,
    pub expressions: BTreeMap<Text, Expression>,
    /// The hash over the topics, where it was needed.
    pub hashed: Option<Hashed>,
    /// Whether the group epoch grows, or an expression stands for something else. Only what has
    /// been replayed counts as known, so the topics are looked at again after that.
    pub has_news: bool,
    /// Members and partitions that were assigned.
    pub item_count: usize,
    pub member_count: usize,
}

type Members<'a> = BTreeMap<&'a Text, &'a Member>;

impl<R: Rules> Group<R> {
    /// The plan where nothing changes.
    pub(super) fn unchanged(&self) -> Plan {
        Plan {
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignment: None,
            expressions: self.expressions.clone(),
            hashed: None,
            has_news: false,
            item_count: 0,
            member_count: self.members.len(),
        }
    }

    /// Whether the topics may have changed, or the group may be assigned anew.
    pub(super) fn wants_plan(&self, scene: &Scene<'_>) -> bool {
        self.soft.compared_with != Some(scene.topics.offset()) || self.wants_assignment(scene)
    }

    fn wants_assignment(&self, scene: &Scene<'_>) -> bool {
        self.epoch > self.assignment_epoch
            && !self.members.is_empty()
            && self.assigns_at() <= scene.now.instant
    }

    /// From when on it may be assigned. The first time at once, even where there was an assignment
    /// just now that could not be written: in epoch 0 a member would ask as if it had not joined,
    /// without what it has to say then, and be refused for good.
    pub(super) fn assigns_at(&self) -> Instant {
        if self.assignment_epoch == 0 { Instant(0) } else { self.soft.pace.next_at() }
    }

    /// Looks up expressions and topics, lets the group epoch grow if anything has changed, and
    /// assigns if it is time.
    pub(super) fn plan(
        &self,
        scene: &Scene<'_>,
        change: &Change<'_>,
        records: &mut Records<'_>,
    ) -> Plan {
        let changed = change.updated.into_iter().map(|member| &member.id).chain(change.replaced);
        let before: Vec<&Member> = changed
            .chain(change.gone.iter().copied())
            .filter_map(|id| self.members.get(id))
            .collect();
        let member_count =
            self.members.len() + usize::from(change.updated.is_some()) - before.len();
        let (mut names, wanted) = self.interest.after(&before, change.updated);
        let record_count = records.list.len();
        let expressions = self.look_up(scene, wanted, records);
        names.extend(expressions.values().flat_map(|expression| &expression.topics));
        let hashed = self.hash(scene, &names);
        let metadata_hash = hashed.hash;
        let grows = change.must_grow || self.epoch == 0 || metadata_hash != self.metadata_hash;
        let epoch = if grows { self.epoch.max(UNUSED_EPOCH).saturating_add(1) } else { self.epoch };
        if grows {
            records.group(Some(&ConsumerGroupMetadataValue { epoch, metadata_hash }));
            if self.has_topics_record {
                records.no_topics();
            }
        }
        let has_news = records.list.len() > record_count;
        let hashed = Some(hashed);
        let assignment_epoch = self.assignment_epoch;
        let mut plan = Plan {
            epoch,
            assignment_epoch,
            assignment: None,
            expressions,
            hashed,
            has_news,
            item_count: 0,
            member_count,
        };
        let is_due = self.assigns_at() <= scene.now.instant;
        if epoch > assignment_epoch && member_count > 0 && is_due {
            let members = self.members_after(change);
            self.assign(scene, change, &members, &mut plan, records);
        }
        plan
    }

    fn members_after<'a>(&'a self, change: &Change<'a>) -> Members<'a> {
        let stays = |id: &Text| !change.gone.contains(id) && change.replaced != Some(id);
        let mut members: Members<'a> = self.members.iter().filter(|(id, _)| stays(id)).collect();
        members.extend(change.updated.map(|member| (&member.id, member)));
        members
    }

    /// The hash over topics; of as many partitions as there are, so not made without need.
    fn hash(&self, scene: &Scene<'_>, names: &BTreeSet<&Text>) -> Hashed {
        let version = scene.topics.offset();
        let known = self.soft.hashed.as_ref().filter(|known| {
            known.version == version && known.names.iter().eq(names.iter().copied())
        });
        known.cloned().unwrap_or_else(|| Hashed {
            version,
            names: names.iter().map(|name| (*name).clone()).collect(),
            hash: topics::hash(names.iter().copied(), scene.topics),
        })
    }

    /// What the expressions stand for: again where the topics may have changed.
    fn look_up(
        &self,
        scene: &Scene<'_>,
        wanted: BTreeSet<&Text>,
        records: &mut Records<'_>,
    ) -> BTreeMap<Text, Expression> {
        for expression in self.expressions.keys().filter(|it| !wanted.contains(it)) {
            records.expression(expression, None);
        }
        let version = scene.topics.offset();
        let is_old = self.soft.compared_with != Some(version);
        let mut found = BTreeMap::new();
        for text in wanted {
            let known = self.expressions.get(text);
            if let Some(known) = known.filter(|_| !is_old) {
                found.insert(text.clone(), known.clone());
                continue;
            }
            // One that another version took and this one does not stands for nothing.
            let topics = expression::compile(text)
                .map(|expression| topics::matching(&expression, scene.topics))
                .unwrap_or_default();
            let expression = Expression { topics, version: version.0, timestamp: scene.now.wall };
            if known.is_none_or(|known| known.topics != expression.topics) {
                let value = ConsumerGroupRegularExpressionValue {
                    topics: expression.topics.iter().cloned().collect(),
                    version: expression.version,
                    timestamp: expression.timestamp,
                };
                records.expression(text, Some(&value));
            }
            found.insert(text.clone(), expression);
        }
        found
    }

    fn assign(
        &self,
        scene: &Scene<'_>,
        change: &Change<'_>,
        members: &Members<'_>,
        plan: &mut Plan,
        records: &mut Records<'_>,
    ) {
        // Many members subscribe to the same, and looking that up once for all is most of the work.
        type Subscription<'a> = (&'a BTreeSet<Text>, Option<&'a Text>);
        let mut subscribed: BTreeMap<Subscription<'_>, BTreeSet<Uuid>> = BTreeMap::new();
        for member in members.values() {
            subscribed
                .entry((&member.topics, member.expression.as_ref()))
                .or_insert_with(|| topics::subscribed(member, &plan.expressions, scene.topics));
        }
        let nothing = BTreeSet::new();
        let mut spec = Spec::default();
        for (id, member) in members {
            let key = (&member.topics, member.expression.as_ref());
            spec.members.insert(
                id,
                Subscriber {
                    instance_id: member.instance_id.as_ref(),
                    topics: subscribed.get(&key).unwrap_or(&nothing),
                    owned: self.target_after(id, change),
                },
            );
        }
        for topic in subscribed.values().flatten() {
            let count = scene.topics.topic_by_id(*topic).map_or(0, |it| it.partition_count());
            spec.partition_counts.insert(*topic, count);
        }
        let assignment = preferred(members, scene.settings).assign(&spec);
        for (id, partitions) in &assignment {
            if self.targets.get(id) != Some(partitions) {
                records.target(id, Some(partitions));
            }
        }
        records.assignment(Some((plan.epoch, scene.now.wall)));
        let partition_count: i64 = spec.partition_counts.values().copied().map(i64::from).sum();
        plan.item_count = members.len() + usize::try_from(partition_count).unwrap_or(0);
        plan.assignment_epoch = plan.epoch;
        plan.assignment = Some(assignment);
    }

    /// What a member was to have; whoever takes the place of another takes over that too.
    pub(super) fn target_after(&self, id: &Text, change: &Change<'_>) -> Option<&Partitions> {
        let takes_over = change.updated.is_some_and(|member| member.id == *id);
        let of = change.replaced.filter(|_| takes_over).unwrap_or(id);
        self.targets.get(of)
    }

    /// The assignor that most members want.
    #[must_use]
    pub fn assignor(&self, settings: &Settings) -> Kind {
        preferred(&self.members.iter().collect(), settings)
    }
}

/// The assignor that most want; the one configured first where none does, or as many want several.
fn preferred(members: &Members<'_>, settings: &Settings) -> Kind {
    let mut votes: BTreeMap<Kind, usize> = BTreeMap::new();
    let wanted = members.values().filter_map(|member| Kind::of_name(member.assignor.as_ref()?));
    for kind in wanted.filter(|kind| settings.assignors.contains(kind)) {
        *votes.entry(kind).or_default() += 1;
    }
    let most = votes.values().max().copied().unwrap_or(0);
    let wins = |kind: &&Kind| most > 0 && votes.get(kind) == Some(&most);
    settings.assignors.iter().find(wins).copied().unwrap_or_else(|| settings.default_assignor())
}
