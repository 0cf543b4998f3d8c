//! The few habits that are worth a machine's eye: the arrows between crates, unsafe code in one
//! file, no unwrapping outside of tests, lines that fit, nothing left to do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cycles::Modules;

/// The widest line.
const MAX_COLUMNS: usize = 100;
/// The one file with unsafe code.
const UNSAFE_FILE: &str = "storage/src/map.rs";
/// A crate's folder, and the crates of ours that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("storage", &["milena-protocol"]),
    ("cluster", &["milena-protocol"]),
    ("client", &["milena-protocol"]),
    ("broker", &["milena-protocol", "milena-storage", "milena-cluster", "milena-client"]),
];

/// A source file.
struct Source {
    name: String,
    text: String,
}

/// Everything that breaks a habit, one line each.
///
/// # Errors
/// When the sources cannot be read.
pub fn faults(root: &Path) -> io::Result<Vec<String>> {
    let mut faults = arrow_faults(root)?;
    let sources = sources(root)?;
    for source in &sources {
        file_faults(source, &mut faults);
    }
    for (folder, _) in ARROWS {
        let mut modules = Modules::default();
        let below = format!("{folder}/src/");
        for source in &sources {
            if let Some(file) = source.name.strip_prefix(&below) {
                modules.add(file, &source.text);
            }
        }
        let told = |ring: Vec<String>| format!("{folder}: import each other: {}", ring.join(", "));
        faults.extend(modules.rings().into_iter().map(told));
    }
    Ok(faults)
}

/// Figures about the tree, for people.
///
/// # Errors
/// When the sources cannot be read.
pub fn report(root: &Path) -> io::Result<String> {
    let mut lines: Vec<usize> =
        sources(root)?.iter().map(|source| source.text.lines().count()).collect();
    lines.sort_unstable();
    let at = |share: usize| lines.get(lines.len() * share / 100).copied().unwrap_or(0);
    let long = lines.iter().filter(|count| **count > 800).count();
    Ok(format!(
        "{} files, {} lines; file median {}, p90 {}, {long} over 800",
        lines.len(),
        lines.iter().sum::<usize>(),
        at(50),
        at(90),
    ))
}

fn arrow_faults(root: &Path) -> io::Result<Vec<String>> {
    let mut faults = Vec::new();
    for (folder, allowed) in ARROWS {
        let manifest = fs::read_to_string(root.join(folder).join("Cargo.toml"))?;
        let dependencies = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|name| name.starts_with("milena-") && *name != format!("milena-{folder}"));
        for name in dependencies.filter(|name| !allowed.contains(name)) {
            faults.push(format!("{folder}/Cargo.toml: {folder} may not depend on {name}"));
        }
    }
    Ok(faults)
}

fn file_faults(source: &Source, faults: &mut Vec<String>) {
    let is_test_file = source.name.contains("/tests/")
        || source.name.ends_with("/tests.rs")
        || source.name.contains("/examples/")
        || source.name.starts_with("testing/");
    let is_example = source.name.contains("/examples/");
    let mut tests = Tests::Outside;
    for (at, line) in source.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        tests = tests.behind(line);
        let in_tests = is_test_file || tests != Tests::Outside;
        let mut fault = |what: &str| faults.push(format!("{}:{}: {what}", source.name, at + 1));
        // A row of a table cannot be broken.
        let is_table = line.trim_start().starts_with(['/', '|']) && line.trim_end().ends_with('|');
        if line.chars().count() > MAX_COLUMNS && !line.contains("doc: \"") && !is_table {
            fault("the line is wider than 100 columns");
        }
        let is_unsafe =
            ["unsafe {", "unsafe fn ", "unsafe impl ", "unsafe extern "].iter().any(|start| {
                code.trim_start().starts_with(start) || code.contains(&format!(" {start}"))
            });
        if is_unsafe && source.name != UNSAFE_FILE {
            fault("unsafe code belongs into storage/src/map.rs");
        }
        if !in_tests && (code.contains(".unwrap()") || code.contains("todo!(")) {
            fault("nothing is unwrapped or left to do outside of tests");
        }
        let waits_by_the_clock =
            ["sleep(", "sleep_until("].iter().any(|wait| is_called(code, wait));
        if in_tests && waits_by_the_clock && !is_example && !source.name.starts_with("testing/") {
            fault("a test waits by the clock");
        }
    }
}

/// Whether code calls a function by this name and no longer one.
fn is_called(code: &str, name: &str) -> bool {
    let is_part = |before: char| before.is_alphanumeric() || before == '_';
    code.match_indices(name).any(|(at, _)| {
        let before = code.get(..at).unwrap_or_default();
        !before.ends_with(is_part) && !before.ends_with("fn ")
    })
}

/// Where a line stands: what `#[cfg(test)]` is written on reaches to the end of that item, which
/// rustfmt indents as its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tests {
    Outside,
    /// At the attributes of an item.
    Begin,
    /// In an item whose first line is indented so far.
    Within {
        indent: usize,
    },
    /// In its last line.
    End,
}

impl Tests {
    fn behind(self, line: &str) -> Self {
        let code = line.trim();
        let indent = line.len() - line.trim_start().len();
        match self {
            Self::Outside | Self::End if code == "#[cfg(test)]" => Self::Begin,
            Self::Outside | Self::End => Self::Outside,
            Self::Begin if code.starts_with("#[") || code.starts_with("//") => Self::Begin,
            Self::Begin if code.ends_with([';', '}']) => Self::End,
            Self::Begin => Self::Within { indent },
            Self::Within { indent: first } if indent == first && code.starts_with(['}', ')']) => {
                Self::End
            }
            within => within,
        }
    }
}

fn sources(root: &Path) -> io::Result<Vec<Source>> {
    let folders = ["protocol", "storage", "cluster", "broker", "client", "benches", "testing"];
    let mut found = Vec::new();
    for folder in folders {
        walk(&root.join(folder), &mut found)?;
    }
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            Ok(Source { name, text: fs::read_to_string(&path)? })
        })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> usize {
        let mut faults = Vec::new();
        file_faults(&Source { name: name.into(), text: text.into() }, &mut faults);
        faults.len()
    }

    /// The habits would be looked for and never found.
    #[test]
    fn what_breaks_a_habit_is_found() {
        assert_eq!(found("broker/src/a.rs", "let a = b.unwrap();"), 1);
        assert_eq!(found("broker/src/a.rs", "#[cfg(test)]\nlet a = b.unwrap();"), 0);
        assert_eq!(found("broker/src/a.rs", "unsafe { f() }"), 1);
        assert_eq!(found(UNSAFE_FILE, "unsafe { f() }"), 0);
        assert_eq!(found("broker/tests/a.rs", "std::thread::sleep(second)"), 1);
        assert_eq!(found("broker/tests/a.rs", "tokio::time::sleep(second).await;"), 1);
        assert_eq!(found("broker/tests/a.rs", "    sleep_until(at).await;"), 1);
        assert_eq!(found("broker/tests/a.rs", "fell_asleep(log); fn sleep() {}"), 0);
        assert_eq!(found("broker/src/a.rs", &"x".repeat(101)), 1);
    }

    /// One item for tests would free all that stands behind it.
    #[test]
    fn what_is_for_tests_ends_with_its_item() {
        let unwrap = "let a = b.unwrap();";
        for (item, count) in [
            ("#[cfg(test)]\nmod tests;", 1),
            ("#[cfg(test)]\n#[derive(Debug)]\nstruct A {\n    a: B,\n}", 1),
            ("#[cfg(test)]\nfn f() {\n    a.unwrap();\n}", 1),
            ("impl A {\n    #[cfg(test)]\n    fn f() {\n        a.unwrap();\n    }", 1),
            ("#[cfg(test)]\nmod tests {\n    fn f() {\n        a.unwrap();\n    }", 0),
        ] {
            assert_eq!(found("broker/src/a.rs", &format!("{item}\n{unwrap}")), count, "{item}");
        }
    }

    /// The tree would drift from its habits.
    #[test]
    fn the_tree_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let faults = faults(root).unwrap();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
