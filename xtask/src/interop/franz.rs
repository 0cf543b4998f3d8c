//! franz-go's own tests, as they are in the version that `testing/interop/go/go.mod` pins: those
//! that ask a broker.
//!
//! Its two ETL tests chain consumer groups whose members come, commit, and go without committing,
//! in each kind of group that there is, and no record may be lost, doubled, or out of order.

use std::time::Duration;

use super::check::{Checks, Failure, Outcome};
use super::place::Place;
use super::program::Program;
use super::server::{Server, Subject};

/// How long they may take, with their compilation.
const LIMIT: Duration = Duration::from_secs(400);
/// When Go ends them, with a word on what still ran.
const GO_LIMIT: &str = "300s";
/// The package that is tested.
const PACKAGE: &str = "github.com/twmb/franz-go/pkg/kgo";
/// How many records go through each chain of groups; upstream takes ten times as many.
const RECORDS: &str = "50000";
/// Those that ask a broker, without those that would skip: share groups, SASL, brokers of old.
const TESTS: [&str; 30] = [
    "Test848RegexBrokerResolves",
    "TestAddRemovePartitions",
    "TestClient_Produce",
    "TestClient_ProduceLargeMessages",
    "TestConsumeMaxDecompressBatchBytes",
    "TestConsumeRegex",
    "TestConsumeTopicRetrieval",
    "TestConsumeTopicRetrieval_Many",
    "TestDirectPartitionPurge",
    "TestGroupETL",
    "TestGroupSimple",
    "TestHookPollStart",
    "TestIssue1034",
    "TestIssue325",
    "TestIssue337",
    "TestIssue434",
    "TestIssue523",
    "TestIssue648",
    "TestIssue769",
    "TestIssue810",
    "TestIssue831",
    "TestIssue865",
    "TestIssueFetchLargerThanBrokerMaxReadBytes",
    "TestIssueProduceSyncManualPartitionNegativeDoesNotPanic",
    "TestPauseIssue489",
    "TestPauseIssueOct2023",
    "TestPing",
    "TestPooling",
    "TestTxnEtl",
    "TestUnknownGroupOffsetFetchPinned",
];
/// What Go prints when a test held, or a part of one.
const PASSED: &str = "--- PASS: ";
/// What it prints of tests that run, which says nothing about why one failed.
const PROGRESS: [&str; 4] = ["=== ", PASSED, "PASS", "ok "];

/// Runs them.
///
/// # Errors
/// When one fails, is skipped, or is not there.
pub fn run(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let server = Server::start(place, subject, "go-own")?;
    let words = Program::new("go", LIMIT)
        .args(["test", "-mod=readonly", "-count=1", "-v", "-timeout", GO_LIMIT, "-run"])
        .arg(format!("^({})$", TESTS.join("|")))
        .arg(PACKAGE)
        .variable("KGO_SEEDS", server.address())
        .variable("KGO_TEST_RF", "1")
        .variable("KGO_TEST_RECORDS", RECORDS)
        .variable("KGO_LOG_LEVEL", "none")
        .inside(&place.sources("go"))
        .called("franz-go's tests")
        .words()?;
    let passed: Vec<&str> = words.out.lines().filter_map(passed).collect();
    for name in &passed {
        checks.pass(&format!("franz-go: {name}"));
    }
    let missing = missing(&passed);
    if words.is_success && missing.is_empty() {
        return Ok(());
    }
    let why: Vec<&str> = words.out.lines().filter(|line| !is_progress(line)).collect();
    let (missing, why) = (missing.join(", "), why.join("\n"));
    Err(Failure::new(format!("did not hold: {missing}\n{why}\n{}", words.err)))
}

/// The name of a test that held, without how long it took.
fn passed(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix(PASSED)?.split(' ').next()
}

/// Those that were asked for and did not hold: they failed, were skipped, or are not there.
fn missing(passed: &[&str]) -> Vec<&'static str> {
    TESTS.into_iter().filter(|name| !passed.contains(name)).collect()
}

fn is_progress(line: &str) -> bool {
    PROGRESS.iter().any(|start| line.trim_start().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_that_held_count() {
        // A test that failed or was skipped would be counted as one that held.
        let said = "=== RUN   TestPing\n--- PASS: TestPing (0.01s)\n--- FAIL: TestTxnEtl (2.00s)\n    \
                    --- PASS: TestTxnEtl/range (1.00s)\n--- SKIP: TestGroupETL (0.00s)\nFAIL\n";
        let passed: Vec<&str> = said.lines().filter_map(passed).collect();
        assert_eq!(passed, ["TestPing", "TestTxnEtl/range"]);
        let missing = missing(&passed);
        assert_eq!(missing.len(), TESTS.len() - 1);
        assert!(["TestTxnEtl", "TestGroupETL"].iter().all(|name| missing.contains(name)));
    }
}
