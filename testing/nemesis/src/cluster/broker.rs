//! Which broker is tried.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::Node;
use super::{kafka, milena, properties};

/// Whose program a node runs.
#[derive(Clone, Debug)]
pub enum Broker {
    /// Ours.
    Milena {
        /// The program.
        binary: PathBuf,
    },
    /// Apache Kafka.
    Kafka {
        /// Its jars.
        class_path: String,
    },
}

impl Broker {
    /// Makes what a node needs before its first start.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn prepare(&self, node: &Node, nodes: &[Node], settings: &[String]) -> io::Result<()> {
        fs::create_dir_all(node.data())?;
        let own = match self {
            Self::Milena { .. } => milena::settings(node),
            Self::Kafka { .. } => Vec::new(),
        };
        let text = properties::text(node, nodes, &[&own, settings].concat());
        fs::write(node.properties(), text)?;
        match self {
            Self::Milena { .. } => Ok(()),
            Self::Kafka { class_path } => kafka::format(class_path, node),
        }
    }

    /// The command that starts a node.
    #[must_use]
    pub fn command(&self, node: &Node) -> Command {
        match self {
            Self::Milena { binary } => milena::command(binary, node),
            Self::Kafka { class_path } => kafka::command(class_path, node),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Milena { .. } => "milena",
            Self::Kafka { .. } => "kafka",
        }
    }

    /// The program of a name.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn milena(binary: Option<&Path>) -> io::Result<Self> {
        Ok(Self::Milena { binary: milena::binary(binary)? })
    }

    /// Apache Kafka.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn kafka(jars: Option<&Path>) -> io::Result<Self> {
        Ok(Self::Kafka { class_path: kafka::class_path(jars)? })
    }
}
