//! What a node does: sockets, handlers, drivers of the machines, HTTP, the command line.
//!
//! All the IO is here and none of the rules: what may happen is decided in `milena_cluster`, what a
//! log keeps in `milena_storage`, what bytes mean in `milena_protocol`.

#![forbid(unsafe_code)]

pub mod admin;
pub mod advertised;
pub mod blocking;
pub mod broker;
pub mod caretaker;
pub mod cli;
pub mod clock;
pub mod colleagues;
pub mod config;
pub mod diagnosis;
pub mod drivers;
pub mod endpoints;
pub mod entropy;
pub mod fetch_session;
pub mod handlers;
pub mod join;
pub mod lag;
pub mod lifecycle;
pub mod limits;
pub mod machine;
pub mod metadata;
pub mod network;
pub mod node;
pub mod peers;
pub mod publisher;
pub mod readiness;
pub mod replicas;
pub mod request;
pub mod screen;
pub mod security;
pub mod telemetry;
pub mod timestamp;
