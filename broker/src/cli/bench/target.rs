//! Which broker and topic are measured.

use std::time::Duration;

use clap::Args;
use milena_client::admin::{Admin, NewTopic};
use milena_client::client::Client;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::record::Compression;

use crate::cli::connect::Connect;
use crate::cli::output::CliError;
use crate::cli::setting::setting;

/// What is measured, and for how long.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The topic; it is made if it is missing.
    #[arg(short, long, default_value = "milena-bench")]
    pub topic: String,
    /// How many partitions a topic that is made gets.
    #[arg(short, long, default_value_t = 1,
        value_parser = clap::value_parser!(i32).range(1..=100_000))]
    pub partitions: i32,
    /// A setting of a topic that is made, such as flush.messages=1.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    pub configs: Vec<(String, String)>,
    /// How long, in seconds.
    #[arg(short, long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// The broker's process, to read its CPU time and memory.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Prints JSON, and no progress.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub connect: Connect,
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.001, 1_000_000.0)
}

/// Records a second.
pub fn rate(text: &str) -> Result<f64, String> {
    within(text, 0.001, 1_000_000_000.0)
}

/// A count or a size within what can be carried out.
pub fn count<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| (LEAST..=MOST).contains(number));
    number.ok_or_else(|| format!("write a whole number from {LEAST} to {MOST}"))
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("write a number from {least} to {most}"))
}

/// A codec by its name.
pub fn codec(text: &str) -> Result<Compression, String> {
    Compression::from_name(text)
        .ok_or_else(|| "there are none, gzip, snappy, lz4 and zstd".to_owned())
}

impl Target {
    pub fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Connects, and makes the topic if it is missing.
    pub async fn prepare(&self) -> Result<Client, CliError> {
        let client = self.connect.client().await?;
        let topic = NewTopic {
            partitions: self.partitions,
            configs: self.configs.clone(),
            ..NewTopic::new(&self.topic)
        };
        for (_, result) in Admin::new(client.clone()).create_topics(&[topic], false).await? {
            match result {
                Err(refused) if refused.code != ErrorCode::TOPIC_ALREADY_EXISTS => {
                    return Err(refused.of(format!("topic {}", self.topic)).into());
                }
                _ => {}
            }
        }
        client.topic(&self.topic, true).await?;
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that no measurement can be made with would end in a panic, or never.
    #[test]
    fn numbers_have_their_bounds() {
        for bad in ["0", "-5", "1e-300", "inf", "-inf", "nan", "1e10", "", "fast"] {
            let said = rate(bad).unwrap_err();
            assert_eq!(said, "write a number from 0.001 to 1000000000", "{bad}");
        }
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!(rate("1e9"), Ok(1e9));
        assert!(seconds("0").is_err() && seconds("nan").is_err());
        assert_eq!(count::<1, 10>("10"), Ok(10));
        for bad in ["0", "11", "-1", "99999999999999999999"] {
            assert_eq!(count::<1, 10>(bad).unwrap_err(), "write a whole number from 1 to 10");
        }
    }
}
