//! Hand-made histories: each anomaly in the smallest history that shows it, and histories that look
//! odd and are not. A checker that cannot find them, or finds more, would prove nothing.
//!
//! Notation: a line is a process, an outcome and an action. `0=7@3` is value 7 of key 0 at
//! offset 3; in a transaction `!` marks a send and `?` a read.

use milena_nemesis::history::check::anomaly::Anomaly;
use milena_nemesis::history::check::verdict::Verdict;
use milena_nemesis::history::model;
use milena_nemesis::history::operation::{
    Action, Instant, Key, Offset, Operation, Outcome, Process, Record, Send, Step, Value,
};

fn send(text: &str) -> Send {
    let (key, rest) = text.split_once('=').unwrap();
    let (value, offset) = match rest.split_once('@') {
        Some((value, offset)) => (value, Some(Offset(offset.parse().unwrap()))),
        None => (rest, None),
    };
    Send { key: Key(key.parse().unwrap()), value: Value(value.parse().unwrap()), offset }
}

fn record(text: &str) -> Record {
    let Send { key, value, offset } = send(text);
    Record(key, offset.unwrap(), value)
}

fn step(text: &str) -> Step {
    match text.split_at(1) {
        ("!", rest) => Step::Send(send(rest)),
        (_, rest) => Step::Poll(vec![record(rest)]),
    }
}

fn operation(at: u64, line: &str) -> Operation {
    let words: Vec<&str> = line.split_whitespace().collect();
    let keys = || words[3..].iter().map(|key| Key(key.parse().unwrap())).collect();
    Operation {
        process: Process(words[0].parse().unwrap()),
        invoked: Instant(at),
        completed: None,
        outcome: match words[1] {
            "ok" => Outcome::Ok,
            "fail" => Outcome::Fail,
            _ => Outcome::Info,
        },
        action: match words[2] {
            "send" => Action::Send(send(words[3])),
            "poll" => Action::Poll(words[3..].iter().map(|word| record(word)).collect()),
            "txn" => Action::Transaction(words[3..].iter().map(|word| step(word)).collect()),
            "assign" => Action::Assign(keys()),
            "seek" => Action::Seek(keys()),
            _ => Action::Subscribe(keys()),
        },
    }
}

#[track_caller]
fn shows(lines: &[&str], expected: &[(Anomaly, u64)]) {
    let history: Vec<Operation> = (0..).zip(lines).map(|(at, line)| operation(at, line)).collect();
    let verdict = Verdict::of(&history);
    let found: Vec<(Anomaly, u64)> =
        verdict.findings.iter().map(|(anomaly, found)| (anomaly, found.count)).collect();
    assert_eq!(found, expected, "{verdict}");
    assert_eq!(verdict.is_good(), expected.iter().all(|(anomaly, _)| !anomaly.is_violation()));
}

/// Split brain would pass.
#[test]
fn two_values_at_one_offset_are_found() {
    let lines = ["0 ok send 0=1@0", "1 ok send 0=2@0", "2 ok poll 0=1@0", "3 ok poll 0=2@0"];
    shows(&lines, &[(Anomaly::InconsistentOffsets, 1)]);
}

/// Two readers that see different things would pass where nothing was acknowledged.
#[test]
fn two_readings_of_one_offset_are_found() {
    let lines = ["0 info send 0=1", "0 info send 0=2", "2 ok poll 0=1@0", "3 ok poll 0=2@0"];
    shows(&lines, &[(Anomaly::InconsistentOffsets, 1)]);
}

/// A retry that was appended again would pass.
#[test]
fn a_value_at_two_offsets_is_found() {
    shows(&["0 ok send 0=1@0", "2 ok poll 0=1@0 0=1@1"], &[(Anomaly::Duplicate, 1)]);
}

/// An acknowledgement with a wrong offset would pass.
#[test]
fn a_value_elsewhere_than_acknowledged_is_found() {
    shows(&["0 ok send 0=1@0", "2 ok poll 0=1@1"], &[(Anomaly::Duplicate, 1)]);
}

/// Garbage would pass for a record.
#[test]
fn a_value_that_nobody_sent_is_found() {
    shows(&["2 ok poll 0=1@0"], &[(Anomaly::Phantom, 1)]);
    shows(
        &["0 ok send 1=1@0", "2 ok poll 0=1@0"],
        &[(Anomaly::Duplicate, 1), (Anomaly::Phantom, 1)],
    );
}

/// The loss of what was acknowledged would pass.
#[test]
fn an_acknowledged_value_that_is_left_out_is_lost() {
    let lines = ["0 ok send 0=1@0", "0 ok send 0=2@1", "2 ok poll 0=2@1"];
    shows(&lines, &[(Anomaly::LostWrite, 1)]);
}

/// The loss of a log's end would pass.
#[test]
fn an_acknowledged_value_behind_all_reads_is_unseen() {
    let lines = ["0 ok send 0=1@0", "0 ok send 0=2@1", "2 ok poll 0=1@0"];
    shows(&lines, &[(Anomaly::Unseen, 1)]);
    shows(&["0 ok send 0=1"], &[(Anomaly::Unseen, 1)]);
}

/// Half a transaction would pass.
#[test]
fn a_transaction_of_which_a_part_was_read_is_there_whole() {
    let lines = ["0 info txn !0=1@0 !1=2@0", "0 ok send 1=3@2", "2 ok poll 0=1@0 1=3@2"];
    shows(&lines, &[(Anomaly::LostWrite, 1)]);
}

/// What was aborted or refused would be shown to readers.
#[test]
fn a_value_that_failed_is_not_read() {
    shows(&["0 fail send 0=1", "2 ok poll 0=1@0"], &[(Anomaly::AbortedRead, 1)]);
    shows(&["0 fail txn !0=1@0", "2 ok poll 0=1@0"], &[(Anomaly::AbortedRead, 1)]);
}

/// A transaction would see its own open records.
#[test]
fn a_transaction_does_not_read_its_own_sends() {
    shows(&["0 ok txn !0=1@0 ?0=1@0"], &[(Anomaly::PrecommittedRead, 1)]);
}

/// A consumer that leaves records out would pass once somebody else read them.
#[test]
fn a_skip_between_polls_is_found() {
    let lines = [
        "0 ok send 0=1@0",
        "0 ok send 0=2@1",
        "0 ok send 0=3@2",
        "1 ok poll 0=1@0 0=2@1 0=3@2",
        "2 ok poll 0=1@0",
        "2 ok poll 0=3@2",
    ];
    shows(&lines, &[(Anomaly::PollSkip, 1)]);
}

/// What an aborted transaction read would count as left out.
#[test]
fn who_does_not_go_back_after_an_abort_goes_on_behind_it() {
    let lines = [
        "0 ok send 0=1@0",
        "0 ok send 0=2@1",
        "0 ok send 0=3@2",
        "2 ok poll 0=1@0",
        "2 fail txn ?0=2@1",
        "2 ok poll 0=3@2",
    ];
    shows(&lines, &[]);
}

/// The same within one answer.
#[test]
fn a_skip_within_a_poll_is_found() {
    let lines = [
        "0 ok send 0=1@0",
        "0 ok send 0=2@1",
        "0 ok send 0=3@2",
        "1 ok poll 0=1@0 0=2@1 0=3@2",
        "2 ok poll 0=1@0 0=3@2",
    ];
    shows(&lines, &[(Anomaly::InternalPollSkip, 1)]);
}

/// A consumer that is thrown back would pass.
#[test]
fn a_step_back_between_polls_is_found() {
    let lines = ["0 ok send 0=1@0", "0 ok send 0=2@1", "2 ok poll 0=1@0 0=2@1", "2 ok poll 0=1@0"];
    shows(&lines, &[(Anomaly::NonmonotonicPoll, 1)]);
}

/// The same within one answer.
#[test]
fn a_step_back_within_a_poll_is_found() {
    let lines = ["0 ok send 0=1@0", "0 ok send 0=2@1", "2 ok poll 0=2@1 0=1@0"];
    shows(&lines, &[(Anomaly::InternalNonmonotonicPoll, 1)]);
}

/// Going back on purpose would be taken for a fault.
#[test]
fn who_seeks_or_begins_anew_may_go_anywhere() {
    let sent =
        ["0 ok send 0=1@0", "0 ok send 0=2@1", "0 ok send 0=3@2", "2 ok poll 0=1@0 0=2@1 0=3@2"];
    for between in ["2 ok seek 0", "2 ok subscribe 0", "2 ok assign 1"] {
        let lines = [&sent[..], &[between, "2 ok poll 0=1@0"]].concat();
        shows(&lines, &[]);
    }
    let kept = [&sent[..], &["2 ok assign 0 1", "2 ok poll 0=1@0"]].concat();
    shows(&kept, &[(Anomaly::NonmonotonicPoll, 1)]);
}

/// A reordering of what one producer sent would pass.
#[test]
fn a_later_send_before_an_earlier_one_is_found() {
    let lines = ["0 ok send 0=1@1", "0 ok send 0=2@0", "2 ok poll 0=2@0 0=1@1"];
    shows(&lines, &[(Anomaly::NonmonotonicSend, 1)]);
}

/// A late retry would pass where its outcome was not known.
#[test]
fn a_send_of_unknown_outcome_keeps_its_place() {
    let lines = ["0 info send 0=1", "0 ok send 0=2@0", "2 ok poll 0=2@0 0=1@1"];
    shows(&lines, &[(Anomaly::NonmonotonicSend, 1)]);
}

/// Records of one transaction would change places.
#[test]
fn a_later_send_of_a_transaction_stands_later() {
    let lines = ["0 ok txn !0=1@1 !0=2@0", "2 ok poll 0=2@0 0=1@1"];
    shows(&lines, &[(Anomaly::InternalNonmonotonicSend, 1)]);
}

/// What Kafka allows would be called a violation, or not be told.
#[test]
fn sends_of_others_between_those_of_a_transaction_are_allowed() {
    let lines = ["0 ok txn !0=1@0 !0=2@2", "1 ok send 0=3@1", "2 ok poll 0=1@0 0=3@1 0=2@2"];
    shows(&lines, &[(Anomaly::InternalSendSkip, 1), (Anomaly::WriteCycle, 1)]);
}

/// Transactions that each write before the other would not be told.
#[test]
fn a_circle_of_writes_is_told() {
    let lines =
        ["0 ok txn !0=1@0 !1=2@1", "1 ok txn !0=3@1 !1=4@0", "2 ok poll 0=1@0 0=3@1 1=4@0 1=2@1"];
    shows(&lines, &[(Anomaly::WriteCycle, 1)]);
}

/// Two transactions that each read the other's records would pass.
#[test]
fn a_circle_of_reads_is_found() {
    let lines = ["0 ok txn !0=1@0 ?1=2@0", "1 ok txn !1=2@0 ?0=1@0"];
    shows(&lines, &[(Anomaly::ReadCycle, 1)]);
}

/// A circle of both kinds would not be told, or be called a violation.
#[test]
fn a_circle_of_reads_and_writes_is_told() {
    let lines = [
        "0 ok txn !0=1@0 !1=2@0",
        "1 ok txn !0=3@1 !2=4@0",
        "3 ok txn ?2=4@0 !1=5@1",
        "2 ok poll 0=1@0 0=3@1 1=2@0 1=5@1",
    ];
    shows(&lines, &[]);
    let lines = ["0 ok txn !0=1@0 ?2=4@0", "1 ok txn !0=3@1 !2=4@0", "2 ok poll 0=1@0 0=3@1"];
    shows(&lines, &[(Anomaly::MixedCycle, 1)]);
}

/// Good histories would be called bad: holes, unknown outcomes, nothing read of what failed.
#[test]
fn what_a_log_may_do_is_good() {
    let lines = [
        "0 ok send 0=1@0",
        "0 info send 0=2",
        "0 fail send 0=3",
        "0 ok send 0=4@7",
        "1 ok txn !0=5@8 !1=6@0",
        "1 fail txn !0=7@10",
        "1 info txn !0=8@12",
        "3 ok assign 0 1",
        "3 ok poll 0=1@0 0=4@7",
        "3 ok poll 1=6@0 0=5@8 0=8@12",
    ];
    shows(&lines, &[]);
    shows(&[], &[]);
}

/// A false alarm in a long run would hide a true one.
#[test]
fn long_histories_of_a_correct_log_are_good() {
    for seed in 0..8 {
        let verdict = Verdict::of(&model::history(seed, 25_000));
        assert!(verdict.is_good(), "seed {seed}: {verdict}");
        assert!(verdict.acknowledged > 10_000 && verdict.committed > 100, "{verdict}");
    }
}

/// Damage in the midst of a long history would drown.
#[test]
fn one_lost_record_among_many_is_found() {
    let mut history = model::history(1, 25_000);
    let lost = history.iter().filter(|one| one.outcome == Outcome::Ok);
    let lost = lost.flat_map(Operation::sends).nth(5_000).unwrap().value;
    for operation in &mut history {
        if let Action::Poll(records) = &mut operation.action {
            records.retain(|record| record.2 != lost);
        }
    }
    let verdict = Verdict::of(&history);
    assert_eq!(verdict.findings.count(Anomaly::LostWrite), 1, "{verdict}");
}
