//! The steps of the voters, and what holds after each (Ben-Or, 1983, for voters that may stop).
//!
//! Each round has two phases, in each of which a voter goes on once it has heard from all but as
//! many as may fail. First everyone *reports* its value; who hears one value from more than half
//! of all voters *proposes* it, who does not proposes nothing. Then, who hears a value proposed by
//! more voters than may fail decides it; who hears it proposed by one takes it over; who hears no
//! proposal throws a coin.
//!
//! What is left out, and why that is no loss:
//! - **Stopping.** A voter need not take a step, so who stopped is one that takes no more.
//! - **The network.** What was sent stays; a voter hears any of it, as many as it waits for.
//! - **Who said what.** Only how many reported or proposed a value counts.

use stateright::{Model, Property};

use crate::check::Claim;

/// The most voters.
const CAPACITY: usize = 7;

const AGREEMENT: &str = "nobody decides otherwise than another";
const VALIDITY: &str = "what is decided was somebody's to begin with";
const ONE_PROPOSAL: &str = "no round has two values proposed";
const SOME_COIN: &str = "a coin is thrown";
const SOME_LATER: &str = "two decide in different rounds";

/// The rules, and ways to get one wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// Those of Ben-Or.
    Right,
    /// One proposal decides.
    OneProposalDecides,
    /// Who hears no proposal of enough voters throws a coin, whatever one proposed.
    ProposalIgnored,
    /// Half of the reports that were heard make a proposal.
    HalfProposes,
}

/// Whose coin is thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coin {
    /// Each voter has its own.
    Local,
    /// In each round all see the same.
    Common,
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// How many vote.
    pub voters: u8,
    /// How many of them may stop: fewer than half.
    pub faults: u8,
    /// Rounds.
    pub rounds: usize,
}

/// Consensus on one bit under one design, within a scope.
#[derive(Clone, Copy, Debug)]
pub struct Consensus {
    /// The rules.
    pub design: Design,
    /// Whose coin is thrown.
    pub coin: Coin,
    /// How much may happen.
    pub scope: Scope,
}

/// What a voter waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Reports,
    Proposals,
    /// Nothing: its rounds are over.
    Over,
}

/// A voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Voter {
    value: bool,
    round: usize,
    phase: Phase,
    /// The value that it decided, and in which round.
    decided: Option<(bool, usize)>,
}

/// What was sent in a round, by voter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Round {
    reports: [Option<bool>; CAPACITY],
    proposals: [Option<Option<bool>>; CAPACITY],
    /// How the coin that all share fell.
    coin: Option<bool>,
}

/// How many of the messages that a voter hears say what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The value 0.
    pub zeros: u8,
    /// The value 1.
    pub ones: u8,
    /// No value.
    pub nothing: u8,
}

impl Heard {
    fn of(&self, value: bool) -> u8 {
        if value { self.ones } else { self.zeros }
    }

    /// The value that most of them say, of those that say one.
    fn most(&self) -> Option<bool> {
        (self.ones + self.zeros > 0).then_some(self.ones > self.zeros)
    }
}

/// What a voter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It has heard so many reports.
    Propose(u8, Heard),
    /// It has heard so many proposals, and this is how its coin would fall.
    Conclude(u8, Heard, bool),
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    voters: Vec<Voter>,
    rounds: Vec<Round>,
    /// Whether somebody began with 0, and with 1.
    inputs: [bool; 2],
    has_thrown: bool,
}

impl State {
    /// In which round the last voter decided, if all have.
    #[must_use]
    pub fn decided_in(&self) -> Option<usize> {
        let rounds = self.voters.iter().map(|voter| voter.decided.map(|(_, round)| round));
        rounds.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    fn decisions(&self) -> impl Iterator<Item = (bool, usize)> {
        self.voters.iter().filter_map(|voter| voter.decided)
    }
}

impl Consensus {
    /// The state in which voters begin with these values.
    #[must_use]
    pub fn begin(&self, values: &[bool]) -> State {
        let voter =
            |value: &bool| Voter { value: *value, round: 0, phase: Phase::Reports, decided: None };
        let mut state = State {
            voters: values.iter().map(voter).collect(),
            rounds: vec![Round::default()],
            inputs: [values.contains(&false), values.contains(&true)],
            has_thrown: false,
        };
        for (report, value) in state.rounds[0].reports.iter_mut().zip(values) {
            *report = Some(*value);
        }
        state
    }

    /// How many a voter waits for.
    #[must_use]
    pub fn awaited(&self) -> u8 {
        self.scope.voters - self.scope.faults
    }

    /// What a voter may hear now, as far as it waits for something: all that was sent.
    #[must_use]
    pub fn sent(&self, state: &State, id: u8) -> Option<Heard> {
        let voter = &state.voters[usize::from(id)];
        let round = state.rounds.get(voter.round)?;
        let count = |is_it: &dyn Fn(usize) -> bool| (0..CAPACITY).filter(|at| is_it(*at)).count();
        let (zeros, ones, nothing) = match voter.phase {
            Phase::Over => return None,
            Phase::Reports => (
                count(&|at| round.reports[at] == Some(false)),
                count(&|at| round.reports[at] == Some(true)),
                0,
            ),
            Phase::Proposals => (
                count(&|at| round.proposals[at] == Some(Some(false))),
                count(&|at| round.proposals[at] == Some(Some(true))),
                count(&|at| round.proposals[at] == Some(None)),
            ),
        };
        let of = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        let sent = Heard { zeros: of(zeros), ones: of(ones), nothing: of(nothing) };
        (sent.zeros + sent.ones + sent.nothing >= self.awaited()).then_some(sent)
    }

    /// What a voter does that hears so much; the coin falls so, if it throws one.
    #[must_use]
    pub fn action(&self, state: &State, id: u8, heard: Heard, coin: bool) -> Action {
        match state.voters[usize::from(id)].phase {
            Phase::Reports => Action::Propose(id, heard),
            Phase::Proposals | Phase::Over => Action::Conclude(id, heard, coin),
        }
    }

    /// A voter does it.
    pub fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::Propose(id, heard) => {
                let at = usize::from(id);
                let voter = &mut state.voters[at];
                state.rounds[voter.round].proposals[at] = Some(self.proposal(heard));
                voter.phase = Phase::Proposals;
            }
            Action::Conclude(id, heard, coin) => self.conclude(state, id, heard, coin),
        }
    }

    fn proposal(&self, heard: Heard) -> Option<bool> {
        let enough = match self.design {
            Design::HalfProposes => self.awaited().div_ceil(2),
            _ => self.scope.voters / 2 + 1,
        };
        heard.most().filter(|value| heard.of(*value) >= enough)
    }

    fn conclude(&self, state: &mut State, id: u8, heard: Heard, coin: bool) {
        let at = usize::from(id);
        let voter = &mut state.voters[at];
        let enough = match self.design {
            Design::OneProposalDecides => 1,
            _ => self.scope.faults + 1,
        };
        let proposed = heard.most();
        let decided = proposed.filter(|value| heard.of(*value) >= enough);
        let taken = proposed.filter(|_| self.design != Design::ProposalIgnored);
        voter.value = match decided.or(taken) {
            Some(value) => value,
            None => {
                state.has_thrown = true;
                match self.coin {
                    Coin::Local => coin,
                    Coin::Common => *state.rounds[voter.round].coin.get_or_insert(coin),
                }
            }
        };
        let round = voter.round;
        voter.decided = voter.decided.or(decided.map(|value| (value, round)));
        voter.round += 1;
        if voter.round >= self.scope.rounds {
            voter.phase = Phase::Over;
            return;
        }
        voter.phase = Phase::Reports;
        if state.rounds.len() <= voter.round {
            state.rounds.push(Round::default());
        }
        state.rounds[voter.round].reports[at] = Some(voter.value);
    }

    /// All that a voter may hear of what was sent: as many as it waits for.
    fn choices(&self, sent: Heard) -> Vec<Heard> {
        let awaited = self.awaited();
        let mut choices = Vec::new();
        for zeros in 0..=sent.zeros.min(awaited) {
            for ones in 0..=sent.ones.min(awaited - zeros) {
                let nothing = awaited - zeros - ones;
                if nothing <= sent.nothing {
                    choices.push(Heard { zeros, ones, nothing });
                }
            }
        }
        choices
    }
}

impl Model for Consensus {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let voters = self.scope.voters;
        let values = |bits: u32| (0..voters).map(|at| bits >> at & 1 == 1).collect::<Vec<_>>();
        (0..1 << voters).map(|bits| self.begin(&values(bits))).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for id in 0..self.scope.voters {
            let Some(sent) = self.sent(state, id) else { continue };
            for heard in self.choices(sent) {
                let heads = self.action(state, id, heard, true);
                actions.push(heads);
                // Where no coin is thrown, both ways are the same.
                if matches!(heads, Action::Conclude(..)) {
                    actions.push(self.action(state, id, heard, false));
                }
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.apply(&mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(AGREEMENT, |_, state| {
                let first = state.decisions().next().map(|(value, _)| value);
                state.decisions().all(|(value, _)| Some(value) == first)
            }),
            Property::<Self>::always(VALIDITY, |_, state| {
                state.decisions().all(|(value, _)| state.inputs[usize::from(value)])
            }),
            Property::<Self>::always(ONE_PROPOSAL, |_, state| {
                let is_split = |round: &Round| {
                    [false, true].iter().all(|value| round.proposals.contains(&Some(Some(*value))))
                };
                !state.rounds.iter().any(is_split)
            }),
            Property::<Self>::sometimes(SOME_COIN, |_, state| state.has_thrown),
            Property::<Self>::sometimes(SOME_LATER, |_, state| {
                let first = state.decisions().next().map(|(_, round)| round);
                state.decisions().any(|(_, round)| Some(round) != first)
            }),
        ]
    }
}

impl Claim for Consensus {
    const MODEL: &'static str = "consensus";

    fn design(&self) -> String {
        format!("{:?}, {:?} coin", self.design, self.coin)
    }

    fn scope(&self) -> String {
        let Scope { voters, faults, rounds } = self.scope;
        format!("{voters} voters, {faults} may stop, {rounds} rounds")
    }

    fn refuted_by(&self) -> Option<&'static str> {
        match self.design {
            Design::Right => None,
            Design::OneProposalDecides | Design::ProposalIgnored => Some(AGREEMENT),
            Design::HalfProposes => Some(ONE_PROPOSAL),
        }
    }
}
