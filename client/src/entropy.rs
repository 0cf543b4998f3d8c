//! Chance, for what only has to differ from client to client. No secret is made of it.

use std::hash::{BuildHasher, RandomState};

/// A source of numbers of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entropy(RandomState);

impl Entropy {
    /// A number that others would not draw at the same place.
    pub fn draw(&self, place: u64) -> u64 {
        #[cfg(feature = "simulation")]
        if let Some(number) = crate::simulation::draw() {
            return number;
        }
        self.0.hash_one(place)
    }
}
