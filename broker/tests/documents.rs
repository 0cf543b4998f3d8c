//! The examples of the documents, run as they stand there.

mod process;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use process::Process;

/// A command of a document with what it is said to print.
struct Example {
    line: usize,
    command: String,
    expected: Vec<String>,
}

fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut is_console = false;
    for (index, line) in document.lines().enumerate() {
        if line.starts_with("```") {
            is_console = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
            let command = command.to_owned();
            examples.push(Example { line: index + 1, command, expected: Vec::new() });
        } else if let Some(example) = examples.last_mut().filter(|_| is_console) {
            example.expected.push(line.to_owned());
        }
    }
    examples
}

/// Whether printed lines are those expected; `…` stands for anything at the end of a line, alone
/// for any number of lines.
fn matches(expected: &[String], printed: &[&str]) -> bool {
    let Some((first, rest)) = expected.split_first() else {
        return printed.is_empty();
    };
    if first == "…" {
        return (0..=printed.len()).any(|skip| matches(rest, &printed[skip..]));
    }
    let Some((line, behind)) = printed.split_first() else {
        return false;
    };
    let is_same = match first.split_once('…') {
        Some((begin, end)) => {
            line.starts_with(begin.trim_end()) && line.ends_with(end.trim_start())
        }
        None => first == line.trim_end(),
    };
    is_same && matches(rest, behind)
}

/// A newcomer who copies an example would see something else than the document says.
#[test]
fn examples_of_the_command_line_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = std::fs::read_to_string(root.join("docs/command-line.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let broker = Process::start(directory.path(), &[]);
    let binary = Path::new(env!("CARGO_BIN_EXE_milena")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let examples = examples(&document);
    assert!(examples.len() > 10, "the document has examples");
    let mut wrong = String::new();
    for Example { line, command, expected } in examples {
        let output = Command::new("sh")
            .args(["-c", &command])
            .env("PATH", &path)
            .env("MILENA_BOOTSTRAP", &broker.address)
            .env("DATA", directory.path())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let printed: Vec<&str> = printed.lines().collect();
        if !output.status.success() || !matches(&expected, &printed) {
            let error = String::from_utf8_lossy(&output.stderr);
            writeln!(wrong, "line {line}: {command}\n{}\n{error}", printed.join("\n")).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
