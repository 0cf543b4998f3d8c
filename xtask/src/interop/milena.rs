//! A broker of ours as a process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::check::{Failure, Outcome};
use super::place::Place;

/// A running broker; killed when it is dropped.
#[derive(Debug)]
pub struct Milena {
    child: Child,
    /// Where clients reach it.
    pub address: String,
    /// Its data directory.
    pub data: PathBuf,
}

impl Milena {
    /// Starts a broker on a directory and a port, 0 for a free one, and waits until it serves.
    /// Its log goes to a file beside the directory.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(place: &Place, data: &Path, port: u16, settings: &[&str]) -> Outcome<Self> {
        let mut broker = Self::spawn(place, data, port, settings)?;
        broker.wait_until_ready()?;
        Ok(broker)
    }

    /// Starts a broker without waiting for it.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn spawn(place: &Place, data: &Path, port: u16, settings: &[&str]) -> Outcome<Self> {
        let log_file = data.with_extension("log");
        let log = File::options().create(true).append(true).open(&log_file);
        let log = log.map_err(Failure::while_doing("cannot write the broker's log"))?;
        let mut command = Command::new(&place.binary);
        command
            .args(["serve", "--set", &format!("log.dirs={}", data.display())])
            .args(["--set", &format!("listeners=PLAINTEXT://127.0.0.1:{port}")])
            .args(["--set", "http.listeners=", "--log-level", "warn"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(Failure::while_doing(format!("cannot run {}", place.binary.display())))?;
        Ok(Self { child, address: String::new(), data: data.to_owned() })
    }

    /// Waits until the start-up screen names the listener and says that it has started.
    ///
    /// # Errors
    /// When it ends before that.
    pub fn wait_until_ready(&mut self) -> Outcome {
        let Some(screen) = self.child.stdout.take() else {
            return Ok(());
        };
        let mut lines = BufReader::new(screen).lines().map_while(Result::ok);
        while let Some(line) = lines.next() {
            if let Some((_, address)) = line.split_once("PLAINTEXT://") {
                address.trim().clone_into(&mut self.address);
            } else if line.contains("started") {
                // The rest of the screen is read as well: nobody should write to a closed pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
        }
        let log = std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
        Err(Failure::new(format!("the broker did not start:\n{log}")))
    }

    /// kill -9, and waits for the end.
    ///
    /// # Errors
    /// When it had already ended by itself, which a broker must not.
    pub fn kill(mut self) -> Outcome {
        let ended = self.child.try_wait().map_err(Failure::while_doing("cannot ask for it"))?;
        if let Some(status) = ended {
            return Err(Failure::new(format!("the broker ended by itself: {status}")));
        }
        self.child.kill().map_err(Failure::while_doing("cannot kill the broker"))?;
        self.child.wait().map_err(Failure::while_doing("cannot wait for the broker"))?;
        Ok(())
    }
}

impl Drop for Milena {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
