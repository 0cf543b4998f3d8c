//! Configuration from environment variables, as the images of Kafka take it.
//!
//! `KAFKA_LOG_DIRS` and `KAFKA_CFG_LOG_DIRS` mean `log.dirs`: what follows the prefix in lower
//! case, `___` for `-`, `__` for `_`, `_` for `.`. `CLUSTER_ID` means `cluster.id`. Where several
//! variables name one key, `KAFKA_CFG_…` wins over `KAFKA_…`, and that over `CLUSTER_ID`.

/// Variables of Kafka's start scripts and images that configure a JVM, not a broker.
const NOT_SETTINGS: &[&str] = &[
    "KAFKA_CLASSPATH",
    "KAFKA_CLUSTERS",
    "KAFKA_CONF_DIR",
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_GROUP",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_KRAFT_CLUSTER_ID",
    "KAFKA_LOG4J_CMD_OPTS",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_MODE",
    "KAFKA_OPTS",
    "KAFKA_PORT",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_USER",
    "KAFKA_VERSION",
];

/// What Kubernetes plants into every container beside a service that is called `kafka`, and what
/// debuggers and command-line tools use.
const NOT_SETTINGS_PREFIXES: &[&str] =
    &["KAFKA_SERVICE_", "KAFKA_PORT_", "KAFKA_DEBUG_", "KAFKA_JMX_"];

/// The keys that variables set, with their values and the variables' names, later ones winning.
#[must_use]
pub fn settings_of(variables: &[(String, String)]) -> Vec<(String, String, String)> {
    let mut found: Vec<_> = variables
        .iter()
        .filter_map(|(name, value)| {
            let (rank, key) = key_of(name)?;
            Some((rank, key, value.clone(), name.clone()))
        })
        .collect();
    // The environment has no order of its own.
    found.sort_by(|a, b| (a.0, &a.3).cmp(&(b.0, &b.3)));
    found.into_iter().map(|(_, key, value, name)| (key, value, name)).collect()
}

/// The key that a variable sets and the variable's precedence.
fn key_of(name: &str) -> Option<(u8, String)> {
    if name == "CLUSTER_ID" {
        return Some((0, "cluster.id".to_owned()));
    }
    let rest = name.strip_prefix("KAFKA_")?;
    if NOT_SETTINGS.contains(&name)
        || NOT_SETTINGS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    {
        return None;
    }
    let (rank, rest) = match rest.strip_prefix("CFG_") {
        Some(rest) => (2, rest),
        None => (1, rest),
    };
    (!rest.is_empty()).then(|| (rank, decoded(rest)))
}

fn decoded(rest: &str) -> String {
    rest.to_lowercase().replace("___", "-").replace("__", "\0").replace('_', ".").replace('\0', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<String> {
        let variables: Vec<_> =
            names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        settings_of(&variables).into_iter().map(|(key, _, _)| key).collect()
    }

    /// Settings of an image written for Kafka would be lost.
    #[test]
    fn names_become_keys() {
        assert_eq!(keys(&["KAFKA_LOG_DIRS"]), ["log.dirs"]);
        assert_eq!(keys(&["KAFKA_CFG_NODE_ID"]), ["node.id"]);
        assert_eq!(keys(&["KAFKA_A__B_C___D"]), ["a_b.c-d"]);
        assert_eq!(keys(&["CLUSTER_ID"]), ["cluster.id"]);
    }

    /// A heap size would be warned about as an unknown key on every start in a container.
    #[test]
    fn what_is_no_setting_is_left_alone() {
        let none = ["KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_LOG4J_OPTS", "KAFKA_", "PATH"];
        assert_eq!(keys(&none), [""; 0]);
        assert_eq!(keys(&["KAFKA_SERVICE_HOST", "KAFKA_PORT_9092_TCP", "KAFKA_PORT"]), [""; 0]);
        assert_eq!(keys(&["KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_CFG_"]), [""; 0]);
    }

    /// Two variables for one key would win by the accident of their order.
    #[test]
    fn the_special_prefix_wins() {
        let variables = [
            ("KAFKA_CFG_CLUSTER_ID".to_owned(), "c".to_owned()),
            ("KAFKA_CLUSTER_ID".to_owned(), "b".to_owned()),
            ("CLUSTER_ID".to_owned(), "a".to_owned()),
        ];
        let values: Vec<_> = settings_of(&variables).into_iter().map(|(_, v, _)| v).collect();
        assert_eq!(values, ["a", "b", "c"]);
    }
}
