//! Who is asked, and how answers for several things look.

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::client::{Client, Leader};
use crate::error::{ClientError, Refused};

/// What became of each of several named things, in the order they were named.
pub type Each<T> = Vec<(String, Result<T, Refused>)>;

/// Asks brokers and controllers to do things.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(super) client: Client,
}

impl Admin {
    /// Administration over a client's connections.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks a coordinator until it is one: for a moment after it was found, or has moved, it may
    /// say that it is not.
    pub(super) async fn of_coordinator<T, A>(&self, ask: impl Fn() -> A) -> Result<T, ClientError>
    where
        A: Future<Output = Result<T, ClientError>>,
    {
        let deadline = Instant::now() + self.client.options().patience;
        let mut backoff = Backoff::default();
        loop {
            let outcome = ask().await;
            let code = outcome.as_ref().err().and_then(ClientError::code);
            let is_passing = matches!(
                code,
                Some(
                    ErrorCode::NOT_COORDINATOR
                        | ErrorCode::COORDINATOR_NOT_AVAILABLE
                        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
                )
            );
            if !is_passing || Instant::now() >= deadline {
                return outcome;
            }
            sleep(backoff.next()).await;
        }
    }

    /// Asks a partition's leader until it is one: for a moment after it was found, or has moved, it
    /// may say that it is not, or that it does not know the partition yet.
    pub(super) async fn of_leader<T>(
        &self,
        topic: &str,
        partition: PartitionIndex,
        ask: impl AsyncFn(Leader) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.of_leaders(async || Ok(ask(self.client.leader(topic, partition).await?).await)).await
    }

    /// The same of something that is asked of several leaders. What `ask` itself fails with is
    /// final; what the leaders answer may pass.
    pub(super) async fn of_leaders<T>(
        &self,
        ask: impl AsyncFn() -> Result<Result<T, ClientError>, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.client.options().patience;
        let mut backoff = Backoff::default();
        loop {
            let outcome = ask().await?;
            if !is_of_another_leader(&outcome) || Instant::now() >= deadline {
                return outcome;
            }
            sleep(backoff.next()).await;
        }
    }

    /// How long brokers are given to carry something out, as requests have it.
    pub(super) fn timeout_ms(&self) -> i32 {
        let timeout = self.client.options().connection.request_timeout;
        i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

/// Whether who was asked leads the partition no more, or not yet.
fn is_of_another_leader<T>(outcome: &Result<T, ClientError>) -> bool {
    match outcome {
        Err(ClientError::Refused { refused, .. }) => matches!(
            refused.code,
            ErrorCode::NOT_LEADER_OR_FOLLOWER
                | ErrorCode::LEADER_NOT_AVAILABLE
                | ErrorCode::FENCED_LEADER_EPOCH
                | ErrorCode::UNKNOWN_LEADER_EPOCH
                | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                | ErrorCode::UNKNOWN_TOPIC_ID
        ),
        Err(error) => error.is_retriable(),
        Ok(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::client::ClientOptions;

    /// The first command after a start would fail, or one that is refused be repeated for nothing.
    #[tokio::test(start_paused = true)]
    async fn who_is_no_coordinator_yet_is_asked_again() {
        let admin = Admin::new(Client::unconnected(ClientOptions::new("127.0.0.1:1")));
        let asked = Cell::new(0);
        let answer = async |code: ErrorCode| {
            asked.set(asked.get() + 1);
            let code = if asked.get() < 4 { code } else { ErrorCode::NONE };
            Refused::check(code, None).map_err(|refused| refused.of("it"))
        };
        let passing = ErrorCode::NOT_COORDINATOR;
        admin.of_coordinator(|| answer(passing)).await.expect("it is one by then");
        assert_eq!(asked.replace(0), 4);
        let refused = admin.of_coordinator(|| answer(ErrorCode::GROUP_ID_NOT_FOUND)).await;
        assert_eq!(refused.unwrap_err().code(), Some(ErrorCode::GROUP_ID_NOT_FOUND));
        assert_eq!(asked.get(), 1);
    }
}
