//! AddPartitionsToTxn to the coordinators of transactions (KIP-890).

use std::collections::BTreeMap;

use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTransaction,
};
use milena_protocol::codec::Text;

use super::joined::Joined;

/// Partitions that come into transactions, or are said to be in them.
#[derive(Debug)]
pub enum Additions {}

impl Joined for Additions {
    type Item = AddPartitionsToTxnTransaction;
    type Key = Text;
    type Answer = AddPartitionsToTxnResult;
    type Request = AddPartitionsToTxnRequest;

    fn key(item: &Self::Item) -> Text {
        item.transactional_id.clone()
    }

    fn join(transactions: Vec<Self::Item>) -> Self::Request {
        AddPartitionsToTxnRequest { transactions, ..Default::default() }
    }

    fn part(response: AddPartitionsToTxnResponse) -> BTreeMap<Text, Self::Answer> {
        if !response.error_code.is_none() {
            tracing::warn!(code = %response.error_code, "a broker refuses to add partitions");
        }
        let results = response.results_by_transaction.into_iter();
        results.map(|result| (result.transactional_id.clone(), result)).collect()
    }
}
