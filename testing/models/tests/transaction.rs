//! The rules of transactions, in every state that two producers, two partitions and a coordinator
//! can reach.

use milena_models::check::check;
use milena_models::runs::{Size, transactions, wrong_transactions};

/// A transaction could be half committed, or hold up its partition for ever.
#[test]
fn the_rules_hold() {
    for transactions in transactions(Size::Small) {
        let report = check(transactions, 1);
        println!("{report}");
        assert!(report.is_as_claimed(), "{report}");
    }
}

/// The model would not see what it is for.
#[test]
fn every_wrong_rule_has_a_counterexample() {
    for transactions in wrong_transactions() {
        let report = check(transactions, 1);
        println!("{report}");
        assert!(report.is_as_claimed(), "{report}");
    }
}
