//! Members of the cluster: who votes in the metadata quorum, and brokers that are gone for good.

use milena_protocol::api::add_raft_voter::{AddRaftVoterListener, AddRaftVoterRequest};
use milena_protocol::api::remove_raft_voter::RemoveRaftVoterRequest;
use milena_protocol::api::unregister_broker::UnregisterBrokerRequest;
use milena_protocol::ids::{NodeId, Uuid};

use super::ask::Admin;
use super::cluster::Listener;
use crate::error::{ClientError, Refused};

impl Admin {
    /// Lets an observer of the metadata quorum vote, and waits until that is committed.
    ///
    /// # Errors
    /// When there is no answer, or the quorum refuses.
    pub async fn add_voter(
        &self,
        node_id: NodeId,
        directory_id: Uuid,
        listener: &Listener,
    ) -> Result<(), ClientError> {
        let listener = AddRaftVoterListener {
            name: listener.name.as_str().into(),
            host: listener.host.as_str().into(),
            port: listener.port,
        };
        let request = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: self.timeout_ms(),
            voter_id: node_id,
            voter_directory_id: directory_id,
            listeners: vec![listener],
            ack_when_committed: true,
        };
        let response = self.client.ask_any(&request).await?;
        Refused::check(response.error_code, response.error_message.as_deref())
            .map_err(|refused| refused.of(format!("the vote of node {node_id}")))
    }

    /// Lets a voter of the metadata quorum vote no more, and waits until that is committed.
    ///
    /// # Errors
    /// When there is no answer, or the quorum refuses.
    pub async fn remove_voter(
        &self,
        node_id: NodeId,
        directory_id: Uuid,
    ) -> Result<(), ClientError> {
        let request = RemoveRaftVoterRequest {
            cluster_id: None,
            voter_id: node_id,
            voter_directory_id: directory_id,
        };
        let response = self.client.ask_any(&request).await?;
        Refused::check(response.error_code, response.error_message.as_deref())
            .map_err(|refused| refused.of(format!("the vote of node {node_id}")))
    }

    /// Lets the cluster forget a broker. One that still runs leads nothing from then on.
    ///
    /// # Errors
    /// When there is no answer, or no such broker.
    pub async fn unregister_broker(&self, node_id: NodeId) -> Result<(), ClientError> {
        let request = UnregisterBrokerRequest { broker_id: node_id };
        let response = self.client.ask_any(&request).await?;
        Refused::check(response.error_code, response.error_message.as_deref())
            .map_err(|refused| refused.of(format!("broker {node_id}")))
    }
}
