//! One line per check; the first that fails ends its suite with what was expected and what came.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How much of what a program said is shown, in characters, at its beginning and at its end.
const SHOWN_CHARS: usize = 800;

/// How often something is asked for that must come.
const POLL: Duration = Duration::from_millis(100);

/// Why a suite ended early: an expectation that was not met, or something that could not be done.
#[derive(Debug)]
pub struct Failure(String);

/// What a step of a suite gives.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that says this.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// Turns any error into a failure that says what was being done.
    pub fn while_doing<E: Display>(what: impl Display) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts and prints what was checked.
#[derive(Debug, Default)]
pub struct Checks {
    passed: usize,
}

impl Checks {
    /// How many passed so far.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// Takes over a line of a program that checks by itself; lines that start with `ok: ` count.
    pub fn take_line(&mut self, line: &str) {
        self.passed += usize::from(line.starts_with("ok: "));
        println!("{line}");
    }

    /// Notes that something held.
    pub fn pass(&mut self, name: &str) {
        self.take_line(&format!("ok: {name}"));
    }

    /// The two must be the same.
    ///
    /// # Errors
    /// When they are not.
    pub fn same(&mut self, name: &str, expected: impl Display, actual: impl Display) -> Outcome {
        let (expected, actual) = (expected.to_string(), actual.to_string());
        if expected != actual {
            return Err(mismatch(name, &expected, &actual));
        }
        self.pass(name);
        Ok(())
    }

    /// What is asked for must be this before long.
    ///
    /// # Errors
    /// When it is not by then.
    pub fn comes(
        &mut self,
        name: &str,
        expected: impl Display,
        within: Duration,
        ask: impl Fn() -> Outcome<String>,
    ) -> Outcome {
        let expected = expected.to_string();
        let actual = awaited(&expected, within, ask);
        self.same(name, expected, actual)
    }

    /// The text must contain each of these.
    ///
    /// # Errors
    /// When one is missing.
    pub fn says(&mut self, name: &str, expected: &[&str], actual: &str) -> Outcome {
        if let Some(missing) = expected.iter().find(|part| !actual.contains(**part)) {
            return Err(mismatch(name, &format!("… {missing} …"), actual));
        }
        self.pass(name);
        Ok(())
    }
}

/// What is asked for, once it is this or the time is over. What cannot be asked yet is not there
/// yet.
pub fn awaited(expected: &str, within: Duration, ask: impl Fn() -> Outcome<String>) -> String {
    let deadline = Instant::now() + within;
    loop {
        let actual = ask().unwrap_or_else(|failure| failure.to_string());
        if actual == expected || Instant::now() > deadline {
            return actual;
        }
        std::thread::sleep(POLL);
    }
}

fn mismatch(name: &str, expected: &str, actual: &str) -> Failure {
    let (expected, actual) = (shortened(expected), shortened(actual));
    Failure(format!("failed: {name}\nexpected: {expected}\nactual:   {actual}"))
}

/// The beginning and the end of a text.
#[must_use]
pub fn shortened(text: &str) -> String {
    let text = text.trim_end();
    let count = text.chars().count();
    if count <= 2 * SHOWN_CHARS {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN_CHARS).collect();
    let tail: String = text.chars().skip(count - SHOWN_CHARS).collect();
    format!("{head}\n… {} characters …\n{tail}", count - 2 * SHOWN_CHARS)
}
