//! What does not start says why, in one line.

mod process;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use process::broker::{Broker, batch};
use process::{MILENA, Process};

/// Tries to start; answers the one line that was said.
fn refusal(mut command: Command, directory: &Path, settings: &[&str]) -> String {
    command
        .args(["serve", "--log-level", "error"])
        .args(["--set", &format!("log.dirs={}", directory.display())])
        .args(["--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners="]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "it started; {said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said
}

fn refused(directory: &Path, settings: &[&str]) -> String {
    refusal(Command::new(MILENA), directory, settings)
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not said: {said}");
    }
}

/// A second process would write into the same directory.
#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Process::start(directory.path(), &[]);
    let said = refused(directory.path(), &[]);
    assert_says(&said, &["in use", directory.path().to_str().unwrap(), "log.dirs"]);
}

/// Whoever starts a second broker would look for a fault in the first.
#[test]
fn a_port_that_is_taken_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = refused(directory.path(), &[&format!("listeners=PLAINTEXT://{address}")]);
    assert_says(&said, &["taken", &address.to_string(), "listeners"]);
    let said = refused(directory.path(), &[&format!("http.listeners=http://{address}")]);
    assert_says(&said, &["taken", &address.to_string(), "http.listeners"]);
    // A node that cannot be reached does not touch its data.
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// A broker would mix the records of two clusters, or of two nodes.
#[test]
fn a_directory_of_others_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Process::start(directory.path(), &["node.id=3"]).kill();
    let before = std::fs::read_to_string(directory.path().join("meta.properties")).unwrap();
    let path = directory.path().to_str().unwrap();
    let said = refused(directory.path(), &["cluster.id=AAAAAAAAAAAAAAAAAAAAAQ"]);
    assert_says(&said, &["cluster", "AAAAAAAAAAAAAAAAAAAAAQ", path]);
    let said = refused(directory.path(), &["node.id=4"]);
    assert_says(&said, &["node.id", "3", "4", path]);
    let after = std::fs::read_to_string(directory.path().join("meta.properties")).unwrap();
    assert_eq!(before, after);
    drop(Process::start(directory.path(), &[]));
}

/// A directory that cannot be written would be found out when the first record comes.
#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    assert_says(&refused(&file, &[]), &["data directory", file.to_str().unwrap()]);
    let below = file.join("below");
    assert_says(&refused(&below, &[]), &["data directory", below.to_str().unwrap()]);
    // In a namespace of its own a process has no privilege over this directory.
    if !Command::new("unshare").args(["--user", "true"]).status().is_ok_and(|s| s.success()) {
        eprintln!("NOT TESTED: no user namespace can be made here");
        return;
    }
    let closed = directory.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o555);
    std::fs::set_permissions(&closed, mode).unwrap();
    let mut unprivileged = Command::new("unshare");
    unprivileged.args(["--user", MILENA]);
    let said = refusal(unprivileged, &closed, &[]);
    assert_says(&said, &["data directory", closed.to_str().unwrap(), "ermission"]);
}

/// A mistyped setting would be taken for another, or its message send the reader searching.
#[test]
fn a_wrong_value_is_named_with_the_right_ones() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str]); 6] = [
        ("num.partitions=many", &["num.partitions", "many", "integer"]),
        ("num.partitions=0", &["num.partitions", "0", "at least 1"]),
        ("log.cleanup.policy=shred", &["log.cleanup.policy", "shred", "compact, delete"]),
        ("compression.type=rar", &["compression.type", "rar", "zstd"]),
        ("auto.create.topics.enable=maybe", &["auto.create.topics.enable", "maybe", "true"]),
        ("listeners=PLAINTEXT//nowhere", &["listeners", "PLAINTEXT//nowhere"]),
    ];
    for (setting, parts) in cases {
        assert_says(&refused(directory.path(), &[setting]), parts);
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// A log that a kill left behind its topic would lie there unseen, or be taken for another's.
#[test]
fn a_log_without_a_topic_is_put_aside() {
    let mut broker = Broker::start(&[]);
    broker.create("kept", &[]);
    broker.produce("kept", batch(&[1]));
    let root = broker.directory.path();
    let stray = root.join("stray-0");
    std::fs::create_dir(&stray).unwrap();
    for entry in std::fs::read_dir(root.join("kept-0")).unwrap() {
        let file = entry.unwrap();
        std::fs::copy(file.path(), stray.join(file.file_name())).unwrap();
    }
    let mut broker = broker.restart(&[]);
    assert_eq!(broker.list("kept", -1).offset.0, 1);
    let names = |ending: &str| {
        let entries = std::fs::read_dir(broker.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("stray-0") && name.ends_with(ending)).count()
    };
    assert_eq!((names(""), names("-stray")), (1, 1));
}

/// After a power cut offsets are given out again, and in the old epoch no consumer could tell.
#[test]
fn a_restart_of_the_machine_begins_a_new_leader_epoch() {
    let mut broker = Broker::start(&[]);
    broker.create("topic", &[]);
    broker.produce("topic", batch(&[1]));
    let epoch = |broker: &mut Broker| broker.list("topic", -1).leader_epoch.0;
    assert_eq!(epoch(&mut broker), 0);
    let mut broker = broker.restart(&[]);
    assert_eq!(epoch(&mut broker), 0, "the kernel kept what was written");
    let witness = broker.directory.path().join("loss-witness");
    let text = std::fs::read_to_string(&witness).unwrap();
    let (body, _) = text.split_at(text.rfind("crc=").unwrap());
    let other = body.replace("boot.id=", "boot.id=another-");
    let crc = crc32fast::hash(other.as_bytes());
    std::fs::write(&witness, format!("{other}crc={crc:08x}\n")).unwrap();
    let mut broker = broker.restart(&[]);
    assert_eq!(epoch(&mut broker), 1);
}
