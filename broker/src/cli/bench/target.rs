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
    #[arg(short, long, default_value_t = 1)]
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
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    if number > 0.0 && number <= 1e6 { Ok(number) } else { Err("it must be above 0".to_owned()) }
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
