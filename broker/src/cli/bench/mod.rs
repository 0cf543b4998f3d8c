//! `milena bench …`: how fast a broker is, any that speaks Kafka's protocol.
//!
//! Records are sent when they are due, not when the broker is ready for them (open loop), so a
//! stall shows in the percentiles with everything that waited for it. With `--pid` the broker's own
//! CPU time and memory are read around the run: on a shared machine they say more than the clock.

mod consume;
mod latency;
mod meter;
mod produce;
mod report;
mod target;
mod usage;

use std::io::Write;

use clap::Subcommand;

use super::output::CliError;

/// What is measured.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchCommand {
    /// Write records and measure how long the acknowledgements take.
    Produce(produce::Produce),
    /// Read a topic from its beginning as fast as it goes.
    Consume(consume::Consume),
    /// Measure the way of a record from producer to consumer.
    Latency(latency::Latency),
}

/// Runs a measurement.
///
/// # Errors
/// When the broker cannot be reached, or refuses.
pub fn run(command: BenchCommand, out: &mut impl Write) -> Result<(), CliError> {
    // Several threads, so that the generator is not what is measured.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (report, json) = runtime.block_on(async {
        match &command {
            BenchCommand::Produce(arguments) => produce::run(arguments).await,
            BenchCommand::Consume(arguments) => consume::run(arguments).await,
            BenchCommand::Latency(arguments) => latency::run(arguments).await,
        }
    })?;
    if json { report.write_json(out) } else { report.write(out) }
}
