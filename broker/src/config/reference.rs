//! The page of all keys, made from their declarations.

use std::fmt::Write;

use super::acting::{Acting, acting};
use super::declared::{Declared, Scope, all, at_run_time, legal_values};

const HEAD: &str = "\
# Configuration

This page is generated from the declarations in the code; `UPDATE=1 cargo test -p milena \
configuration_page` writes it anew.

A node needs no configuration. What it is told comes from four places; a later one wins:

1. the defaults below,
2. a file in Java's properties format: `milena serve --config server.properties`,
3. the environment: `KAFKA_LOG_DIRS` and `KAFKA_CFG_LOG_DIRS` mean `log.dirs` (`_` for `.`, `__` \
for `_`, `___` for `-`); `CLUSTER_ID` means `cluster.id`,
4. `--set key=value`, as often as needed; of one key the last counts.

Unknown keys, and keys that Kafka 4 removed, are named in a warning and ignored. A wrong value is \
an error that names key, value, source and legal values. `milena config explain [KEY]` prints \
what holds and where it comes from; passwords are never shown, neither there nor in logs.

Data lies in `$XDG_DATA_HOME/milena`, else in `~/.local/share/milena`, so that the same broker is \
found again from wherever it is started; where there is no home, in `./milena-data`. `log.dirs` \
says otherwise.

`listener.name.<listener>.<key>` sets a key for one listener.
";

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "Keys that Milena acts on", |declared| acting(declared.name) == Acting::Yes);
    section(&mut page, "Keys that are accepted and have no effect", |declared| {
        acting(declared.name) != Acting::Yes
    });
    page
}

fn section(page: &mut String, title: &str, holds: impl Fn(&Declared) -> bool) {
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## {title}\n\n");
    page.push_str("| key | type | default | legal values | at run time | meaning |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    let told = |declared: &&Declared| declared.scope != Scope::Internal && holds(declared);
    for declared in all().iter().filter(told) {
        let default = declared.default.map_or("–".to_owned(), code);
        let doc = match acting(declared.name) {
            Acting::Yes => declared.doc.to_owned(),
            Acting::No(reason) => format!("{} Without effect: {reason}.", declared.doc),
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {default} | {} | {} | {} |",
            declared.name,
            declared.kind.name(),
            cell(&legal_values(declared)),
            at_run_time(declared),
            cell(&doc),
        );
    }
}

fn code(text: &str) -> String {
    if text.is_empty() { "empty".to_owned() } else { format!("`{}`", cell(text)) }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
