//! Which broker a command talks to.

use std::time::Duration;

use clap::Args;
use milena_client::client::{Client, ClientOptions};

use super::output::CliError;

/// Which broker to ask.
#[derive(Args, Clone, Debug)]
pub struct Connect {
    /// Brokers to begin with, as HOST:PORT[,HOST:PORT]….
    #[arg(
        short,
        long,
        value_name = "HOST:PORT",
        env = "MILENA_BOOTSTRAP",
        default_value = "127.0.0.1:9092"
    )]
    pub bootstrap: String,
    /// How long to wait for an answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
}

impl Connect {
    /// A connected client.
    pub async fn client(&self) -> Result<Client, CliError> {
        let mut options = ClientOptions::new(&self.bootstrap);
        let timeout = Duration::from_secs(self.timeout);
        options.patience = timeout;
        options.connection.request_timeout = timeout;
        options.connection.connect_timeout = options.connection.connect_timeout.min(timeout);
        Ok(Client::connect(options).await?)
    }
}

/// Runs one command to its end on a runtime of its own.
pub fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command)
}
