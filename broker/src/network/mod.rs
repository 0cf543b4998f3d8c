//! Sockets: accepting, framing and the order of answers.

pub mod connection;
pub mod frame;
pub mod gone;
pub mod listener;
