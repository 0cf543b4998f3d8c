//! Elections in which all voters time out at once, with the common coin and with plain jitter: the
//! figures of `docs/quorum.md`.

use std::path::Path;
use std::process::Command;

/// Elections of each kind.
const ELECTIONS: u64 = 10_000;

/// What came of the elections of one kind.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
struct Figure {
    /// How the voters wait.
    waits: String,
    voters: u64,
    /// Milliseconds that a message takes at most.
    delay_ms: u64,
    /// How all come to time out at once.
    cause: String,
    elections: u64,
    /// Elections that needed more than one round.
    again: u64,
    /// Rounds of all together.
    rounds: u64,
    /// Milliseconds until a leader had committed something, on average.
    mean_ms: u64,
}

/// Plays them.
///
/// # Errors
/// Unknown arguments, a test that does not run, or more second rounds than there may be.
pub fn command(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (mut elections, mut is_json) = (ELECTIONS, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--json" => is_json = true,
            "--elections" => {
                let number = rest.next().and_then(|number| number.parse().ok());
                elections = number.ok_or("--elections wants a number")?;
            }
            other => {
                return Err(format!("unknown argument {other}; usage: [--elections N] [--json]"));
            }
        }
    }
    let output = Command::new(env!("CARGO"))
        .args(["test", "-p", "milena-cluster", "--test", "quorum_sim", "elections::"])
        .args(["--", "--nocapture"])
        .env("QUORUM_ELECTIONS", elections.to_string())
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<Figure> = text.lines().filter_map(read).collect();
    if is_json {
        let shown = serde_json::to_string_pretty(&figures);
        println!("{}", shown.map_err(|error| error.to_string())?);
    } else {
        print!("{}", table(&figures));
    }
    if output.status.success() && !figures.is_empty() {
        return Ok(());
    }
    Err(format!("the elections failed:\n{text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// What a line of the simulation says, `election | WAITS | VOTERS | DELAY | CAUSE | ELECTIONS |
/// AGAIN | ROUNDS | MEAN`.
fn read(line: &str) -> Option<Figure> {
    let (_, line) = line.split_once("election | ")?;
    let words: Vec<&str> = line.split(" | ").collect();
    let [waits, voters, delay_ms, cause, elections, again, rounds, mean_ms] = words[..] else {
        return None;
    };
    Some(Figure {
        waits: waits.to_owned(),
        voters: voters.parse().ok()?,
        delay_ms: delay_ms.parse().ok()?,
        cause: cause.to_owned(),
        elections: elections.parse().ok()?,
        again: again.parse().ok()?,
        rounds: rounds.parse().ok()?,
        mean_ms: mean_ms.parse().ok()?,
    })
}

/// The table of `docs/quorum.md`: a line for each scene, beside each other how the voters wait.
fn table(figures: &[Figure]) -> String {
    let mut waits: Vec<&str> = Vec::new();
    let mut scenes: Vec<(&str, u64, u64)> = Vec::new();
    for figure in figures {
        let scene = (figure.cause.as_str(), figure.delay_ms, figure.voters);
        if !waits.contains(&figure.waits.as_str()) {
            waits.push(&figure.waits);
        }
        if !scenes.contains(&scene) {
            scenes.push(scene);
        }
    }
    let mut text = format!("| At once | Messages take up to | Voters | {} |\n", waits.join(" | "));
    text.push_str(&format!("| --- | --- | --- |{}\n", " --- |".repeat(waits.len())));
    for (cause, delay_ms, voters) in scenes {
        text.push_str(&format!("| {cause} | {delay_ms} ms | {voters} |"));
        for waits in &waits {
            let found = figures.iter().find(|it| {
                it.waits == *waits
                    && (it.cause.as_str(), it.delay_ms, it.voters) == (cause, delay_ms, voters)
            });
            let cell = found.map_or_else(String::new, |figure| {
                let share = figure.again as f64 * 100.0 / figure.elections.max(1) as f64;
                format!("{share:.2} %, {} ms", figure.mean_ms)
            });
            text.push_str(&format!(" {cell} |"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table would be empty, or say something else than the simulation.
    #[test]
    fn what_the_simulation_says_is_read() {
        let line = "election | common coin | 3 | 5 | begin together | 100 | 2 | 103 | 1071";
        let figure = read(line).unwrap();
        assert_eq!((figure.voters, figure.again, figure.mean_ms), (3, 2, 1071));
        let table = table(&[figure]);
        assert!(table.ends_with("| begin together | 5 ms | 3 | 2.00 %, 1071 ms |\n"), "{table}");
        assert_eq!(read("test result: ok. 1 passed"), None);
    }
}
