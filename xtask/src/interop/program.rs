//! Running other people's programs: with a deadline, and with their words at hand.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::check::{Checks, Failure, Outcome, shortened};

/// What `timeout` of the coreutils ends with when it had to stop its program.
const STOPPED: i32 = 124;
/// What it ends with when there is no such program.
const MISSING: i32 = 127;

/// A program to run. It is stopped when its time is over.
#[derive(Debug)]
pub struct Program {
    command: Command,
    name: String,
    limit: Duration,
}

/// What a program left.
#[derive(Debug)]
pub struct Words {
    /// Whether it ended well.
    pub is_success: bool,
    /// What it wrote to its standard output.
    pub out: String,
    /// What it wrote to its standard error.
    pub err: String,
}

impl std::ops::AddAssign for Words {
    fn add_assign(&mut self, later: Self) {
        self.is_success &= later.is_success;
        self.out += &later.out;
        self.err += &later.err;
    }
}

impl Words {
    /// What it said, cut to what can be read.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}\n{}", shortened(&self.out), shortened(&self.err))
    }
}

impl Program {
    /// A program that may run for so long.
    pub fn new(program: impl AsRef<OsStr>, limit: Duration) -> Self {
        let name = Path::new(&program).file_name().unwrap_or(program.as_ref());
        let mut command = Command::new("timeout");
        command.arg("--kill-after=5").arg(limit.as_secs().to_string()).arg(program.as_ref());
        Self { command, name: name.to_string_lossy().into_owned(), limit }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in a directory.
    #[must_use]
    pub fn inside(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Calls it by another name in messages.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Runs it and gives what it wrote, however it ended.
    ///
    /// # Errors
    /// When it cannot be started or has to be stopped.
    pub fn words(self) -> Outcome<Words> {
        self.words_for("")
    }

    /// The same, with an input.
    ///
    /// # Errors
    /// When it cannot be started or has to be stopped.
    pub fn words_for(mut self, input: &str) -> Outcome<Words> {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Failure::while_doing(format!("cannot run {}", self.name)))?;
        let pipe = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Beside the reading: a program may talk before it has heard everything.
            scope.spawn(move || {
                if let Some(mut pipe) = pipe {
                    // One that ends without hearing it says by its result what it thinks of that.
                    let _ = pipe.write_all(input.as_bytes());
                }
            });
            child.wait_with_output()
        });
        let output =
            output.map_err(Failure::while_doing(format!("cannot wait for {}", self.name)))?;
        let words = Words {
            is_success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        if output.status.code() == Some(MISSING) {
            return Err(Failure::new(format!("there is no {} on this machine", self.name)));
        }
        if output.status.code() == Some(STOPPED) {
            return Err(Failure::new(format!(
                "{} did not end within {} s; it said:\n{}",
                self.name,
                self.limit.as_secs(),
                words.shown()
            )));
        }
        Ok(words)
    }

    /// Runs it and gives its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn out(self) -> Outcome<String> {
        let name = self.name.clone();
        let words = self.words()?;
        if words.is_success {
            return Ok(words.out);
        }
        Err(Failure::new(format!("{name} failed:\n{}", words.shown())))
    }

    /// Runs a program that prints its own checks and ends with a failure when one does not hold.
    ///
    /// # Errors
    /// When it fails.
    pub fn checks(mut self, checks: &mut Checks) -> Outcome {
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::while_doing(format!("cannot run {}", self.name)))?;
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                checks.take_line(&line);
            }
        }
        let status =
            child.wait().map_err(Failure::while_doing(format!("cannot wait for {}", self.name)))?;
        match status.code() {
            Some(0) => Ok(()),
            Some(STOPPED) => Err(Failure::new(format!(
                "{} did not end within {} s",
                self.name,
                self.limit.as_secs()
            ))),
            _ => Err(Failure::new(format!("{} failed ({status})", self.name))),
        }
    }
}
