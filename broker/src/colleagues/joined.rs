//! What goes to a broker together.

use std::collections::BTreeMap;

use milena_protocol::api::Request;

/// A kind of request in which several are asked for at once.
pub trait Joined: Send + Sync + 'static {
    /// One of them.
    type Item: Send + 'static;
    /// What its answer is known by; a request has each only once.
    type Key: Ord + Send + 'static;
    /// Its answer.
    type Answer: Send + 'static;
    /// The request that has all of them.
    type Request: Request + Send + Sync;

    /// What the answer of an item will be known by.
    fn key(item: &Self::Item) -> Self::Key;

    /// All of them in one request.
    fn join(items: Vec<Self::Item>) -> Self::Request;

    /// The answers to each.
    fn part(response: <Self::Request as Request>::Response) -> BTreeMap<Self::Key, Self::Answer>;
}
