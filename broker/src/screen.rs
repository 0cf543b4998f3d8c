//! What a newcomer reads when a node has started: one screen that says where everything is.
//!
//! Each listener stands on a line of its own as `NAME://host:port`, with the port that was really
//! bound, so that scripts find it too.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use milena_protocol::ids::NodeId;

use crate::config::HostPort;

/// How a node came to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// On an empty directory.
    Fresh,
    /// From what was there.
    Recovered {
        /// Partitions that were opened.
        partitions: usize,
    },
}

/// What the screen says.
#[derive(Clone, Debug)]
pub struct Screen {
    /// The node.
    pub node_id: NodeId,
    /// The cluster.
    pub cluster_id: String,
    /// Every listener as it was bound.
    pub listeners: Vec<(String, HostPort)>,
    /// Every HTTP address as it was bound; empty means no HTTP.
    pub http: Vec<HostPort>,
    /// Where the data is.
    pub log_dirs: Vec<PathBuf>,
    /// How it came to run.
    pub start: Start,
    /// From the start of the process until clients are served.
    pub took: Duration,
    /// Whether it is a broker: a controller alone has nothing for clients.
    pub serves_clients: bool,
    /// How the program was called, for commands to try.
    pub program: String,
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Milena {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "  node     {} of cluster {}", self.node_id, self.cluster_id)?;
        for (index, (name, endpoint)) in self.listeners.iter().enumerate() {
            let title = if index == 0 { "kafka" } else { "" };
            writeln!(f, "  {title:<8} {name}://{}", shown(endpoint))?;
        }
        if self.http.is_empty() {
            writeln!(f, "  http     off (http.listeners is empty)")?;
        }
        for (index, endpoint) in self.http.iter().enumerate() {
            let title = if index == 0 { "http" } else { "" };
            writeln!(f, "  {title:<8} http://{}", shown(endpoint))?;
        }
        for (index, path) in self.log_dirs.iter().enumerate() {
            let title = if index == 0 { "data" } else { "" };
            writeln!(f, "  {title:<8} {}", path.display())?;
        }
        let milliseconds = self.took.as_millis();
        match self.start {
            Start::Fresh => writeln!(f, "  started  fresh in {milliseconds} ms")?,
            Start::Recovered { partitions } => {
                writeln!(f, "  started  recovered {partitions} partitions in {milliseconds} ms")?;
            }
        }
        self.next_steps(f)?;
        writeln!(f, "  stop     Ctrl-C; kill -9 is safe too")
    }
}

impl Screen {
    /// Three commands to try, as they work on this machine.
    fn next_steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, endpoint)) = self.listeners.first() else {
            return Ok(());
        };
        let server = near(endpoint);
        let program = &self.program;
        let cluster = &self.cluster_id;
        if !self.serves_clients {
            let Some(http) = self.http.first().map(near) else { return Ok(()) };
            return writeln!(f, "  try      curl http://{http}/v3/clusters/{cluster}/quorum");
        }
        writeln!(f, "  try      echo hi | {program} topic produce hello -b {server}")?;
        writeln!(f, "           {program} topic consume hello -b {server}")?;
        match self.http.first().map(near) {
            Some(http) => writeln!(f, "           curl http://{http}/v3/clusters/{cluster}/topics"),
            None => writeln!(f, "           {program} config explain"),
        }
    }

    /// Logs that clients are served, in words that tools around Kafka wait for.
    pub fn log_ready(&self) {
        tracing::info!(
            node_id = self.node_id.0,
            cluster_id = %self.cluster_id,
            took_ms = self.took.as_millis() as u64,
            "Transitioning from RECOVERY to RUNNING"
        );
    }
}

/// An endpoint as it was bound, every interface by its number.
fn shown(endpoint: &HostPort) -> HostPort {
    let host = if endpoint.host.is_empty() { "0.0.0.0" } else { &endpoint.host };
    HostPort { host: host.to_owned(), port: endpoint.port }
}

/// An endpoint as a command on this machine reaches it.
fn near(endpoint: &HostPort) -> HostPort {
    let is_everywhere = matches!(endpoint.host.as_str(), "" | "0.0.0.0" | "::");
    let host = if is_everywhere { "127.0.0.1" } else { &endpoint.host };
    HostPort { host: host.to_owned(), port: endpoint.port }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        let local = |port| HostPort { host: "127.0.0.1".to_owned(), port };
        Screen {
            node_id: NodeId(1),
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            listeners: vec![("PLAINTEXT".to_owned(), local(40123))],
            http: vec![local(9644)],
            log_dirs: vec!["/var/lib/milena".into()],
            start: Start::Fresh,
            took: Duration::from_micros(31_700),
            serves_clients: true,
            program: "milena".to_owned(),
        }
    }

    /// A newcomer would have to search for what the node knows; scripts would miss the port.
    #[test]
    fn one_screen_tells_where_everything_is() {
        let expected = format!(
            "\
Milena {}
  node     1 of cluster 4L6g3nShT-eMCtK--X86sw
  kafka    PLAINTEXT://127.0.0.1:40123
  http     http://127.0.0.1:9644
  data     /var/lib/milena
  started  fresh in 31 ms
  try      echo hi | milena topic produce hello -b 127.0.0.1:40123
           milena topic consume hello -b 127.0.0.1:40123
           curl http://127.0.0.1:9644/v3/clusters/4L6g3nShT-eMCtK--X86sw/topics
  stop     Ctrl-C; kill -9 is safe too
",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(screen().to_string(), expected);
    }

    /// A newcomer would be told to write to a node that takes no records.
    #[test]
    fn a_controller_alone_tells_of_the_quorum() {
        let mut screen = Screen { serves_clients: false, ..screen() };
        let text = screen.to_string();
        let cluster = &screen.cluster_id;
        let line = format!("  try      curl http://127.0.0.1:9644/v3/clusters/{cluster}/quorum");
        assert!(text.contains(&line) && !text.contains("produce"), "{text}");
        screen.http.clear();
        assert!(!screen.to_string().contains("try"), "{screen}");
    }

    /// A command that was printed would not work where a node listens on every interface.
    #[test]
    fn commands_work_on_this_machine() {
        let mut screen = screen();
        screen.listeners[0].1 = HostPort { host: String::new(), port: 9092 };
        screen.listeners.push(("BROKER".to_owned(), HostPort { host: "::1".into(), port: 9093 }));
        screen.http.clear();
        screen.start = Start::Recovered { partitions: 12 };
        let text = screen.to_string();
        for line in [
            "  kafka    PLAINTEXT://0.0.0.0:9092",
            "           BROKER://[::1]:9093",
            "  http     off (http.listeners is empty)",
            "  started  recovered 12 partitions in 31 ms",
            "  try      echo hi | milena topic produce hello -b 127.0.0.1:9092",
            "           milena topic consume hello -b 127.0.0.1:9092",
            "           milena config explain",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
