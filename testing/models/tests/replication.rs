//! The rules of a partition's replicas, in every state that a few of them can reach.

use milena_models::check::check;
use milena_models::runs::{Size, replications, wrong_replications};

/// An acknowledged record could be lost, or a consumer could see a record that goes away.
#[test]
fn the_rules_hold() {
    for replication in replications(Size::Small) {
        let report = check(replication, 1);
        println!("{report}");
        assert!(report.is_as_claimed(), "{report}");
    }
}

/// The model would not see what it is for.
#[test]
fn every_wrong_rule_has_a_counterexample() {
    for replication in wrong_replications() {
        let report = check(replication, 1);
        println!("{report}");
        assert!(report.is_as_claimed(), "{report}");
    }
}
