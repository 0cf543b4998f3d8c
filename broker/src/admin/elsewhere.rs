//! What another broker has to answer: the coordinator of a group, the leader of a partition.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use milena_protocol::api;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;

use super::call::Call;
use super::error::Failure;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// A request, and in which version it is put.
#[derive(Debug)]
pub struct Asked<R> {
    /// The request.
    pub request: R,
    /// The version, or the last one that both brokers know.
    pub version: i16,
}

impl<R: api::Request> Asked<R> {
    /// A request in its newest version.
    pub fn newest(request: R) -> Self {
        Self { request, version: R::VERSIONS.max }
    }
}

impl Call {
    /// Puts a request to a broker: to the handler `here` where it is this one, else over the wire.
    /// There it is asked by this broker, so the caller's right to it is looked at here.
    ///
    /// # Errors
    /// When the caller may not, or the broker does not answer.
    pub async fn put<R: api::Request, F: Future<Output = R::Response>>(
        &self,
        to: NodeId,
        (operation, resource): (Operation, Resource<'_>),
        asked: Asked<R>,
        here: impl FnOnce(Arc<Broker>, Context, R) -> F,
    ) -> Result<R::Response, Failure> {
        let Asked { request, version } = asked;
        let context = self.context_in(version);
        if to == self.broker.node_id {
            return Ok(here(self.broker.clone(), context, request).await);
        }
        self.check(operation, resource)?;
        let answer = self.broker.colleagues.questions.ask(to, &request, version).await;
        answer.ok_or_else(|| silent(to))
    }

    /// Puts a request to the coordinator of a group.
    ///
    /// # Errors
    /// When the caller may not, or who coordinates the group does not answer.
    pub async fn coordinate<R: api::Request, F: Future<Output = R::Response>>(
        &self,
        (operation, group): (Operation, &str),
        asked: Asked<R>,
        here: impl FnOnce(Arc<Broker>, Context, R) -> F,
    ) -> Result<R::Response, Failure> {
        let right = (operation, Resource::Group(group));
        self.put(self.coordinator(group), right, asked, here).await
    }

    /// Who coordinates a group; this node where nobody does, whose handler says so.
    #[must_use]
    pub fn coordinator(&self, group: &str) -> NodeId {
        let leader = self.broker.groups.leader_of(group);
        leader.filter(|leader| *leader != NodeId::NONE).unwrap_or(self.broker.node_id)
    }

    /// All who coordinate groups, and [`NodeId::NONE`] where nobody coordinates some.
    #[must_use]
    pub fn coordinators(&self) -> BTreeSet<NodeId> {
        let image = self.broker.metadata.image_owned();
        let topic = image.topic(self.broker.groups.topic());
        let partitions = topic.into_iter().flat_map(|topic| topic.partitions());
        partitions.map(|(_, partition)| partition.leader).collect()
    }
}

fn silent(broker: NodeId) -> Failure {
    let message = Text::from(format!("broker {broker} does not answer"));
    Failure::of_wire(ErrorCode::BROKER_NOT_AVAILABLE, Some(&message))
}
