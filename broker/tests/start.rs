//! What does not start says why, in one line.

mod process;

use process::Process;

/// A second process would write into the same directory, or a taken port fail without a word.
#[test]
fn a_directory_in_use_is_refused_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Process::start(directory.path(), &[]);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_milena"))
        .args(["serve", "--set", &format!("log.dirs={}", directory.path().display())])
        .args(["--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners="])
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("in use") && said.trim_end().lines().count() == 1, "{said}");
}
