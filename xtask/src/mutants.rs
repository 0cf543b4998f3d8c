//! Planted bugs: in how many schedules each is found, and in which first. What a simulation is
//! worth shows there; one that finds a bug in one schedule of ten thousand needs other faults.

use std::path::Path;
use std::process::Command;

/// Schedules that are tried for each bug.
const SEEDS: u64 = 1_000;

/// Where bugs are planted: the test, its crate, and the prefixes of the variables that it reads.
const SUITES: &[(&str, &str, &[&str])] = &[
    ("quorum_sim", "milena-cluster", &["QUORUM"]),
    ("group", "milena-cluster", &["CLASSIC_GROUP", "MIGRATION"]),
    ("consumer_group_sim", "milena-cluster", &["CONSUMER_GROUP"]),
    ("transaction_sim", "milena-cluster", &["TRANSACTION"]),
    ("replica_sim", "milena-cluster", &["REPLICA"]),
    ("controller_sim", "milena-cluster", &["CONTROLLER"]),
    ("cluster", "milena-sim", &["CLUSTER"]),
];

/// What became of one bug.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
struct Finding {
    suite: String,
    bug: String,
    /// Schedules in which it was found.
    found: u64,
    /// The first of them.
    first_seed: Option<u64>,
    /// What was violated there.
    violation: String,
}

/// Runs all of them.
///
/// # Errors
/// Unknown arguments, a test that does not run, or a bug that is not found.
pub fn command(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (mut seeds, mut is_json) = (SEEDS, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--json" => is_json = true,
            "--seeds" => {
                let number = rest.next().and_then(|number| number.parse().ok());
                seeds = number.ok_or("--seeds wants a number")?;
            }
            other => return Err(format!("unknown argument {other}; usage: [--seeds N] [--json]")),
        }
    }
    let mut findings = Vec::new();
    for (suite, package, prefixes) in SUITES {
        eprintln!("{suite}: {seeds} schedules for each bug");
        findings.extend(run(root, (suite, package), prefixes, seeds)?);
    }
    if is_json {
        let shown = serde_json::to_string_pretty(&findings);
        println!("{}", shown.map_err(|error| error.to_string())?);
    } else {
        print!("{}", table(&findings, seeds));
    }
    let missed: Vec<&str> =
        findings.iter().filter(|it| it.found == 0).map(|it| it.bug.as_str()).collect();
    if missed.is_empty() { Ok(()) } else { Err(format!("not found: {}", missed.join(", "))) }
}

fn run(
    root: &Path,
    (suite, package): (&str, &str),
    prefixes: &[&str],
    seeds: u64,
) -> Result<Vec<Finding>, String> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--release", "-p", package, "--test", suite])
        .args(["planted_bugs", "--", "--nocapture", "--test-threads=1"])
        .current_dir(root);
    for prefix in prefixes {
        command.env(format!("{prefix}_BUG_SEEDS"), seeds.to_string());
    }
    let output = command.output().map_err(|error| format!("cargo does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found: Vec<Finding> = text.lines().filter_map(|line| read(suite, line)).collect();
    if found.is_empty() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{suite} says nothing of planted bugs:\n{why}"));
    }
    Ok(found)
}

/// What a line of a simulation says of a bug: `NAME: N found, first with seed S: VIOLATION`, or
/// `NAME: not found`.
fn read(suite: &str, line: &str) -> Option<Finding> {
    // What is printed first stands behind the name of its test.
    let line = line.rsplit_once(" ... ").map_or(line, |(_, line)| line);
    let finding = |bug: &str, found, first_seed, violation: &str| Finding {
        suite: suite.to_owned(),
        bug: bug.to_owned(),
        found,
        first_seed,
        violation: violation.to_owned(),
    };
    if let Some(bug) = line.strip_suffix(": not found") {
        return Some(finding(bug, 0, None, ""));
    }
    let (head, rest) = line.split_once(" found, first with seed ")?;
    let (bug, found) = head.rsplit_once(": ")?;
    let (seed, violation) = rest.split_once(": ")?;
    Some(finding(bug, found.parse().ok()?, Some(seed.parse().ok()?), violation))
}

/// The table of `docs/mutants.md`.
fn table(findings: &[Finding], seeds: u64) -> String {
    let mut text = format!(
        "| Simulation | Planted bug | found in, of {seeds} | first | what is violated then |\n\
         | --- | --- | --- | --- | --- |\n"
    );
    for finding in findings {
        let first = finding.first_seed.map_or_else(|| "–".to_owned(), |seed| seed.to_string());
        text.push_str(&format!(
            "| {} | {} | {} | {first} | {} |\n",
            finding.suite,
            finding.bug,
            finding.found,
            shortened(&finding.violation)
        ));
    }
    text
}

/// So much of a violation as a table has room for.
fn shortened(violation: &str) -> String {
    const LONGEST: usize = 90;
    let violation = violation.replace('|', "/");
    match violation.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &violation[..end]),
        None => violation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bug that is not found would not be seen.
    #[test]
    fn what_a_simulation_says_is_read() {
        let found = read("s", "half a majority: 3 found, first with seed 7: two: lead").unwrap();
        assert_eq!((found.bug.as_str(), found.found), ("half a majority", 3));
        assert_eq!((found.first_seed, found.violation.as_str()), (Some(7), "two: lead"));
        let line = "test planted_bugs_are_found ... any report: 1 found, first with seed 0: x";
        assert_eq!(read("s", line).unwrap().bug, "any report");
        assert_eq!(read("s", "half a majority: not found").unwrap().found, 0);
        assert_eq!(read("s", "test result: ok. 1 passed; 0 failed"), None);
    }
}
