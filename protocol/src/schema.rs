//! Declarations as data: what a struct's fields are and which versions have them.

/// Versions from `min` to `max`, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub min: i16,
    /// The highest.
    pub max: i16,
}

impl Versions {
    /// No version at all.
    pub const NONE: Self = Self { min: i16::MAX, max: i16::MIN };

    /// Whether a version is among these.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// A field of a struct, as data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// The name, in snake case.
    pub name: &'static str,
    /// What stands in it.
    pub kind: Kind,
    /// The versions that have it.
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Versions,
    /// Its tag, if it is a tagged field.
    pub tag: Option<u32>,
}

/// A struct, as data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schema {
    /// The struct's name.
    pub name: &'static str,
    /// Its fields in the order of the wire.
    pub fields: &'static [Field],
}

/// The shape of a value, as data: what generators, documents and differential tests read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    Int8,
    /// Two bytes.
    Int16,
    /// Two bytes, unsigned.
    Uint16,
    /// Four bytes.
    Int32,
    /// Four bytes, unsigned.
    Uint32,
    /// Eight bytes.
    Int64,
    /// Eight bytes, IEEE 754.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// A string.
    String,
    /// A byte string.
    Bytes,
    /// Record batches.
    Records,
    /// Several of one kind.
    Array(&'static Kind),
    /// A struct.
    Struct(&'static Schema),
}
