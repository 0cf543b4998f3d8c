//! `bootstrap-servers`, beside the metadata log: where a directory's cluster was found. A node that
//! joined once is started again without being told, and never forms a cluster of its own.
//!
//! | key | meaning |
//! | --- | --- |
//! | `servers` | controllers as HOST:PORT, with commas |
//! | `wants.vote` | whether this node still stands for the quorum; false once it was in it |

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::config::HostPort;

const NAME: &str = "bootstrap-servers";

/// Where a cluster was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its controllers.
    pub servers: Vec<HostPort>,
    /// Whether this node stands for the quorum. Once it was in it, whoever takes it out means it.
    pub wants_vote: bool,
}

impl Found {
    /// What a directory says; none of one whose node has joined nobody.
    ///
    /// # Errors
    /// When the file cannot be read: a node that joined must not start as if it had not.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(directory.join(NAME)) {
            Ok(text) => text,
            // What is wrong with the directory itself is told when that is opened.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let servers = value("servers").unwrap_or_default().split(',');
        let servers: Vec<HostPort> = servers.filter_map(HostPort::parse).collect();
        if servers.is_empty() {
            let place = directory.join(NAME);
            return Err(io::Error::other(format!("{} names no server", place.display())));
        }
        Ok(Some(Self { servers, wants_vote: value("wants.vote") == Some("true") }))
    }

    /// Keeps it in a directory, durably.
    ///
    /// # Errors
    /// When the disk refuses; what was there stands then.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        let text = format!("servers={}\nwants.vote={}\n", servers.join(","), self.wants_vote);
        fs::create_dir_all(directory)?;
        let temporary = directory.join(format!("{NAME}.tmp"));
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(NAME))?;
        File::open(directory)?.sync_all()
    }

    /// Forgets it, durably: the directory's node is a cluster of its own from here on.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(directory: &Path) -> io::Result<()> {
        match fs::remove_file(directory.join(NAME)) {
            Ok(()) => File::open(directory)?.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that joined would start as a cluster of its own, with the same id: two clusters.
    #[test]
    fn what_was_found_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Found::read(directory.path()).unwrap(), None);
        let server = |host: &str| HostPort { host: host.to_owned(), port: 9092 };
        let found = Found { servers: vec![server("a"), server("::1")], wants_vote: true };
        found.write(directory.path()).unwrap();
        assert_eq!(Found::read(directory.path()).unwrap(), Some(found));
        fs::write(directory.path().join(NAME), "").unwrap();
        assert!(Found::read(directory.path()).is_err(), "damaged is not absent");
        Found::remove(directory.path()).unwrap();
        assert_eq!(Found::read(directory.path()).unwrap(), None);
    }
}
