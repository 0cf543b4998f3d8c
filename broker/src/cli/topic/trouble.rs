//! Telling what went wrong with one topic of several.

use milena_client::Refused;

use crate::cli::output::next_step_of;

/// Says on standard error why something about one topic failed, while others go on.
pub fn complain(topic: &str, refused: &Refused) {
    eprintln!("milena: topic {topic}: {refused}");
    if let Some(step) = next_step_of(refused.code) {
        eprintln!("        {step}");
    }
}
