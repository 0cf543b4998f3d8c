//! Apache Kafka as a process, from its jars.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::plan::Node;

/// Where the jars may be, below the root of the tree; `cargo xtask interop` installs the first.
const JARS: [&str; 2] = ["target/interop/kafka", "target/kafka"];
/// Any 16 bytes in base64.
const CLUSTER_ID: &str = "bWlsZW5hLW5lbWVzaXMtMQ";
/// As large as in the other comparisons.
const HEAP: [&str; 3] = ["-Xms1g", "-Xmx1g", "-XX:+UseG1GC"];
/// For programs that do not live long.
const QUICK: [&str; 3] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"];

/// The class path.
///
/// # Errors
/// When there are no jars.
pub fn class_path(given: Option<&Path>) -> io::Result<String> {
    let candidates = given.map_or_else(|| JARS.map(PathBuf::from).to_vec(), |one| vec![one.into()]);
    let found = candidates.iter().find_map(|path| path.canonicalize().ok());
    let found = found.ok_or_else(|| io::Error::other(format!("no jars at {candidates:?}")))?;
    Ok(format!("{}/*", found.display()))
}

/// Formats a node's directory, as Kafka wants it before the first start.
///
/// # Errors
/// When the tool cannot be run or refuses.
pub fn format(class_path: &str, node: &Node) -> io::Result<()> {
    let output = Command::new("java")
        .args(QUICK)
        .args(["-cp", class_path, "kafka.tools.StorageTool", "format"])
        .args(["--cluster-id", CLUSTER_ID, "--config"])
        .arg(node.properties())
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = [output.stdout, output.stderr].concat();
    Err(io::Error::other(String::from_utf8_lossy(&words).into_owned()))
}

/// The command of a node.
#[must_use]
pub fn command(class_path: &str, node: &Node) -> Command {
    let mut command = Command::new("java");
    command.args(HEAP).args(["-cp", class_path, "kafka.Kafka"]).arg(node.properties());
    command
}
