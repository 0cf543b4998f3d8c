//! Milena cluster.
