//! How many rounds Ben-Or's consensus takes: runs of the model whose chance comes from a seed.

use super::model::{Coin, Consensus, Design, Heard, Scope, State};

/// Rounds after which a run counts as endless.
const ENDLESS: usize = 100_000;

/// Who says which voter goes on, and what it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Chance.
    Chance,
    /// One who wants no decision, sees everything but the coins to come, and lets each voter hear
    /// both values wherever both were sent.
    Adversary,
}

/// What came of some runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Rounds until the last voter has decided, on average.
    pub rounds: f64,
    /// The rounds of the longest run.
    pub longest: usize,
}

/// The mean number of rounds until all have decided, from values that are split as evenly as can
/// be. A little less than half of the voters may stop, and none does.
///
/// # Panics
/// When a run does not come to an end.
#[must_use]
pub fn mean_rounds(voters: u8, coin: Coin, schedule: Schedule, runs: u64) -> Mean {
    let scope = Scope { voters, faults: voters.div_ceil(2) - 1, rounds: ENDLESS };
    let model = Consensus { design: Design::Right, coin, scope };
    let mut dice = Dice(u64::from(voters));
    let rounds: Vec<usize> = (0..runs).map(|_| run(&model, schedule, &mut dice)).collect();
    let longest = rounds.iter().copied().max().unwrap_or(0);
    let all: usize = rounds.iter().sum();
    Mean { rounds: all as f64 / runs.max(1) as f64, longest }
}

/// One run; answers in which round, from 1 on, the last voter decided.
fn run(model: &Consensus, schedule: Schedule, dice: &mut Dice) -> usize {
    let values: Vec<bool> = (0..model.scope.voters).map(|at| at % 2 == 1).collect();
    let mut state = model.begin(&values);
    let mut turn = 0;
    loop {
        if let Some(round) = state.decided_in() {
            return round + 1;
        }
        let id = match schedule {
            Schedule::Chance => dice.below(model.scope.voters),
            // In turn: nobody goes on before everybody has spoken.
            Schedule::Adversary => turn % model.scope.voters,
        };
        turn = (turn + 1) % model.scope.voters;
        step(model, &mut state, id, schedule, dice);
    }
}

fn step(model: &Consensus, state: &mut State, id: u8, schedule: Schedule, dice: &mut Dice) {
    let Some(sent) = model.sent(state, id) else { return };
    let is_everyone_heard = sent.zeros + sent.ones + sent.nothing == model.scope.voters;
    let heard = match schedule {
        Schedule::Chance => by_chance(sent, model.awaited(), dice),
        Schedule::Adversary if !is_everyone_heard => return,
        Schedule::Adversary => undecided(sent, model.awaited()),
    };
    let action = model.action(state, id, heard, dice.below(2) == 1);
    model.apply(state, action);
}

/// So many of the messages, each as likely as the others.
fn by_chance(sent: Heard, awaited: u8, dice: &mut Dice) -> Heard {
    let mut left = sent;
    let mut heard = Heard { zeros: 0, ones: 0, nothing: 0 };
    for _ in 0..awaited {
        let drawn = dice.below(left.zeros + left.ones + left.nothing);
        let (from, to) = if drawn < left.zeros {
            (&mut left.zeros, &mut heard.zeros)
        } else if drawn < left.zeros + left.ones {
            (&mut left.ones, &mut heard.ones)
        } else {
            (&mut left.nothing, &mut heard.nothing)
        };
        *from -= 1;
        *to += 1;
    }
    heard
}

/// So many of the messages that they say as little as possible.
fn undecided(sent: Heard, awaited: u8) -> Heard {
    let nothing = sent.nothing.min(awaited);
    let rest = awaited - nothing;
    let zeros = sent.zeros.min(rest.div_ceil(2)).max(rest.saturating_sub(sent.ones));
    Heard { zeros, ones: rest - zeros, nothing }
}

/// A seeded generator.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u8) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = (mixed ^ (mixed >> 31)) % u64::from(bound.max(1));
        u8::try_from(number).unwrap_or(0)
    }
}
