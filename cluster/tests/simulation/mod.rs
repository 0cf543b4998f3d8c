//! What all simulations share: chance that a seed determines, the choice of seeds, and broken
//! assertions that count as violations.
//!
//! Of a simulation NAME, `NAME_SEEDS=N` runs that many seeds, from `NAME_FIRST_SEED` on,
//! `NAME_SEED=S` shows one, and `NAME_BUG_SEEDS=N` counts in how many a planted bug is found.

pub mod rng;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Seeds in which every planted bug has to be found.
const SEEDS_PER_BUG: u64 = 300;

/// So many seeds meet every situation that is expected; fewer may not.
const SEEDS_FOR_ALL: u64 = 100;

/// What came of a seed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What happened, where that was asked for.
    pub transcript: Vec<String>,
    /// A hash of everything that happened, where one is kept.
    pub digest: u64,
    /// Inputs that machines took.
    pub steps: u64,
    /// Milliseconds of virtual time.
    pub millis: u64,
    /// Situations that were met, and how often.
    pub met: BTreeMap<&'static str, u64>,
}

/// What came of a seed, and what was violated.
pub type Outcome = (Report, Option<String>);

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Takes a broken assertion for a violation like any other.
pub fn quietly(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                default(info);
            }
        }));
    });
    IS_QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(false);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Err(panic.downcast_ref::<String>().cloned().or(text).unwrap_or_default())
    })
}

/// What a variable of a simulation says.
pub fn number(simulation: &str, what: &str) -> Option<u64> {
    let name = format!("{simulation}_{what}");
    let text = std::env::var(&name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Runs the seeds that are asked for, `seeds` of them if none are; nothing may be violated, and
/// the `expected` situations, in the order of the alphabet, all have to be met.
pub fn holds(
    simulation: &str,
    seeds: u64,
    run: impl Fn(u64, bool) -> Outcome,
    expected: &[&'static str],
) {
    if let Some(seed) = number(simulation, "SEED") {
        let (report, violation) = run(seed, true);
        report.transcript.iter().for_each(|line| println!("{line}"));
        assert_eq!(violation, None);
        return;
    }
    let seeds = number(simulation, "SEEDS").unwrap_or(seeds);
    let first = number(simulation, "FIRST_SEED").unwrap_or(0);
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut steps, mut millis, mut violations) = (0, 0, 0);
    for seed in first..first + seeds {
        let (report, violation) = run(seed, false);
        if let Some(violation) = violation {
            println!("{simulation}_SEED={seed}: {violation}");
            violations += 1;
        }
        steps += report.steps;
        millis += report.millis;
        report.met.into_iter().for_each(|(what, count)| *met.entry(what).or_default() += count);
    }
    println!(
        "{simulation}: {seeds} seeds, {steps} steps, {millis} ms, {violations} violations, {met:?}"
    );
    assert_eq!(violations, 0, "{simulation}: the seeds are printed above");
    assert!(seeds < SEEDS_FOR_ALL || met.keys().eq(expected), "never met: {met:?}");
}

/// A violation could not be looked at again if a seed did not give the same run twice.
pub fn repeats(run: impl Fn(u64, bool) -> Outcome) {
    for seed in 0..10 {
        let ((one, _), (other, _)) = (run(seed, true), run(seed, true));
        assert_eq!(one.transcript, other.transcript, "seed {seed}");
        assert_eq!(one.digest, other.digest, "seed {seed}");
    }
}

/// Whether a planted bug is found; says how.
pub fn finds(simulation: &str, bug: &str, run: impl Fn(u64, bool) -> Outcome) -> bool {
    let seeds = number(simulation, "BUG_SEEDS");
    let mut findings = Vec::new();
    for seed in 0..seeds.unwrap_or(SEEDS_PER_BUG) {
        if let (_, Some(violation)) = run(seed, false) {
            findings.push((seed, violation));
            if seeds.is_none() {
                break;
            }
        }
    }
    let Some((seed, violation)) = findings.first() else {
        println!("{bug}: not found");
        return false;
    };
    println!("{bug}: {} found, first with seed {seed}: {violation}", findings.len());
    true
}
