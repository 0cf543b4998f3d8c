//! Milena broker.
