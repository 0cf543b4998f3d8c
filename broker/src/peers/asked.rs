//! What a broker asks of the active controller on its own account, wherever that is.

use milena_cluster::controller::Refused;
use milena_cluster::controller::topics::NewTopic;
use milena_cluster::wire::{Decided, producer_ids, producer_ids_request};
use milena_protocol::api::alter_partition::{AlterPartitionRequest, AlterPartitionResponse};
use milena_protocol::api::create_topics::{
    CreateTopicsConfig, CreateTopicsRequest, CreateTopicsTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::BrokerEpoch;

use super::ActiveController;
use crate::drivers::controller::Authority;
use crate::replicas::alter::ControllerChannel;

/// How long a controller may take to make a topic.
const TIMEOUT_MS: i32 = 30_000;

impl ActiveController {
    /// Makes a topic; one that is there already is as good.
    ///
    /// # Errors
    /// What the controller says, or that there is none.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<(), Refused> {
        let code = |code: ErrorCode| Refused::new(code, code.to_string());
        let refused = if self.local().is_active() {
            let decide = move |topic: NewTopic| {
                self.local().call(move |controller, _| {
                    controller.create_topics(std::slice::from_ref(&topic), false)
                })
            };
            let made = decide(topic).await.map_err(code)?;
            made.into_iter().find_map(Result::err)
        } else {
            let answer = self.ask(&creation(topic)).await.map_err(code)?;
            let topic = answer.topics.into_iter().find(|topic| !topic.error_code.is_none());
            topic.map(|topic| {
                let message = topic.error_message.unwrap_or_default();
                Refused::new(topic.error_code, message.as_str())
            })
        };
        refused
            .filter(|refused| refused.code != ErrorCode::TOPIC_ALREADY_EXISTS)
            .map_or(Ok(()), Err)
    }

    /// Lets the active controller decide, wherever that is.
    ///
    /// # Errors
    /// NOT_CONTROLLER or BROKER_NOT_AVAILABLE where nobody decided, as far as is known.
    pub async fn decided<R>(&self, request: R) -> Result<R::Response, ErrorCode>
    where
        R: Decided + Send + 'static,
        R::Response: Send,
    {
        if !self.local().is_active() {
            return self.ask(&request).await;
        }
        let decide = move |Authority { controller, sessions, now }: Authority<'_>| {
            request.decide(now, controller, sessions)
        };
        self.local().call_with(decide).await
    }

    /// The next block of producer ids for this broker: its first id, and its end (KIP-730).
    ///
    /// # Errors
    /// What the controller says, or that there is none.
    pub async fn allocate_producer_ids(&self, epoch: BrokerEpoch) -> Result<(i64, i64), ErrorCode> {
        let request = producer_ids_request(self.local().node(), epoch);
        producer_ids(&self.decided(request).await?)
    }
}

impl ControllerChannel for ActiveController {
    async fn alter_partition(
        &self,
        request: AlterPartitionRequest,
    ) -> Result<AlterPartitionResponse, ErrorCode> {
        self.decided(request).await
    }
}

fn creation(topic: NewTopic) -> CreateTopicsRequest {
    let config = |(name, value)| CreateTopicsConfig { name, value };
    let topic = CreateTopicsTopic {
        name: topic.name,
        num_partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: topic.configs.into_iter().map(config).collect(),
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: false }
}
