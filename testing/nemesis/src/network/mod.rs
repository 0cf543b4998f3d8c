//! The network between processes of one machine: a proxy before every listener, and a link for each
//! direction between two ends.

pub mod faults;
pub mod link;
pub mod owner;
pub mod proxy;
pub mod pump;
