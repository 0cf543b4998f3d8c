//! What falls due: sessions, partitions that were not given up in time, and assignments.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_protocol::codec::Text;

use super::group::{Group, Timer};
use super::member::{Member, MemberState};
use super::plan::{Change, Scene};
use super::record::Records;
use super::rules::Rules;
use super::settings::Settings;
use crate::coordinator::Record;
use crate::metadata::image::MetadataImage;
use crate::time::{Instant, Now};

impl<R: Rules> Group<R> {
    /// Everything that was in the log has been replayed: all are given their times afresh.
    pub fn loaded(&mut self, now: Now, settings: &Settings) {
        self.soft = Default::default();
        self.soft.pace.changed(now.instant);
        let members: Vec<Member> = self.members.values().cloned().collect();
        for member in &members {
            self.extend_session(now, member, settings);
            self.watch_revocation(now, member);
        }
    }

    /// Does what is due: lets members go whose session has ended or that did not give up their
    /// partitions in time, and assigns what waits to be assigned. A member that goes is not looked
    /// at again: where the records cannot be appended, the group is to be rebuilt.
    pub fn tick(&mut self, now: Now, topics: &MetadataImage, settings: &Settings) -> Vec<Record> {
        let gone = self.late(now.instant);
        // Where the records of a join were not appended, there are times of somebody who is no
        // member.
        let members = &self.members;
        self.soft.timers.retain(|id, _| members.contains_key(id) && !gone.contains(id));
        for timer in self.soft.timers.values_mut() {
            // What is left of these is of an epoch that the member has left since.
            timer.revocation = timer.revocation.filter(|(_, at)| *at > now.instant);
        }
        self.soft.earliest_at = self.soft.timers.values().filter_map(Timer::at).min();
        let scene = Scene { now, topics, settings };
        if !gone.is_empty() {
            return self.let_go(&scene, gone.iter().collect());
        }
        self.metadata_changed(now, topics, settings)
    }

    /// Looks whether topics have changed, and assigns what waits to be assigned if it is time.
    /// Heartbeats do so too: who calls this when the metadata changes only spares the members
    /// the wait for their next one.
    pub fn metadata_changed(
        &mut self,
        now: Now,
        topics: &MetadataImage,
        settings: &Settings,
    ) -> Vec<Record> {
        let scene = Scene { now, topics, settings };
        if self.members.is_empty() || !self.wants_plan(&scene) {
            return Vec::new();
        }
        let group_id = self.id.clone();
        let mut records = Records::new(&group_id);
        let plan = self.plan(&scene, &Change::default(), &mut records);
        self.note(&scene, &plan);
        records.list
    }

    /// When the next tick is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let waits = self.epoch > self.assignment_epoch && !self.members.is_empty();
        let assigns_at = waits.then(|| self.assigns_at());
        self.soft.earliest_at.into_iter().chain(assigns_at).min()
    }

    fn late(&self, now: Instant) -> BTreeSet<Text> {
        if self.soft.earliest_at.is_none_or(|at| at > now) {
            return BTreeSet::new();
        }
        let is_late = |id: &Text, timer: &Timer| {
            let Some(member) = self.members.get(id) else { return false };
            let has_not_revoked = timer
                .revocation
                .is_some_and(|(asked_in, at)| at <= now && R::is_late(member.epoch, asked_in));
            let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            has_not_revoked || is_over(timer.session_at) || is_over(timer.classic_at)
        };
        let late = self.soft.timers.iter().filter(|(id, timer)| is_late(id, timer));
        late.map(|(id, _)| id.clone()).collect()
    }

    /// Notes that a member lives, and whether it is to give up partitions.
    pub(super) fn note_member(
        &mut self,
        now: Now,
        before: &Member,
        member: &Member,
        settings: &Settings,
    ) {
        self.extend_session(now, member, settings);
        if member.classic.is_none() {
            self.note_classic_step(&member.id);
        }
        if !member.stands_like(before) {
            self.watch_revocation(now, member);
        }
    }

    /// Waits for a member of the classic protocol to do its next step; where it does so already,
    /// not any longer.
    pub(super) fn await_classic_step(&mut self, now: Now, member: &Member) {
        let at = self.look_in(now, member.rebalance_timeout());
        self.soft.timers.entry(member.id.clone()).or_default().classic_at.get_or_insert(at);
    }

    /// A member of the classic protocol has done its next step.
    pub(super) fn note_classic_step(&mut self, id: &Text) {
        if let Some(timer) = self.soft.timers.get_mut(id) {
            timer.classic_at = None;
        }
    }

    pub(super) fn extend_session(&mut self, now: Now, member: &Member, settings: &Settings) {
        let timeout =
            member.classic.as_ref().map_or(settings.session_timeout, |it| it.session_timeout);
        self.extend_session_of(now, &member.id, timeout);
    }

    pub(super) fn extend_session_of(&mut self, now: Now, id: &Text, timeout: Duration) {
        let at = self.look_in(now, timeout);
        self.soft.timers.entry(id.clone()).or_default().session_at = Some(at);
    }

    fn watch_revocation(&mut self, now: Now, member: &Member) {
        let is_asked = member.state == MemberState::UnrevokedPartitions;
        let at = is_asked.then(|| self.look_in(now, member.rebalance_timeout()));
        let timer = self.soft.timers.entry(member.id.clone()).or_default();
        timer.revocation = at.map(|at| (member.epoch, at));
    }

    fn look_in(&mut self, now: Now, span: Duration) -> Instant {
        let at = now.instant.plus(span);
        self.soft.earliest_at = Some(self.soft.earliest_at.map_or(at, |earliest| earliest.min(at)));
        at
    }
}

impl Timer {
    fn at(&self) -> Option<Instant> {
        let revocation_at = self.revocation.map(|(_, at)| at);
        [self.session_at, revocation_at, self.classic_at].into_iter().flatten().min()
    }
}
