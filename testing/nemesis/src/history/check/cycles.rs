//! Effects do not come before their causes.
//!
//! An edge goes from the writer of a value to the writer of the next one of the same key (ww), and
//! from a writer to whoever read its value (wr). Kafka lets records of open transactions
//! interleave, so circles with ww edges are allowed, those of wr edges alone are not.

use super::anomaly::Anomaly;
use super::facts::Facts;
use super::findings::Findings;
use super::graph::Graph;
use crate::history::operation::Action;

/// How many operations of a circle are named.
const MAX_SHOWN: usize = 8;

type Edges = Vec<(u32, u32)>;

/// Looks for circles. There is none without transactions: who does one thing at a time either
/// writes or reads.
pub fn check(facts: &Facts, findings: &mut Findings) {
    let is_transaction = |action: &Action| matches!(action, Action::Transaction(_));
    if !facts.history.iter().any(|operation| is_transaction(&operation.action)) {
        return;
    }
    let written = written(facts);
    let read = read(facts);
    let both = written.iter().chain(&read).copied().collect();
    let only_written = note(facts, written, Anomaly::WriteCycle, &[], findings);
    let only_read = note(facts, read, Anomaly::ReadCycle, &[], findings);
    let known: Vec<u32> = only_written.into_iter().chain(only_read).collect();
    note(facts, both, Anomaly::MixedCycle, &known, findings);
}

fn written(facts: &Facts) -> Edges {
    let mut edges = Edges::new();
    for log in facts.logs.values() {
        let writers = || log.iter().map(|entry| facts.writer(entry.value));
        for (one, next) in writers().zip(writers().skip(1)) {
            if let (Some(one), Some(next)) = (one, next) {
                edges.push((one.operation, next.operation));
            }
        }
    }
    edges
}

fn read(facts: &Facts) -> Edges {
    let of_reader = |(reader, operation): (u32, &crate::history::operation::Operation)| {
        let writers = operation.reads().filter_map(|record| facts.writer(record.2));
        writers.map(|write| (write.operation, reader)).collect::<Edges>()
    };
    (0..).zip(facts.history).flat_map(of_reader).collect()
}

/// Notes each set of operations that reach each other, except where one of them is known; gives
/// those that are in one.
fn note(
    facts: &Facts,
    edges: Edges,
    anomaly: Anomaly,
    known: &[u32],
    findings: &mut Findings,
) -> Vec<u32> {
    let graph = Graph::new(facts.history.len(), edges);
    let components = graph.components();
    for component in &components {
        if known.iter().any(|one| component.binary_search(one).is_ok()) {
            continue;
        }
        findings.note(anomaly, || {
            let name = |position: &u32| {
                let operation = facts.operation(*position);
                let process = operation.map_or(0, |operation| operation.process.0);
                format!("operation {position} of process {process}")
            };
            let cycle = graph.cycle(component);
            let shown: Vec<String> = cycle.iter().take(MAX_SHOWN).map(name).collect();
            format!("{} operations in a circle: {}", cycle.len(), shown.join(" → "))
        });
    }
    components.into_iter().flatten().collect()
}
