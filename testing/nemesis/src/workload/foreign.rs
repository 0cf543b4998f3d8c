//! Producers of other people's clients: programs that say in lines what became of their records.
//!
//! A line is `ok|info KEY VALUE OFFSET INVOKED COMPLETED`, times in nanoseconds since 1970. A
//! program goes on until its input ends.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;

use super::settings::{Settings, TOPIC};
use crate::cluster::process::mortal;
use crate::history::operation::{
    Action, Key, Offset, Operation, Outcome, Process, Send as Sent, Value,
};
use crate::history::recorder::Recorder;

/// How often it is looked whether it is time to stop.
const PAUSE: Duration = Duration::from_millis(50);

/// Whose client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Apache Kafka's own.
    Java,
    /// franz-go.
    Go,
}

/// A program that was built: its name and first arguments.
pub type Program = Vec<PathBuf>;

/// Builds a producer into a directory.
///
/// # Errors
/// When the compiler is missing or refuses it.
pub fn build(
    language: Language,
    directory: &Path,
    class_path: &dyn Fn() -> io::Result<String>,
) -> io::Result<Program> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    match language {
        Language::Java => {
            let classes = directory.join("classes");
            let jars = class_path()?;
            succeed(
                Command::new("javac")
                    .args(["-Xlint:all,-classfile", "-Werror", "-cp", &jars, "-d"])
                    .arg(&classes)
                    .arg(sources.join("java/Producing.java")),
            )?;
            let path = format!("{}:{jars}", classes.display());
            let heap = ["-Xmx256m", "-XX:+UseSerialGC"];
            let words = ["java", heap[0], heap[1], "-cp", path.as_str(), "Producing"];
            Ok(words.map(PathBuf::from).to_vec())
        }
        Language::Go => {
            let program = directory.join("producing");
            let mut go = Command::new("go");
            go.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".");
            succeed(go.current_dir(sources.join("go")))?;
            Ok(vec![program])
        }
    }
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Runs a program at a rate until it is time to stop, and writes down what it says.
///
/// # Errors
/// When it cannot be run, fails, or says what nobody understands.
pub fn run(
    program: &Program,
    settings: &Settings,
    recorder: &Recorder,
    rate: u64,
    is_over: &AtomicBool,
) -> io::Result<()> {
    let process = recorder.pen().process();
    let first = u64::from(process.0) << 32;
    let Some((name, arguments)) = program.split_first() else { return Ok(()) };
    let mut command = Command::new(name);
    command.args(arguments).args([&settings.bootstrap, TOPIC]).args(
        [u64::from(settings.partitions), rate, settings.size as u64, first]
            .map(|it| it.to_string()),
    );
    let mut child = mortal(&command)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = child.stdin.take();
    let output = child.stdout.take().ok_or_else(|| io::Error::other("it says nothing"))?;
    let listened = std::thread::scope(|scope| {
        let listener = scope.spawn(|| listen(BufReader::new(output), process, recorder));
        while !is_over.load(Ordering::Relaxed) && !listener.is_finished() {
            std::thread::sleep(PAUSE);
        }
        drop(input);
        listener.join()
    });
    let status = child.wait()?;
    match listened {
        Ok(Ok(())) if status.success() => Ok(()),
        Ok(Ok(())) => Err(io::Error::other(format!("a client ended with {status}"))),
        Ok(Err(error)) => Err(error),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn listen(lines: impl BufRead, process: Process, recorder: &Recorder) -> io::Result<()> {
    for line in lines.lines() {
        let line = line?;
        let operation = operation(&line, process, recorder)
            .ok_or_else(|| io::Error::other(format!("a client says {line}")))?;
        recorder.record(operation);
    }
    Ok(())
}

fn operation(line: &str, process: Process, recorder: &Recorder) -> Option<Operation> {
    let mut words = line.split(' ');
    let outcome = match words.next()? {
        "ok" => Outcome::Ok,
        "info" => Outcome::Info,
        _ => return None,
    };
    let key = Key(words.next()?.parse().ok()?);
    let value = Value(words.next()?.parse().ok()?);
    let offset: i64 = words.next()?.parse().ok()?;
    let offset = (offset >= 0).then_some(Offset(offset));
    let invoked = recorder.at(words.next()?.parse().ok()?);
    let completed = Some(recorder.at(words.next()?.parse().ok()?));
    let action = Action::Send(Sent { key, value, offset });
    words.next().is_none().then_some(Operation { process, invoked, completed, outcome, action })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client acknowledged would not be looked for.
    #[test]
    fn lines_of_clients_are_understood() {
        let recorder = Recorder::default();
        let said = "ok 3 77 5 1000 2000\ninfo 3 78 -1 1000 2000\n";
        listen(said.as_bytes(), Process(1), &recorder).unwrap();
        let history = recorder.take();
        let sends: Vec<&Sent> = history.iter().flat_map(Operation::sends).collect();
        let sent = |value, offset| Sent { key: Key(3), value: Value(value), offset };
        assert_eq!(sends, [&sent(77, Some(Offset(5))), &sent(78, None)]);
        assert_eq!((history[0].outcome, history[1].outcome), (Outcome::Ok, Outcome::Info));
        for nonsense in ["ok 3 77 5 1000", "lost 1 2 3 4 5", "ok 3 77 5 1000 2000 1", ""] {
            assert!(operation(nonsense, Process(1), &recorder).is_none(), "{nonsense}");
        }
    }
}
