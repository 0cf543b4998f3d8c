//! Why a node does not start, or serves no more.

use std::fmt;
use std::io;

use milena_storage::OpenDirectoryError;

use crate::drivers::controller::Fatal;
use crate::join;
use crate::lifecycle::{Forgotten, JoinError};

/// Why a node does not start.
#[derive(Debug)]
pub enum StartError {
    /// A data directory cannot be used.
    Directory(OpenDirectoryError),
    /// A listener cannot be bound.
    Bind {
        /// The key that names it.
        key: &'static str,
        /// The listener.
        listener: String,
        /// What the system said.
        error: io::Error,
    },
    /// The metadata cannot be read or written.
    Metadata(String),
    /// The cluster that it shall be part of does not take it.
    Join(join::JoinError),
    /// This configuration asks for what there is not.
    Unsupported(String),
    /// The system refused.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error @ OpenDirectoryError::InUse { .. }) => {
                write!(f, "{error}; stop that process, or set log.dirs to another directory")
            }
            Self::Directory(error @ OpenDirectoryError::Foreign { .. }) => {
                write!(f, "{error}; set log.dirs to the right directory, or correct the setting")
            }
            Self::Directory(error) => write!(f, "cannot use the data directory: {error}"),
            Self::Bind { key, listener, error } if error.kind() == io::ErrorKind::AddrInUse => {
                let scheme = listener.split_once("://").map_or("PLAINTEXT", |(scheme, _)| scheme);
                write!(
                    f,
                    "cannot listen on {listener}: the address is taken; stop what listens there, \
                     or choose another port with --set {key}={scheme}://127.0.0.1:PORT"
                )
            }
            Self::Bind { key, listener, error } => {
                write!(f, "cannot listen on {listener}: {error}; {key} names where to listen")
            }
            Self::Metadata(reason) => write!(f, "cannot start from the metadata log: {reason}"),
            Self::Join(error) => error.fmt(f),
            Self::Unsupported(what) => f.write_str(what),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Fatal> for StartError {
    fn from(fatal: Fatal) -> Self {
        Self::Metadata(fatal.0)
    }
}

/// Why a node serves no more.
#[derive(Debug)]
pub enum ServeError {
    /// It did not become part of its cluster.
    Join(JoinError),
    /// It is part of its cluster no more.
    Forgotten(Forgotten),
    /// It cannot be part of the metadata quorum.
    Quorum(join::JoinError),
    /// The system refused something.
    System(io::Error),
}

impl From<JoinError> for ServeError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Forgotten(forgotten) => Self::Forgotten(forgotten),
            error => Self::Join(error),
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(error) => write!(f, "cannot join the cluster: {error}"),
            Self::Forgotten(forgotten) => forgotten.fmt(f),
            Self::Quorum(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}
