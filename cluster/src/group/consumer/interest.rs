//! Which names and expressions the members of a group subscribe to, which classic protocols they
//! could use, and how many of them.
//!
//! It is counted as members come and go, since a member that joins a group of a thousand must not
//! cost a look at all of them.

use std::collections::{BTreeMap, BTreeSet};

use milena_protocol::codec::Text;

use super::member::Member;

/// Names, expressions and classic protocols with the number of members that have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    names: BTreeMap<Text, usize>,
    expressions: BTreeMap<Text, usize>,
    protocols: BTreeMap<Text, usize>,
    /// How many members use the classic protocol.
    classic: usize,
    /// What all of them say of themselves, in bytes of their records.
    bytes: usize,
}

impl Interest {
    pub(super) fn add(&mut self, member: &Member) {
        self.bytes += member.said_bytes();
        for name in &member.topics {
            *self.names.entry(name.clone()).or_default() += 1;
        }
        if let Some(expression) = &member.expression {
            *self.expressions.entry(expression.clone()).or_default() += 1;
        }
        if let Some(classic) = &member.classic {
            self.classic += 1;
            for protocol in &classic.protocols {
                *self.protocols.entry(protocol.name.clone()).or_default() += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, member: &Member) {
        self.bytes -= member.said_bytes();
        member.topics.iter().for_each(|name| forget(&mut self.names, name));
        member.expression.iter().for_each(|expression| forget(&mut self.expressions, expression));
        if let Some(classic) = &member.classic {
            self.classic -= 1;
            let names = classic.protocols.iter().map(|protocol| &protocol.name);
            names.for_each(|name| forget(&mut self.protocols, name));
        }
    }

    /// Whether anyone subscribes to a topic by its name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether all members of the classic protocol could use this one.
    pub(super) fn is_common(&self, protocol: &str) -> bool {
        self.protocols.get(protocol).copied().unwrap_or(0) == self.classic
    }

    /// What all members say of themselves, in bytes of their records.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Text> {
        self.names.keys()
    }

    pub(super) fn has_expression(&self, expression: &str) -> bool {
        self.expressions.contains_key(expression)
    }

    /// The names and expressions that are subscribed to when some have gone and one has come.
    pub(super) fn after<'a>(
        &'a self,
        gone: &[&Member],
        come: Option<&'a Member>,
    ) -> (BTreeSet<&'a Text>, BTreeSet<&'a Text>) {
        let names = gone.iter().flat_map(|member| &member.topics);
        let expressions = gone.iter().filter_map(|member| member.expression.as_ref());
        let mut names = left(&self.names, names);
        let mut expressions = left(&self.expressions, expressions);
        names.extend(come.into_iter().flat_map(|member| &member.topics));
        expressions.extend(come.and_then(|member| member.expression.as_ref()));
        (names, expressions)
    }
}

fn forget(counts: &mut BTreeMap<Text, usize>, text: &Text) {
    let count = counts.get_mut(text).expect("what is forgotten was counted");
    *count -= 1;
    if *count == 0 {
        counts.remove(text);
    }
}

/// Those of which more have been counted than have gone.
fn left<'a, 'b>(
    counts: &'a BTreeMap<Text, usize>,
    gone: impl Iterator<Item = &'b Text>,
) -> BTreeSet<&'a Text> {
    let mut gone_counts: BTreeMap<&Text, usize> = BTreeMap::new();
    for text in gone {
        *gone_counts.entry(text).or_default() += 1;
    }
    let is_left =
        |text: &Text, count: usize| gone_counts.get(text).is_none_or(|gone| *gone < count);
    counts.iter().filter(|(text, count)| is_left(text, **count)).map(|(text, _)| text).collect()
}
