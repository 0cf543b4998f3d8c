//! Elections in which all voters time out at once: how many need more than one round, with the
//! common coin and with plain jitter.
//!
//! `cargo xtask elections` plays 10,000 of each kind, by way of `QUORUM_ELECTIONS`.

use milena_cluster::quorum::{Kraft, Rules};
use milena_protocol::ids::Offset;

use crate::bugs::{JitterOfAllSlots, JitterOfOneSlot};
use crate::checks::Violation;
use crate::plan::Plan;
use crate::simulation;
use crate::world::World;

/// Elections of each kind that every `cargo test` plays.
const ELECTIONS: u64 = 100;

/// How all come to time out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Their waits begin in the same millisecond.
    Together,
    /// Their waits end in the same millisecond: they were held up for longer. All stand, and the
    /// votes are split; what counts is what comes after.
    Tie,
}

/// What an election took.
struct Outcome {
    /// Epochs that were begun until a leader had committed something; after a tie, the rounds that
    /// followed it.
    rounds: u64,
    /// Milliseconds until then, from the moment at which the waits begin or are over.
    millis: u64,
}

fn election<R: Rules>(
    seed: u64,
    (voters, delay, cause): (usize, u64, Cause),
) -> Result<Outcome, Violation> {
    let mut world = World::<R>::planned(seed, Plan::election(voters, delay));
    if cause == Cause::Tie {
        world.hold_up()?;
    }
    let begun = world.now();
    let of =
        |world: &World<R>| world.leaders().into_iter().find(|id| world.applied(*id) > Offset::ZERO);
    // Half a minute: plain jitter may be split again and again.
    for _ in 0..6 {
        if world.until(|world| of(world).is_some())? {
            break;
        }
    }
    let leader = of(&world).ok_or("nobody was elected")?;
    let epochs: u64 = world.epoch(leader).map_or(0, |epoch| epoch.0.unsigned_abs().into());
    // Where a tie is no tie, for one asked all before the others stood, no round follows.
    let rounds = if cause == Cause::Tie { epochs.saturating_sub(1) } else { epochs };
    Ok(Outcome { rounds, millis: world.now() - begun })
}

/// Plays so many elections and prints a line on them. Answers how many needed another round.
fn play<R: Rules>(waits: &str, elections: u64, scene: (usize, u64, Cause)) -> u64 {
    let (voters, delay, cause) = scene;
    let (mut again, mut rounds, mut millis) = (0, 0, 0);
    for seed in 0..elections {
        let outcome = election::<R>(seed, scene).expect("somebody is elected");
        again += u64::from(outcome.rounds > 1);
        rounds += outcome.rounds;
        millis += outcome.millis;
    }
    let cause = match cause {
        Cause::Together => "begin together",
        Cause::Tie => "all stand together",
    };
    let mean = millis / elections.max(1);
    let scene = format!("{voters} | {delay} | {cause}");
    println!("election | {waits} | {scene} | {elections} | {again} | {rounds} | {mean}");
    again
}

/// Voters that time out at once would split their votes again and again.
#[test]
fn voters_that_time_out_at_once_rarely_need_a_second_round() {
    let elections = simulation::number("QUORUM", "ELECTIONS").unwrap_or(ELECTIONS);
    let (mut with_coin, mut without) = (0, 0);
    for cause in [Cause::Together, Cause::Tie] {
        for (delay, voters) in [(5, 3), (5, 5), (5, 7), (100, 3), (100, 5), (100, 7)] {
            let scene = (voters, delay, cause);
            let again = play::<Kraft>("common coin", elections, scene);
            assert!(again * 100 <= elections * 2, "{again} of {elections} need a second round");
            with_coin += again;
            without += play::<JitterOfOneSlot>("jitter, one slot", elections, scene);
            play::<JitterOfAllSlots>("jitter, all slots", elections, scene);
        }
    }
    assert!(with_coin < without, "the coin is of no use: {with_coin} and {without}");
}
