//! Runs a target: pool, mutation, execution, and what to say when something is wrong.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::mutate::mutate;
use crate::sample::Random;
use crate::target::{Input, Kind, Target};

/// Inputs that a pool keeps beyond those it began with.
const POOL_GROWTH: usize = 1000;
/// One execution in so many runs an input as it is.
const UNCHANGED_EVERY: usize = 64;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Executions.
    pub executions: u64,
    /// Those whose input was accepted.
    pub accepted: u64,
    /// A hash over all inputs and results: equal for equal seeds.
    pub trace: u64,
    /// How long it took.
    pub took: Duration,
}

/// Something wrong, and the input that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The target.
    pub kind: Kind,
    /// What is wrong.
    pub what: String,
    /// The input.
    pub input: Input,
}

thread_local! {
    static CURRENT: RefCell<Option<(Kind, Input)>> = const { RefCell::new(None) };
}

/// Prints the input that a panic happened on. Call once per process.
pub fn print_input_on_panic() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        previous(info);
        CURRENT.with_borrow(|current| {
            if let Some((kind, input)) = current {
                eprintln!("panic in {}: {}", kind.name(), line(input));
            }
        });
    }));
}

/// An input as one line: which message, and its bytes in hex. What `corpus/` holds.
#[must_use]
pub fn line(input: &Input) -> String {
    input.bytes.iter().fold(format!("{} ", input.which), |mut line, byte| {
        // Writing into a string cannot fail.
        let _ = write!(line, "{byte:02x}");
        line
    })
}

/// Runs one input.
///
/// # Errors
/// The finding, if there is one.
pub fn replay(kind: Kind, input: &Input) -> Result<bool, Finding> {
    execute(&mut Target::new(kind), kind, input)
}

fn execute(target: &mut Target, kind: Kind, input: &Input) -> Result<bool, Finding> {
    CURRENT.with_borrow_mut(|current| match current {
        Some((current_kind, current)) => {
            *current_kind = kind;
            current.which = input.which;
            current.bytes.clear();
            current.bytes.extend_from_slice(&input.bytes);
        }
        None => *current = Some((kind, input.clone())),
    });
    target.run(input).map_err(|what| Finding { kind, what, input: input.clone() })
}

/// Executes a target so many times.
///
/// # Errors
/// The first finding.
pub fn run(kind: Kind, seed: u64, executions: u64) -> Result<Report, Finding> {
    let started = Instant::now();
    let mut target = Target::new(kind);
    let mut pool = target.seeds(seed);
    let seeds = pool.len();
    let mut random = Random(seed);
    let mut report = Report::default();
    let mut input = Input { which: 0, bytes: Vec::new() };
    while report.executions < executions {
        // Half of them start from the valid inputs, which nothing may crowd out.
        let choice = if random.one_in(2) { seeds } else { pool.len() };
        let Some(parent) = pool.get(random.below(choice)) else { break };
        input.which = parent.which;
        input.bytes.clear();
        input.bytes.extend_from_slice(&parent.bytes);
        if !random.one_in(UNCHANGED_EVERY) {
            let other = &pool[random.below(pool.len())];
            mutate(&mut input.bytes, &other.bytes, &mut random);
        }
        let accepted = execute(&mut target, kind, &input)?;
        report.executions += 1;
        report.accepted += u64::from(accepted);
        report.trace = report
            .trace
            .wrapping_mul(31)
            .wrapping_add(input.bytes.len() as u64 * 2 + u64::from(accepted));
        // What still decodes is a better start than what does not; keep some of it.
        if accepted && random.one_in(32) {
            if pool.len() < seeds + POOL_GROWTH {
                pool.push(input.clone());
            } else {
                let slot = seeds + random.below(POOL_GROWTH);
                pool[slot] = input.clone();
            }
        }
    }
    report.took = started.elapsed();
    Ok(report)
}
