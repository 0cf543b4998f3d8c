//! Classic groups and stored offsets, as the coordinator sees them: requests and time in, records
//! and answers out.

mod classic;
mod offsets;
mod overview;
mod sim;
mod world;
