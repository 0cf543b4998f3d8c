//! Runs a model to its end, or to the first counterexample, and says what came of it.

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Display};
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// A model of one design at one scope.
pub trait Claim: Model {
    /// What is modelled.
    const MODEL: &'static str;

    /// The design, as it is printed.
    fn design(&self) -> String;

    /// How far it is explored, as it is printed.
    fn scope(&self) -> String;

    /// The property that a wrong design breaks; none of the right one.
    fn refuted_by(&self) -> Option<&'static str>;
}

/// What came of a design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every property holds in every state, and everything that should happen somewhere does.
    Holds,
    /// A property is broken; the actions that lead there, and the state that they lead to.
    Broken {
        /// Which.
        property: &'static str,
        /// The way there.
        path: Vec<String>,
    },
    /// Nothing is broken, but something that should happen somewhere never does: the model shows
    /// less than it says.
    Vacuous {
        /// What.
        property: &'static str,
    },
}

/// What a run visited, and what came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What is modelled.
    pub model: &'static str,
    /// The design.
    pub design: String,
    /// How far it was explored.
    pub scope: String,
    /// The property that was to be broken.
    pub refuted_by: Option<&'static str>,
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// What came of it.
    pub verdict: Verdict,
}

impl Report {
    /// What came of it, in a few words.
    #[must_use]
    pub fn outcome(&self) -> String {
        match &self.verdict {
            Verdict::Holds => "holds".to_owned(),
            Verdict::Broken { property, path } => {
                format!("broken after {} steps: {property}", path.len().saturating_sub(1))
            }
            Verdict::Vacuous { property } => format!("never happens: {property}"),
        }
    }

    /// Whether the right design holds, or the wrong one is refuted by what should refute it.
    #[must_use]
    pub fn is_as_claimed(&self) -> bool {
        match (&self.verdict, self.refuted_by) {
            (Verdict::Holds, None) => true,
            (Verdict::Broken { property, .. }, Some(expected)) => *property == expected,
            _ => false,
        }
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, design, scope, states, depth, elapsed, .. } = self;
        writeln!(formatter, "{model}, {design}: {scope}")?;
        writeln!(formatter, "  {states} states, depth {depth}, {:.1} s", elapsed.as_secs_f64())?;
        match &self.verdict {
            Verdict::Holds => writeln!(formatter, "  holds"),
            Verdict::Vacuous { property } => writeln!(formatter, "  never happens: {property}"),
            Verdict::Broken { property, path } => {
                writeln!(formatter, "  broken: {property}")?;
                path.iter().try_for_each(|step| writeln!(formatter, "    {step}"))
            }
        }
    }
}

/// Explores a model breadth first, so that a counterexample is about as short as there is one.
///
/// # Panics
/// When the model does.
pub fn check<M>(model: M, threads: usize) -> Report
where
    M: Claim + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let (design, scope, refuted_by) = (model.design(), model.scope(), model.refuted_by());
    let properties = model.properties();
    let finish_when = match refuted_by {
        Some(property) => HasDiscoveries::AnyOf(BTreeSet::from([property])),
        None => HasDiscoveries::AnyFailures,
    };
    let begun = Instant::now();
    let checker = model.checker().threads(threads).finish_when(finish_when).spawn_bfs().join();
    let elapsed = begun.elapsed();
    let discoveries = checker.discoveries();
    let is_found = |name: &str| discoveries.contains_key(name);
    let broken = refuted_by.filter(|name| is_found(name)).or_else(|| {
        let failures = properties.iter().filter(|at| at.expectation.discovery_is_failure());
        failures.map(|at| at.name).find(|name| is_found(name))
    });
    let missing = properties
        .iter()
        .filter(|at| at.expectation == Expectation::Sometimes)
        .map(|at| at.name)
        .find(|name| !is_found(name));
    let verdict = match (broken, missing) {
        (Some(property), _) => {
            let path = discoveries[property].clone().into_vec();
            let last = path.last().map(|(state, _)| format!("{state:#?}"));
            let actions = path.iter().filter_map(|(_, action)| action.as_ref());
            let path = actions.map(|action| format!("{action:?}")).chain(last).collect();
            Verdict::Broken { property, path }
        }
        (None, Some(property)) => Verdict::Vacuous { property },
        (None, None) => Verdict::Holds,
    };
    Report {
        model: M::MODEL,
        design,
        scope,
        refuted_by,
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        elapsed,
        verdict,
    }
}
