//! Whose end of a connection it is: Linux tells the inode of a socket by its ports
//! (`/proc/net/tcp`), and the inodes that a process holds (`/proc/PID/fd`).

use std::collections::BTreeMap;
use std::fs;

use super::link::End;
use crate::cluster::plan::NodeId;

/// Who connected from `port` to `listener`, both on this machine: one of the processes, or else a
/// client.
#[must_use]
pub fn of(port: u16, listener: u16, processes: &BTreeMap<NodeId, u32>) -> End {
    // Java's sockets speak IPv4 by way of IPv6.
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().find_map(|line| inode(line, port, listener))
    });
    let Some(inode) = inode else { return End::Client };
    let holder = processes.iter().find(|(_, id)| holds(**id, &inode));
    holder.map_or(End::Client, |(node, _)| End::Node(*node))
}

/// The inode in a line of the table, if the line is about these ports.
fn inode(line: &str, port: u16, listener: u16) -> Option<String> {
    let mut words = line.split_whitespace().skip(1);
    let ends = [words.next()?, words.next()?];
    let [local, remote] = ends.map(|end| {
        let (_, port) = end.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok()
    });
    if local != Some(port) || remote != Some(listener) {
        return None;
    }
    // State, queues, timer, retransmissions, user and timeout stand between.
    words.nth(6).map(str::to_owned)
}

fn holds(process: u32, inode: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    let wanted = format!("socket:[{inode}]");
    let targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.into_iter().any(|target| target.to_str() == Some(wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A node's connections would pass for a client's, and no partition would touch them.
    #[test]
    fn the_owner_of_a_connection_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        let port = stream.local_addr().unwrap().port();
        let us = BTreeMap::from([(NodeId(2), std::process::id())]);
        assert_eq!(of(port, address.port(), &us), End::Node(NodeId(2)));
        assert_eq!(of(port, address.port(), &BTreeMap::new()), End::Client);
        assert_eq!(of(1, address.port(), &us), End::Client);
    }

    /// A line about other ports would name a wrong inode.
    #[test]
    fn a_line_of_the_table_is_read() {
        let line = "   7: 0100007F:A1B2 0100007F:2384 01 00000000:00000000 00:00000000 00000000  \
                    1000        0 123456 1 0000000000000000 20 4 30 10 -1";
        assert_eq!(inode(line, 0xa1b2, 0x2384).as_deref(), Some("123456"));
        assert_eq!(inode(line, 0x2384, 0xa1b2), None);
        assert_eq!(inode("  sl  local_address", 1, 2), None);
    }
}
