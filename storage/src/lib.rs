//! Milena storage.
