//! Milena client.
