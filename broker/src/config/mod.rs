//! What a node was told, by whom, and what it makes of it.
//!
//! Kafka's vocabulary from four sources in rising order: defaults, a properties file, the
//! environment, `--set`. Nothing unknown stops a node; a wrong value does, and is named together
//! with its key, its source and the values that would be right.

mod acting;
mod declared;
mod environment;
mod error;
mod listeners;
mod load;
mod properties;
mod reading;
mod reference;
mod secret;
mod settings;
mod sources;
mod typed;

pub use acting::{Acting, acting};
pub use declared::{Check, Declared, Kind, Scope, accepts, all, at_run_time, find, legal_values};
pub use error::{ConfigError, Problem, Warning};
pub use listeners::{HostPort, HttpListener, Listener, SecurityProtocol, Voter};
pub use load::nearest;
pub use reference::markdown;
pub use secret::Secret;
pub use settings::{Setting, Settings, Source, Value};
pub use sources::Sources;
pub use typed::{
    Config, GroupConfig, LogDefaults, MetadataLogConfig, ProcessRoles, QuorumConfig,
    RecordValidation, ReplicaConfig, SocketConfig, TransactionConfig,
};

#[cfg(test)]
mod tests;
