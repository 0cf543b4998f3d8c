use super::*;

fn limited(bytes_per_second: i64) -> Quota {
    let mut quota = Quota::new(Windows::default());
    quota.set_limit(bytes_per_second);
    quota
}

fn at(ms: u64) -> Instant {
    Instant(ms)
}

/// A broker that nobody throttles would hold replicas back.
#[test]
fn without_a_limit_everything_goes() {
    let mut quota = limited(i64::MAX);
    assert!(!quota.is_limited());
    quota.record(at(0), u64::MAX);
    quota.record(at(1), u64::MAX);
    assert_eq!(quota.allowance(at(1)), Allowance::Unlimited);
}

/// One burst within the first window would count as if it went on for ever.
#[test]
fn the_first_window_counts_whole() {
    let mut quota = limited(1_000);
    assert_eq!(quota.allowance(at(5_000)), Allowance::Bytes(1_000));
    quota.record(at(5_000), 600);
    assert_eq!(quota.rate(at(5_001)), 600.0);
    assert_eq!(quota.allowance(at(5_001)), Allowance::Bytes(400));
    quota.record(at(5_001), 400);
    assert_eq!(quota.allowance(at(5_002)), Allowance::Bytes(100), "a portion, as it is not above");
    quota.record(at(5_002), 1);
    assert_eq!(quota.allowance(at(5_003)), Allowance::NothingUntil(at(6_001)));
}

/// Whoever waits would be called too early, again and again, or too late.
#[test]
fn what_is_promised_is_given_and_not_before() {
    let mut quota = limited(1_000);
    for bytes in [1_500, 1, 3_000, 10_000, 20_000, 999, 40_000] {
        let Allowance::Bytes(_) = quota.allowance(quota.latest) else { panic!("it was promised") };
        quota.record(quota.latest, bytes);
        if let Allowance::NothingUntil(then) = quota.allowance(quota.latest) {
            assert!(then > quota.latest);
            let mut early = quota.clone();
            let before = Instant(then.0 - 1);
            assert!(!matches!(early.allowance(before), Allowance::Bytes(_)), "{bytes} at {then:?}");
            quota.forget(then);
        }
    }
}

/// A mass of bytes would hold everybody up for as long as it takes at the limit: Kafka forgets.
#[test]
fn what_came_before_all_windows_is_forgotten() {
    let mut quota = limited(10);
    quota.record(at(300), 1_000_000);
    assert_eq!(quota.allowance(at(301)), Allowance::NothingUntil(at(11_300)));
    assert_eq!(quota.rate(at(2_300)), 500_000.0);
    assert_eq!(quota.allowance(at(11_300)), Allowance::Bytes(10));
    assert_eq!(quota.rate(at(11_300)), 0.0);
}

/// The rate would be that of the whole past, or of the last second alone.
#[test]
fn the_rate_slides_with_the_windows() {
    let mut quota = limited(i64::MAX);
    for second in 0..30 {
        quota.record(at(second * 1_000), 100);
    }
    assert_eq!(quota.samples.len(), 11);
    let rate = quota.rate(at(29_500));
    assert!((100.0..=110.0).contains(&rate), "{rate}");
    for second in 30..60 {
        quota.record(at(second * 1_000), 300);
    }
    let rate = quota.rate(at(59_500));
    assert!((300.0..=330.0).contains(&rate), "{rate}");
}

/// A replica would be copied faster than it was said, or hardly at all.
#[test]
fn in_the_long_run_the_limit_is_what_goes() {
    for (limit, batch) in [(1_000, 100), (100_000, 7_777), (1_000_000, 1_000_000)] {
        let mut quota = limited(limit);
        let (mut gone, mut asked) = (0_u64, 0);
        let end = 600_000;
        while quota.latest < at(end) {
            asked += 1;
            match quota.allowance(quota.latest) {
                Allowance::Unlimited => panic!("there is a limit"),
                Allowance::Bytes(bytes) => {
                    let whole = (bytes / batch).max(1) * batch;
                    quota.record(quota.latest, whole);
                    gone += whole;
                }
                Allowance::NothingUntil(then) => _ = quota.forget(then),
            }
        }
        let per_second = gone as f64 / (end as f64 / 1_000.0);
        let part = per_second / limit as f64;
        assert!((0.85..1.1).contains(&part), "{limit} by {batch}: {per_second}");
        assert!(asked < 30 * end / 1_000, "{limit} by {batch}: asked {asked} times");
    }
}

/// A limit of nothing would be one of everything, or divide by nothing.
#[test]
fn a_limit_of_nothing_lets_one_batch_go_until_it_is_forgotten() {
    for limit in [0, -1, i64::MIN] {
        let mut quota = limited(limit);
        assert_eq!(quota.allowance(at(0)), Allowance::Bytes(0));
        quota.record(at(0), 1);
        assert_eq!(quota.allowance(at(10)), Allowance::NothingUntil(at(11_000)));
    }
}

/// Figures at the ends of their range would stop the broker.
#[test]
fn nothing_overflows() {
    let windows = Windows { count: u32::MAX, size: Duration::MAX };
    for windows in [windows, Windows { count: 0, size: Duration::ZERO }, Windows::default()] {
        for limit in [0, 1, i64::MAX - 1] {
            let mut quota = Quota::new(windows);
            quota.set_limit(limit);
            for instant in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
                quota.record(at(instant), u64::MAX);
                let _ = (quota.allowance(at(instant)), quota.rate(at(instant)));
            }
        }
    }
}

/// Bytes would count as if they came before others that came earlier, or be forgotten at once.
#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut quota = limited(1_000);
    quota.record(at(10_000), 2_000);
    quota.record(at(4_000), 2_000);
    assert_eq!(quota.samples.len(), 1);
    assert_eq!(quota.allowance(at(0)), Allowance::NothingUntil(at(14_000)));
    assert_eq!(quota.rate(at(0)), 4_000.0);
}

/// Raising or lifting a throttle would not help those who wait, or what went would be forgotten.
#[test]
fn another_limit_counts_at_once() {
    let mut quota = limited(100);
    quota.record(at(0), 5_000);
    assert_eq!(quota.allowance(at(1_000)), Allowance::NothingUntil(at(11_000)));
    quota.set_limit(2_000);
    assert_eq!(quota.allowance(at(1_000)), Allowance::NothingUntil(at(2_500)));
    quota.set_limit(i64::MAX);
    assert_eq!(quota.allowance(at(1_000)), Allowance::Unlimited);
}
