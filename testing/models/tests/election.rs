//! The quorum's rules, in every state that a few nodes can reach.

use milena_models::check::check;
use milena_models::runs::{Size, elections, wrong_elections};

/// A committed record could be lost, or two leaders could lead one epoch.
#[test]
fn the_rules_hold() {
    for election in elections(Size::Small) {
        let report = check(election, 1);
        println!("{report}");
        assert!(report.is_as_claimed(), "{report}");
    }
}

/// The model would not see what it is for.
#[test]
fn every_wrong_rule_has_a_counterexample() {
    for election in wrong_elections() {
        let report = check(election, 1);
        println!("{report}");
        assert!(report.is_as_claimed(), "{report}");
    }
}
