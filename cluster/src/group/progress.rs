//! How far all groups have read, page by page, for whoever watches them: no page keeps the others
//! who ask for long, however many groups there are.

use std::ops::Bound;

use milena_protocol::codec::Text;

use super::coordinator::Coordinator;
use super::offsets::{Committed, Place};
use super::request::{Page, Position, Progress};

impl Coordinator {
    /// At most `max_rows` rows behind one. Costs as much as there are rows in it, and a little for
    /// each group behind it.
    pub(super) fn progress(&self, behind: Option<&Progress>, max_rows: usize) -> Page {
        let mut page = Page::default();
        let begun = behind.map(|row| &row.group);
        for id in self.ids_from(begun) {
            let seen = behind.filter(|row| row.group == *id);
            let is_told = seen.is_some_and(|row| row.committed.is_none());
            let place = seen.and_then(|row| row.committed.as_ref()).map(place);
            let room = max_rows.saturating_sub(page.rows.len());
            if self.offsets.count(id) == 0 {
                match room {
                    _ if is_told => {}
                    0 => page.left += 1,
                    _ => page.rows.push(self.row(id, None)),
                }
                continue;
            }
            if room == 0 && place.is_none() {
                page.left += self.offsets.count(id);
                continue;
            }
            let mut offsets = self.offsets.of_group_behind(id, place.as_ref());
            page.rows.extend(offsets.by_ref().take(room).map(|found| self.row(id, Some(found))));
            page.left += offsets.count();
        }
        page
    }

    /// Every group that is known or has offsets, from one on, in order.
    fn ids_from<'a>(&'a self, from: Option<&'a Text>) -> impl Iterator<Item = &'a Text> {
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let mut known = self.groups.ids_from(from).peekable();
        let mut stored = self.offsets.groups_from(from).peekable();
        std::iter::from_fn(move || match (known.peek(), stored.peek()) {
            (Some(a), Some(b)) if a == b => {
                stored.next();
                known.next()
            }
            (Some(a), Some(b)) if b < a => stored.next(),
            (Some(_), _) => known.next(),
            (None, _) => stored.next(),
        })
    }

    fn row(&self, id: &Text, found: Option<(&Place, &Committed)>) -> Progress {
        Progress {
            group: id.clone(),
            members: self.groups.get(id).map_or(0, |group| group.member_count()),
            committed: found.map(|(place, committed)| Position {
                topic: place.0.clone(),
                topic_id: committed.value.topic_id,
                partition: place.1,
                offset: committed.value.offset,
            }),
        }
    }
}

fn place(position: &Position) -> Place {
    (position.topic.clone(), position.partition)
}
