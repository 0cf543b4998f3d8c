//! Transactions, as applications use them.

use super::lane;
use super::send::Producer;
use super::transact::Coordinator;
use super::transaction::End;
use crate::error::ClientError;
use crate::group::{GroupMetadata, Offsets};

impl Producer {
    /// Takes the place of every earlier producer with the same transactional id: what they have
    /// open is aborted, and they can write no more. To be called once, before the first
    /// transaction.
    ///
    /// # Errors
    /// When the producer has no transactional id, its coordinator does not answer, or refuses.
    pub async fn init_transactions(&self) -> Result<(), ClientError> {
        let coordinator = self.coordinator()?;
        self.shared.transaction().may_initialise()?;
        let timeout = self.shared.options.transaction_timeout;
        match coordinator.initialise(timeout, None).await {
            Ok((identity, is_implicit)) => {
                self.shared.transaction().initialised(identity, is_implicit);
                Ok(())
            }
            Err(error) => {
                self.shared.spoil(&error);
                Err(error)
            }
        }
    }

    /// Begins a transaction: what is sent from now on belongs to it.
    ///
    /// # Errors
    /// When one is open already, the transactions are not initialised, or another producer has
    /// taken the place of this one.
    pub fn begin_transaction(&self) -> Result<(), ClientError> {
        self.shared.transaction().begin()
    }

    /// Commits how far a group has read together with the transaction; each offset is that of the
    /// record to read next.
    ///
    /// # Errors
    /// When no transaction is open, the coordinators do not answer, or refuse, as they do where the
    /// member is none any more. The transaction can only be aborted then.
    pub async fn send_offsets(
        &self,
        offsets: &Offsets,
        group: &GroupMetadata,
    ) -> Result<(), ClientError> {
        let coordinator = self.coordinator()?;
        if offsets.is_empty() {
            return Ok(());
        }
        let (identity, is_implicit) = {
            let mut transaction = self.shared.transaction();
            transaction.take()?;
            (transaction.name()?, transaction.is_implicit())
        };
        let outcome = async {
            if !is_implicit {
                coordinator.add_offsets(identity, group).await?;
                self.shared.transaction().add([]);
            }
            coordinator.commit_offsets(identity, is_implicit, offsets, group).await
        };
        outcome.await.inspect_err(|error| self.shared.spoil(error))
    }

    /// Sends what waits to be sent, and commits the transaction when all of it is acknowledged.
    /// Nothing may be handed in meanwhile.
    ///
    /// # Errors
    /// When a record was lost, which leaves only [`Producer::abort_transaction`]; when another
    /// producer has taken the place of this one ([`ClientError::ends_producer`]); when the
    /// coordinator does not answer: then it is not known whether the transaction is committed, and
    /// this may be called again.
    pub async fn commit_transaction(&self) -> Result<(), ClientError> {
        let coordinator = self.coordinator()?;
        self.shared.drop_if_spoilt();
        self.flush().await;
        self.shared.drop_if_spoilt();
        self.end(&coordinator, End::Commit).await
    }

    /// Aborts the transaction: what waits to be sent is not sent any more, and what was sent is
    /// never shown to who reads committed records.
    ///
    /// # Errors
    /// When no transaction is open, another producer has taken the place of this one, or the
    /// coordinator does not answer; then this may be called again.
    pub async fn abort_transaction(&self) -> Result<(), ClientError> {
        let coordinator = self.coordinator()?;
        self.shared.spoil(&ClientError::Aborted);
        // What is under way comes back before the end is told.
        self.flush().await;
        let _nothing_is_added = self.shared.adding.lock().await;
        self.end(&coordinator, End::Abort).await
    }

    fn coordinator(&self) -> Result<Coordinator, ClientError> {
        let what = "the producer has no transactional id";
        self.shared.coordinator().ok_or(ClientError::Misused { what })
    }

    async fn end(&self, coordinator: &Coordinator, end: End) -> Result<(), ClientError> {
        let (is_known, identity, is_implicit, needs_epoch) = {
            let mut transaction = self.shared.transaction();
            let is_known = transaction.end(end)?;
            let needs_epoch = transaction.needs_epoch();
            (is_known, transaction.name()?, transaction.is_implicit(), needs_epoch)
        };
        let outcome = async {
            let mut next = None;
            if is_known {
                next = coordinator.end(identity, end, is_implicit).await?;
            }
            if needs_epoch {
                // Sequences have a gap, and this broker raises no epoch by itself.
                let timeout = self.shared.options.transaction_timeout;
                next = Some(coordinator.initialise(timeout, Some(identity)).await?.0);
            }
            Ok(next)
        };
        match outcome.await {
            Ok(next) => {
                let is_renamed = next.is_some_and(|next| next != identity);
                lane::lock(&self.shared.lanes).begin_anew(is_renamed);
                let mut transaction = self.shared.transaction();
                if needs_epoch && let Some(next) = next {
                    transaction.initialised(next, is_implicit);
                }
                transaction.ended(next);
                Ok(())
            }
            Err(error) => {
                // Without an answer nobody knows how it ended: the same is to be asked again.
                if !matches!(error, ClientError::GaveUp { .. }) {
                    self.shared.spoil(&error);
                }
                Err(error)
            }
        }
    }
}
