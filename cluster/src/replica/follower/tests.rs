//! A follower, step by step.

use super::*;

const LEADER: Leadership = Leadership { leader: NodeId(1), epoch: LeaderEpoch(5) };

/// A log of 0–9, the last record of epoch 4, acknowledged up to 6.
fn position() -> LogPosition {
    LogPosition {
        start_offset: Offset::ZERO,
        end_offset: Offset(10),
        last_epoch: LeaderEpoch(4),
        high_watermark: Offset(6),
    }
}

fn follower() -> Follower {
    Follower::begin(LEADER, position(), &mut Vec::new())
}

fn step(follower: &mut Follower, input: Input) -> Vec<Output> {
    let mut outputs = Vec::new();
    follower.step(input, &mut outputs);
    outputs
}

fn fetched(follower: &mut Follower, answer: Answer) -> Vec<Output> {
    let epoch = follower.leadership().epoch;
    step(follower, Input::Fetched { epoch, answer })
}

fn records(base: i64, end: i64, epoch: i32, high_watermark: i64) -> Answer {
    Answer::Records {
        base_offset: Offset(base),
        end_offset: Offset(end),
        last_epoch: LeaderEpoch(epoch),
        high_watermark: Offset(high_watermark),
        log_start_offset: Offset::ZERO,
    }
}

fn end(epoch: i32, end_offset: i64) -> EpochEnd {
    EpochEnd { epoch: LeaderEpoch(epoch), end_offset: Offset(end_offset) }
}

fn fetch(offset: i64, epoch: i32) -> Output {
    Output::Fetch { from: LEADER, fetch_offset: Offset(offset), last_epoch: LeaderEpoch(epoch) }
}

/// A restart would cut acknowledged records that the high watermark does not cover yet (KIP-101).
#[test]
fn it_begins_at_its_end_and_not_at_its_high_watermark() {
    let mut outputs = Vec::new();
    let _ = Follower::begin(LEADER, position(), &mut outputs);
    assert_eq!(outputs, [fetch(10, 4)]);
}

/// The follower would keep records that the leader does not have, or cut ones that it has.
#[test]
fn it_cuts_to_where_the_epochs_agree() {
    let mut same = follower();
    assert_eq!(fetched(&mut same, Answer::Diverging(end(4, 8))), [Output::FindEpoch(end(4, 8))]);
    let found = Input::FoundEpoch { leader: end(4, 8), own: end(4, 10) };
    assert_eq!(step(&mut same, found), [Output::Truncate(Offset(8))]);
    assert_eq!(fetched(&mut same, records(10, 12, 5, 9)), [], "a cut is under way");
    let cut = LogPosition { end_offset: Offset(8), ..position() };
    assert_eq!(step(&mut same, Input::Truncated(cut)), [fetch(8, 4)]);

    // The leader's epoch 3 is not in this log, whose highest below it is 2.
    let mut other = follower();
    fetched(&mut other, Answer::Diverging(end(3, 9)));
    let found = Input::FoundEpoch { leader: end(3, 9), own: end(2, 7) };
    assert_eq!(step(&mut other, found), [Output::Truncate(Offset(7))]);
}

/// A log that was cut below what it believed acknowledged would answer reads beyond its end.
#[test]
fn the_high_watermark_stays_within_the_log() {
    let mut follower = follower();
    fetched(&mut follower, Answer::Diverging(end(4, 4)));
    step(&mut follower, Input::FoundEpoch { leader: end(4, 4), own: end(4, 10) });
    let cut = LogPosition { end_offset: Offset(4), ..position() };
    step(&mut follower, Input::Truncated(LogPosition { high_watermark: Offset(4), ..cut }));
    assert_eq!(follower.high_watermark(), Offset(4));
    let outputs = fetched(&mut follower, records(4, 12, 5, 99));
    assert_eq!(outputs, [Output::Append, Output::AdvanceHighWatermark(Offset(12)), fetch(12, 5)]);
    let outputs = fetched(&mut follower, records(12, 12, -1, 7));
    assert_eq!(outputs, [fetch(12, 5)], "it never falls");
}

/// Records of a leader that was deposed would be appended to the new leader's log.
#[test]
fn an_answer_of_another_epoch_is_not_heard() {
    let mut follower = follower();
    let next = Leadership { leader: NodeId(2), epoch: LeaderEpoch(6) };
    let outputs = step(&mut follower, Input::Follow(next));
    assert!(matches!(outputs[..], [Output::Fetch { from, .. }] if from == next));
    let late = Input::Fetched { epoch: LeaderEpoch(5), answer: records(10, 12, 5, 12) };
    assert_eq!(step(&mut follower, late), []);
    assert_eq!(step(&mut follower, Input::Follow(LEADER)), [], "an epoch never goes back");
}

/// A damaged or misdirected answer would leave a log that overlaps itself.
#[test]
fn records_have_to_follow_the_log() {
    for answer in [records(8, 12, 5, 12), records(10, 12, 3, 12), records(10, 12, 6, 12)] {
        let outputs = fetched(&mut follower(), answer);
        assert_eq!(outputs, [Output::Fail(ErrorCode::CORRUPT_MESSAGE)], "{answer:?}");
    }
}

/// A follower that was away longer than retention would never come back.
#[test]
fn it_begins_anew_where_the_leader_has_nothing_before() {
    let mut follower = follower();
    let code = ErrorCode::OFFSET_OUT_OF_RANGE;
    let gone = Answer::Error { code, log_start_offset: Offset(50) };
    assert_eq!(fetched(&mut follower, gone), [Output::StartAt(Offset(50))]);
    let fresh = LogPosition {
        start_offset: Offset(50),
        end_offset: Offset(50),
        last_epoch: LeaderEpoch::NONE,
        high_watermark: Offset(50),
    };
    assert_eq!(step(&mut follower, Input::Truncated(fresh)), [fetch(50, -1)]);
    let passing =
        Answer::Error { code: ErrorCode::NOT_LEADER_OR_FOLLOWER, log_start_offset: Offset::NONE };
    assert_eq!(fetched(&mut follower, passing), [Output::BackOff]);
}

/// DeleteRecords may let a log start within a batch: a follower that begins there would refuse the
/// batch for ever, or show what is deleted.
#[test]
fn an_empty_log_begins_with_a_whole_batch() {
    let at = Offset(50);
    let empty = LogPosition {
        start_offset: at,
        end_offset: at,
        last_epoch: LeaderEpoch::NONE,
        high_watermark: at,
    };
    let mut follower = Follower::begin(LEADER, empty, &mut Vec::new());
    let Answer::Records { end_offset, last_epoch, .. } = records(45, 55, 4, 55) else { return };
    let answer = Answer::Records {
        base_offset: Offset(45),
        end_offset,
        last_epoch,
        high_watermark: Offset(55),
        log_start_offset: at,
    };
    let outputs = fetched(&mut follower, answer);
    let raised = [Output::AdvanceHighWatermark(Offset(55)), Output::AdvanceLogStart(at)];
    assert_eq!(outputs, [&[Output::Append], &raised[..], &[fetch(55, 4)]].concat());
    let below = fetched(&mut follower, records(50, 60, 5, 55));
    assert_eq!(below, [Output::Fail(ErrorCode::CORRUPT_MESSAGE)]);
}
