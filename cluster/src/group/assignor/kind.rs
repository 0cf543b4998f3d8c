//! The assignors there are, by their names.

use super::spec::{Assignment, Spec};
use super::{range, uniform};

/// An assignor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// As many partitions for everyone, and few moves.
    Uniform,
    /// Neighbouring partitions, and the same ones of topics that are alike.
    Range,
}

impl Kind {
    /// The assignor of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|kind| kind.name() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// Says who shall have what: each partition of a topic with subscribers goes to one of them.
    #[must_use]
    pub fn assign(self, spec: &Spec<'_>) -> Assignment {
        match self {
            Self::Uniform => uniform::assign(spec),
            Self::Range => range::assign(spec),
        }
    }
}
