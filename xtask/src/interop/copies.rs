//! Exactly-once copies by Java copiers that die, also while the broker is killed.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::check::{Checks, Failure, Outcome};
use super::milena::Milena;
use super::place::Place;
use super::server::{Server, Subject};
use super::{kafka, packages};

/// How long the copies may take.
const LIMIT: Duration = Duration::from_secs(600);
/// How many records are copied, in each protocol of groups.
const RECORDS: &str = "10000";
/// How many while the broker is killed: enough for some kills.
const RECORDS_WITH_KILLS: &str = "400000";
/// The session of a member of a classic group, in milliseconds: as short as brokers allow.
const SESSION: &str = "6000";
/// How long a broker serves before it is killed. Nothing that a group waits for is written: each
/// start begins it anew, here as in Apache Kafka. A broker that lives no longer than that wait has
/// its groups stand still for ever, so all of them must be shorter.
const LIFE: Duration = Duration::from_secs(3);
/// The session where it may be shorter than that.
const SESSION_WITH_KILLS: &str = "1500";
/// Waits within a broker's life: for sessions, and for the first members of a group that was empty.
const SHORT_WAITS: [&str; 6] = [
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=1500",
    "group.consumer.min.session.timeout.ms=1500",
    "group.consumer.session.timeout.ms=1500",
    "group.consumer.min.heartbeat.interval.ms=200",
    "group.consumer.heartbeat.interval.ms=200",
];

/// Copies by copiers that die.
///
/// # Errors
/// When a check does not hold.
pub fn run(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let class_path = packages::java_classes(place, "java")?;
    let server = Server::start(place, subject, "copies")?;
    kafka::java(&class_path, "Copies", LIMIT)
        .args([server.address(), RECORDS, SESSION, "classic", "consumer"])
        .checks(checks)
}

/// The same while the broker is killed every few seconds.
///
/// # Errors
/// When a check does not hold.
pub fn run_with_kills(place: &Place, _: Subject, checks: &mut Checks) -> Outcome {
    let class_path = packages::java_classes(place, "java")?;
    let scratch = place.scratch("copies-kill9")?;
    let data = scratch.path().join("data");
    let broker = Milena::start(place, &data, 0, &SHORT_WAITS)?;
    let address = broker.address.clone();
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| Failure::new(format!("no port in {address}")))?;
    let (done, is_done) = mpsc::channel::<()>();
    let (copied, kills) = std::thread::scope(|scope| {
        let killer = scope.spawn(move || {
            let mut broker = broker;
            let mut kills = 0;
            while is_done.recv_timeout(LIFE) == Err(RecvTimeoutError::Timeout) {
                broker.kill()?;
                broker = Milena::start(place, &data, port, &SHORT_WAITS)?;
                kills += 1;
            }
            Ok(kills)
        });
        let copied = kafka::java(&class_path, "Copies", LIMIT)
            .args([&address, RECORDS_WITH_KILLS, SESSION_WITH_KILLS, "classic", "consumer"])
            .checks(checks);
        drop(done);
        let kills = killer.join().unwrap_or_else(|_| Err(Failure::new("nobody killed")));
        (copied, kills)
    });
    copied?;
    checks.pass(&format!("through {} kills of the broker", kills?));
    Ok(())
}
