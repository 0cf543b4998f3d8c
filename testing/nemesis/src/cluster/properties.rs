//! The settings of a node, in Kafka's words, which both brokers understand.

use std::fmt::Write;

use super::plan::Node;

/// Small numbers of partitions keep a restart about the topic under test.
const INTERNAL_PARTITIONS: usize = 8;

/// The settings of a node among others.
#[must_use]
pub fn text(node: &Node, nodes: &[Node], more: &[String]) -> String {
    let host = "127.0.0.1";
    let (clients, controllers) = (node.clients, node.controllers);
    let voter = |node: &Node| format!("{}@{host}:{}", node.id.0, node.controllers.advertised);
    let voters = nodes.iter().map(voter).collect::<Vec<_>>().join(",");
    let copies = nodes.len().min(3);
    let in_sync = min_in_sync(nodes.len());
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}\n\
         advertised.listeners=PLAINTEXT://{host}:{advertised},\
         CONTROLLER://{host}:{controller_advertised}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         log.dirs={data}\n\
         default.replication.factor={copies}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.replication.factor={copies}\n\
         offsets.topic.num.partitions={INTERNAL_PARTITIONS}\n\
         transaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr={in_sync}\n\
         transaction.state.log.num.partitions={INTERNAL_PARTITIONS}\n\
         auto.create.topics.enable=false\n\
         group.initial.rebalance.delay.ms=0\n",
        id = node.id.0,
        port = clients.port,
        controller_port = controllers.port,
        advertised = clients.advertised,
        controller_advertised = controllers.advertised,
        data = node.data().display(),
    );
    for line in more {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    }
    text
}

/// How many copies must be in sync for a write among so many nodes.
#[must_use]
pub fn min_in_sync(nodes: usize) -> usize {
    if nodes < 3 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::plan;
    use super::*;

    /// Nodes would not find each other, or go round the proxies.
    #[test]
    fn others_are_told_of_the_proxies() {
        let nodes = plan::nodes(3, Path::new("/x"), true).unwrap();
        let text = text(&nodes[1], &nodes, &["a=b".to_owned()]);
        let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        let port = nodes[1].clients;
        assert!(line("listeners").contains(&format!("PLAINTEXT://127.0.0.1:{}", port.port)));
        assert!(line("advertised").contains(&format!("127.0.0.1:{}", port.advertised)));
        let voter = format!("3@127.0.0.1:{}", nodes[2].controllers.advertised);
        assert!(line("controller.quorum.voters").ends_with(&voter));
        assert_eq!(line("min.insync"), "min.insync.replicas=2");
        assert_eq!(line("a="), "a=b");
    }
}
