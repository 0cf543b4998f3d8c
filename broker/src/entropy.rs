//! Random ids. The machines of `cluster` get theirs from here, with the request.

use milena_protocol::ids::Uuid;
use rustix::rand::{GetRandomFlags, getrandom};

/// A new id.
///
/// # Panics
/// When the system has no entropy to give, which it has once it has booted.
#[must_use]
pub fn new_uuid() -> Uuid {
    loop {
        let mut bytes = [0; 16];
        let filled = getrandom(&mut bytes[..], GetRandomFlags::empty())
            .expect("the system gives entropy once it has booted");
        if let (16, Some(id)) = (filled, Uuid::from_random(bytes)) {
            return id;
        }
    }
}
