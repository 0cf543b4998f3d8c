//! Ben-Or's consensus, in every state that three voters can reach in a few rounds, and the rounds
//! that it takes.

use milena_models::check::check;
use milena_models::consensus::{Coin, Schedule, mean_rounds};
use milena_models::runs::{Size, consensuses, wrong_consensuses};

/// The comparison in `docs/quorum.md` would be with something that is no consensus.
#[test]
fn the_rules_hold() {
    for consensus in consensuses(Size::Small) {
        let report = check(consensus, 1);
        println!("{report}");
        assert!(report.is_as_claimed(), "{report}");
    }
}

/// The model would not see what it is for.
#[test]
fn every_wrong_rule_has_a_counterexample() {
    for consensus in wrong_consensuses() {
        let report = check(consensus, 1);
        println!("{report}");
        assert!(report.is_as_claimed(), "{report}");
    }
}

/// What is said of coins would not be so: a common one ends what an adversary keeps open in two
/// rounds, and coins of their own only once all fall alike.
#[test]
fn a_common_coin_decides_in_two_rounds_whatever_an_adversary_does() {
    for voters in [3, 5, 7] {
        let common = mean_rounds(voters, Coin::Common, Schedule::Adversary, 200);
        assert_eq!(common.longest, 2, "{voters} voters");
        let local = mean_rounds(voters, Coin::Local, Schedule::Adversary, 200);
        let alike = f64::from(1u32 << (voters - 1));
        assert!((local.rounds / (1.0 + alike) - 1.0).abs() < 0.3, "{voters} voters: {local:?}");
    }
}
