//! A declaration as one row of a table.

use super::declaration::{Check, Kind, Scope};

/// Scope, type, name, default, legal values, meaning.
pub(super) type Row = (Scope, Kind, &'static str, Option<&'static str>, Check, &'static str);

/// Scope, type, name, default, legal values, broker synonym (empty: none), meaning.
pub(super) type InheritingRow =
    (Scope, Kind, &'static str, Option<&'static str>, Check, &'static str, &'static str);
