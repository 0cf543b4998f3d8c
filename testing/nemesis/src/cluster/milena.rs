//! Milena as a process.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::Node;

/// Names the binary where the command line does not.
const BINARY_VARIABLE: &str = "MILENA_BIN";
/// Where else it may be, below the root of the tree.
const BINARIES: [&str; 2] = ["target/release/milena", "target/debug/milena"];

/// The binary.
///
/// # Errors
/// When there is none.
pub fn binary(given: Option<&Path>) -> io::Result<PathBuf> {
    let named = given.map(Path::to_owned);
    let named = named.or_else(|| std::env::var_os(BINARY_VARIABLE).map(PathBuf::from));
    let candidates = match named {
        Some(binary) => vec![binary],
        None => BINARIES.map(PathBuf::from).to_vec(),
    };
    let found = candidates.iter().find_map(|path| path.canonicalize().ok());
    found.ok_or_else(|| io::Error::other(format!("no milena at {candidates:?}")))
}

/// The command of a node.
#[must_use]
pub fn command(binary: &Path, node: &Node) -> Command {
    let mut command = Command::new(binary);
    command.args(["serve", "--log-level", "info", "--config"]).arg(node.properties());
    command
}

/// Settings that only Milena knows.
#[must_use]
pub fn settings(node: &Node) -> Vec<String> {
    vec![format!("http.listeners=http://127.0.0.1:{}", node.http_port)]
}
