//! All simulations, of the machines and of whole brokers: many seeds of each as a table, or one seed
//! again with all that happened.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A simulation: the test that plays it, and what its variables begin with.
struct Suite {
    name: &'static str,
    /// The crate that it is in.
    package: &'static str,
    /// The file of tests that it is in.
    target: &'static str,
    test: &'static str,
    prefix: &'static str,
    /// Seeds that are played if nothing else is asked for: three thousand and more together, and
    /// more than a hundred hours, in some minutes of a shared machine.
    seeds: u64,
}

const SUITES: &[Suite] = &[
    Suite {
        name: "quorum",
        package: "milena-cluster",
        target: "quorum_sim",
        test: "nothing_committed_is_lost_whatever_happens",
        prefix: "QUORUM",
        seeds: 1500,
    },
    Suite {
        name: "replica",
        package: "milena-cluster",
        target: "replica_sim",
        test: "nothing_acknowledged_is_lost_whatever_happens",
        prefix: "REPLICA",
        seeds: 1500,
    },
    Suite {
        name: "controller",
        package: "milena-cluster",
        target: "controller_sim",
        test: "partitions_are_led_by_who_has_everything_whatever_happens",
        prefix: "CONTROLLER",
        seeds: 1500,
    },
    Suite {
        name: "classic-group",
        package: "milena-cluster",
        target: "group",
        test: "sim::groups_come_to_rest_with_each_part_given_once",
        prefix: "CLASSIC_GROUP",
        seeds: 1000,
    },
    Suite {
        name: "migration",
        package: "milena-cluster",
        target: "group",
        test: "migration_sim::groups_of_both_protocols_come_to_rest",
        prefix: "MIGRATION",
        seeds: 500,
    },
    Suite {
        name: "consumer-group",
        package: "milena-cluster",
        target: "consumer_group_sim",
        test: "every_partition_has_one_reader_in_the_end_and_never_two",
        prefix: "CONSUMER_GROUP",
        seeds: 400,
    },
    Suite {
        name: "transaction",
        package: "milena-cluster",
        target: "transaction_sim",
        test: "every_transaction_is_decided_once_whatever_happens",
        prefix: "TRANSACTION",
        seeds: 800,
    },
    Suite {
        name: "brokers",
        package: "milena-brokers",
        target: "brokers",
        test: "nothing_acknowledged_is_lost_whatever_happens",
        prefix: "BROKERS",
        seeds: 60,
    },
    Suite {
        name: "cluster",
        package: "milena-sim",
        target: "cluster",
        test: "nothing_acknowledged_is_lost_whatever_happens_to_the_cluster",
        prefix: "CLUSTER",
        seeds: 1000,
    },
];

const USAGE: &str = "usage: cargo xtask sim [--seeds N] [--first S] [--suite NAME] [--release] \
                     [--json], or --seed S --suite NAME";

#[derive(Debug, Default)]
struct Arguments {
    seeds: Option<u64>,
    first: u64,
    seed: Option<u64>,
    suite: Option<String>,
    is_release: bool,
    is_json: bool,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut number = || {
                let number = rest.next().and_then(|number| number.parse().ok());
                number.ok_or_else(|| format!("{argument} wants a number; {USAGE}"))
            };
            match argument.as_str() {
                "--seeds" => parsed.seeds = Some(number()?),
                "--first" => parsed.first = number()?,
                "--seed" => parsed.seed = Some(number()?),
                "--suite" => parsed.suite = Some(rest.next().ok_or(USAGE)?.clone()),
                "--release" => parsed.is_release = true,
                "--json" => parsed.is_json = true,
                other => return Err(format!("unknown argument {other}; {USAGE}")),
            }
        }
        if let Some(name) = &parsed.suite
            && SUITES.iter().all(|suite| suite.name != name)
        {
            let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
            return Err(format!("there is no suite {name}, but {}", names.join(", ")));
        }
        if parsed.seed.is_some() && parsed.suite.is_none() {
            return Err(format!("whose seed? {USAGE}"));
        }
        Ok(parsed)
    }
}

/// What came of a suite.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct Figure {
    suite: String,
    seeds: u64,
    /// Inputs that machines took.
    steps: u64,
    virtual_hours: f64,
    violations: u64,
    /// How long it took.
    seconds: f64,
    /// How to see each violation again, and what it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    found: Vec<String>,
}

/// Runs what is asked for.
///
/// # Errors
/// Unknown arguments, a test that does not run, or a violation.
pub fn command(root: &Path, arguments: &[String]) -> Result<(), String> {
    let arguments = Arguments::parse(arguments)?;
    let wanted = |suite: &&Suite| arguments.suite.as_ref().is_none_or(|name| name == suite.name);
    let suites = SUITES.iter().filter(wanted);
    if let Some(seed) = arguments.seed {
        return suites.into_iter().try_for_each(|suite| replay(root, suite, seed, &arguments));
    }
    let mut figures = Vec::new();
    for suite in suites {
        let seeds = arguments.seeds.unwrap_or(suite.seeds);
        eprintln!("{}: {seeds} seeds", suite.name);
        figures.push(run(root, suite, seeds, &arguments)?);
    }
    if arguments.is_json {
        let shown = serde_json::to_string_pretty(&figures);
        println!("{}", shown.map_err(|error| error.to_string())?);
    } else {
        print!("{}", table(&figures));
    }
    let found: Vec<&str> =
        figures.iter().flat_map(|figure| &figure.found).map(String::as_str).collect();
    if found.is_empty() { Ok(()) } else { Err(found.join("\n")) }
}

fn cargo(root: &Path, suite: &Suite, is_release: bool) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).arg("test");
    if is_release {
        command.arg("--release");
    }
    command.args(["-p", suite.package, "--test", suite.target, suite.test]);
    command.args(["--", "--exact", "--nocapture"]);
    command
}

/// Shows all that happens in a seed.
fn replay(root: &Path, suite: &Suite, seed: u64, arguments: &Arguments) -> Result<(), String> {
    let mut command = cargo(root, suite, arguments.is_release);
    command.env(format!("{}_SEED", suite.prefix), seed.to_string());
    let status = command.status().map_err(|error| format!("cargo does not run: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("seed {seed} of {} fails", suite.name)) }
}

fn run(root: &Path, suite: &Suite, seeds: u64, arguments: &Arguments) -> Result<Figure, String> {
    let mut command = cargo(root, suite, arguments.is_release);
    command.env(format!("{}_SEEDS", suite.prefix), seeds.to_string());
    command.env(format!("{}_FIRST_SEED", suite.prefix), arguments.first.to_string());
    let begun = Instant::now();
    let output = command.output().map_err(|error| format!("cargo does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = read(suite, &text, begun.elapsed().as_secs_f64());
    let errors = || format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let figure = figure.ok_or_else(|| format!("{} says nothing:\n{}", suite.name, errors()))?;
    if !output.status.success() && figure.violations == 0 {
        return Err(format!("{} failed without a violation:\n{}", suite.name, errors()));
    }
    Ok(figure)
}

/// What a simulation says: `PREFIX: N seeds, S steps, M ms, V violations, …`, and before that a
/// line `PREFIX_SEED=S: VIOLATION` for each violation.
fn read(suite: &Suite, text: &str, seconds: f64) -> Option<Figure> {
    let (head, replay) = (format!("{}: ", suite.prefix), format!("{}_SEED=", suite.prefix));
    let counts = text.lines().find_map(|line| Some(line.split_once(&head)?.1))?;
    let mut counts = counts.split(", ");
    let mut count = |unit: &str| counts.next()?.strip_suffix(unit)?.trim().parse::<u64>().ok();
    let (seeds, steps) = (count("seeds")?, count("steps")?);
    let (millis, violations) = (count("ms")?, count("violations")?);
    let found = text.lines().filter_map(|line| line.split_once(&replay)).map(|(_, line)| {
        let (seed, violation) = line.split_once(": ").unwrap_or((line, ""));
        format!("cargo xtask sim --suite {} --seed {seed}: {violation}", suite.name)
    });
    Some(Figure {
        suite: suite.name.to_owned(),
        seeds,
        steps,
        virtual_hours: millis as f64 / 3_600_000.0,
        violations,
        seconds,
        found: found.collect(),
    })
}

fn table(figures: &[Figure]) -> String {
    let mut text = "| Simulation | Seeds | Steps | Virtual hours | Violations | Seconds |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let mut all = Figure {
        suite: "all".to_owned(),
        seeds: 0,
        steps: 0,
        virtual_hours: 0.0,
        violations: 0,
        seconds: 0.0,
        found: Vec::new(),
    };
    let mut row = |figure: &Figure| {
        let Figure { suite, seeds, steps, virtual_hours, violations, seconds, .. } = figure;
        text.push_str(&format!(
            "| {suite} | {seeds} | {steps} | {virtual_hours:.1} | {violations} | {seconds:.0} |\n"
        ));
    };
    for figure in figures {
        row(figure);
        all.seeds += figure.seeds;
        all.steps += figure.steps;
        all.virtual_hours += figure.virtual_hours;
        all.violations += figure.violations;
        all.seconds += figure.seconds;
    }
    row(&all);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A violation would not be seen, or nobody could look at it again.
    #[test]
    fn what_a_simulation_says_is_read() {
        let text = "running 1 test\nQUORUM_SEED=7: two: lead\n\
                    QUORUM: 10 seeds, 20 steps, 7200000 ms, 1 violations, {\"leader\": 3}\n";
        let figure = read(&SUITES[0], text, 1.0).unwrap();
        assert_eq!((figure.seeds, figure.steps, figure.violations), (10, 20, 1));
        assert!((figure.virtual_hours - 2.0).abs() < 1e-9);
        assert_eq!(figure.found, ["cargo xtask sim --suite quorum --seed 7: two: lead"]);
        assert!(table(&[figure]).ends_with("| all | 10 | 20 | 2.0 | 1 | 1 |\n"));
        assert_eq!(read(&SUITES[0], "test result: ok", 1.0), None);
    }

    /// A seed would be looked for in no simulation, or a name that is wrong play nothing.
    #[test]
    fn a_seed_needs_a_suite_that_there_is() {
        let parse =
            |text: &str| Arguments::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(parse("--seed 7").is_err());
        assert!(parse("--seed 7 --suite nothing").is_err());
        assert_eq!(parse("--seed 7 --suite quorum").unwrap().seed, Some(7));
    }
}
