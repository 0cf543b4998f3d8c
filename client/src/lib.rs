//! A client of Milena, and of every other broker that speaks Kafka's protocol.
//!
//! | Module | What it is for |
//! | --- | --- |
//! | [`client`] | a cluster as a client sees it: connections, metadata, leaders |
//! | [`producer`] | writing records: batches, codecs, idempotence, retries, transactions |
//! | [`consumer`] | reading partitions that the caller names |
//! | [`group`] | reading topics as a member of a group, and committing how far |
//! | [`admin`] | topics, configurations, groups, transactions, the cluster |
//! | [`connection`] | one connection: any request of the protocol, pipelined |
//! | [`tcp`] | the sockets underneath |
//!
//! Everything is `async` on tokio and safe to drop at any await. A request is asked in the highest
//! version that both sides know. What a broker refuses comes back as [`Refused`], with the
//! protocol's code and the broker's own words; everything else that can go wrong is a
//! [`ClientError`].
//!
//! ```no_run
//! use milena_client::admin::{Admin, NewTopic};
//! use milena_client::client::{Client, ClientOptions};
//! use milena_client::consumer::{Consumer, ConsumerOptions, Start};
//! use milena_client::producer::{NewRecord, Producer, ProducerOptions};
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(ClientOptions::new("127.0.0.1:9092")).await?;
//! let admin = Admin::new(client.clone());
//! admin.create_topics(&[NewTopic::new("greetings").partitions(3)], false).await?;
//!
//! let producer = Producer::new(client.clone(), ProducerOptions::default());
//! let delivery = producer.send(NewRecord::new("greetings").key("who").value("world")).await?;
//! println!("at offset {}", delivery.wait().await?.offset);
//!
//! let mut consumer = Consumer::new(&client, ConsumerOptions::default());
//! consumer.assign("greetings", 0.into(), Start::Beginning);
//! for record in consumer.poll(Duration::from_secs(1)).await? {
//!     println!("{:?}", record.value);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

/// `tokio::select!`, which begins with any of its branches. Within a simulation chance follows from
/// a seed alone, so there it begins with the first.
#[cfg(not(feature = "simulation"))]
#[macro_export]
macro_rules! select {
    ($($branch:tt)*) => { ::tokio::select! { $($branch)* } };
}
/// `tokio::select!`, which begins with any of its branches. Within a simulation chance follows from
/// a seed alone, so there it begins with the first.
#[cfg(feature = "simulation")]
#[macro_export]
macro_rules! select {
    ($($branch:tt)*) => { ::tokio::select! { biased; $($branch)* } };
}

pub mod admin;
mod backoff;
pub mod client;
pub mod connection;
pub mod consumer;
mod entropy;
pub mod error;
pub mod group;
pub mod metadata;
mod offsets;
pub mod producer;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod tcp;
mod wire;

pub use error::{ClientError, Refused};
