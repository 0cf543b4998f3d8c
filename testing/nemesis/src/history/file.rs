//! Histories as files: one operation a line, in JSON, so that a run can be judged again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use super::operation::Operation;

/// Writes a history.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, history: &[Operation]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for operation in history {
        serde_json::to_writer(&mut out, operation)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads a history. A line that is no operation is an error that names the line.
///
/// # Errors
/// When the file cannot be read or holds something else.
pub fn read(path: &Path) -> io::Result<Vec<Operation>> {
    read_lines(BufReader::new(File::open(path)?))
}

fn read_lines(lines: impl BufRead) -> io::Result<Vec<Operation>> {
    let parse = |(at, line): (usize, io::Result<String>)| {
        serde_json::from_str(&line?).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", at + 1))
        })
    };
    lines.lines().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::super::operation::{
        Action, Instant, Key, Offset, Outcome, Process, Record, Send, Step, Value,
    };
    use super::*;

    fn history() -> Vec<Operation> {
        let send = |offset| Send { key: Key(1), value: Value(7), offset };
        let actions = [
            Action::Send(send(Some(Offset(3)))),
            Action::Poll(vec![Record(Key(1), Offset(3), Value(7))]),
            Action::Transaction(vec![Step::Send(send(None)), Step::Poll(Vec::new())]),
            Action::Assign(vec![Key(0)]),
            Action::Subscribe(Vec::new()),
            Action::Seek(vec![Key(0)]),
        ];
        let operation = |(at, action)| Operation {
            process: Process(2),
            invoked: Instant(at),
            completed: (at > 0).then_some(Instant(at + 1)),
            outcome: Outcome::Info,
            action,
        };
        (0..).zip(actions).map(operation).collect()
    }

    /// A failing run could not be judged again.
    #[test]
    fn a_history_is_read_as_it_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), &history()).unwrap();
        assert_eq!(read(file.path()).unwrap(), history());
    }

    /// A damaged file would be judged good.
    #[test]
    fn a_line_that_is_no_operation_is_named() {
        let error = read_lines(&b"{\"process\":1}\n"[..]).unwrap_err();
        assert!(error.to_string().starts_with("line 1: missing field"), "{error}");
    }
}
