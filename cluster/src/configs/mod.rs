//! Configurations: what there is, what is legal, and which value is in force.
//!
//! A broker's value comes from its own dynamic override, else from that of all brokers, else from
//! its file, else it is the default. A topic's value is its override, else that of its broker
//! synonym. Where time is concerned milliseconds win over minutes over hours.

mod broker_keys_a_to_m;
mod broker_keys_n_to_z;
mod declaration;
mod describe;
mod group_keys;
mod resolve;
mod row;
mod source;
mod table;
mod topic_keys;

pub use declaration::{Check, Declaration, Kind, Scope};
pub use describe::{
    Described, Synonym, describe_broker, describe_group, describe_group_of, describe_topic,
    describe_topic_with,
};
pub use resolve::{Resolver, Values, broker, group, min_in_sync, topic, unit_family};
pub use source::Source;
pub use table::{BROKER, DYNAMIC_ONLY, GROUP, TOPIC};
