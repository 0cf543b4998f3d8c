//! The configuration as a whole: precedence, what is refused, what is kept secret.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use milena_protocol::ids::NodeId;

use super::*;

#[derive(Default)]
struct Given {
    file: Option<tempfile::NamedTempFile>,
    environment: Vec<(String, String)>,
    set: Vec<String>,
}

impl Given {
    fn set(pairs: &[&str]) -> Self {
        Self { set: pairs.iter().map(|pair| (*pair).to_owned()).collect(), ..Self::default() }
    }

    fn and_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn and_file(mut self, text: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.file = Some(file);
        self
    }

    fn sources(&self) -> Sources {
        Sources {
            file: self.file.as_ref().map(|file| file.path().to_owned()),
            environment: self
                .environment
                .iter()
                .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
                .collect(),
            set: self.set.iter().cloned().map(Secret::new).collect(),
        }
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.sources())
    }
}

fn loaded(set: &[&str]) -> Config {
    Given::set(set).load().unwrap_or_else(|error| panic!("{set:?}: {error}"))
}

fn refused(set: &[&str]) -> String {
    match Given::set(set).load() {
        Ok(_) => panic!("{set:?} was taken"),
        Err(error) => error.to_string(),
    }
}

/// A node without a configuration would not start, or be open to the network.
#[test]
fn nothing_is_needed() {
    let config = Given::default().load().unwrap();
    assert_eq!(config.node_id, None);
    assert_eq!(config.process_roles, ProcessRoles { broker: true, controller: true });
    let listeners: Vec<_> = config.listeners.iter().map(ToString::to_string).collect();
    assert_eq!(listeners, ["PLAINTEXT://127.0.0.1:9092"]);
    assert!(config.advertised_listeners.is_empty());
    assert_eq!(config.inter_broker_listener_name, "PLAINTEXT");
    assert_eq!(config.http_listeners[0].to_string(), "http://127.0.0.1:9644");
    assert_eq!(config.log_dirs, [PathBuf::from("milena-data")]);
    assert_eq!(config.metadata_log_dir, config.log_dirs[0]);
    assert_eq!(config.num_partitions, 1);
    assert_eq!(config.socket.request_max_bytes, 104_857_600);
    assert_eq!(config.fetch_max_bytes, 57_671_680);
    assert_eq!(config.connections_max_idle, Duration::from_secs(600));
    assert_eq!(config.log.retention_ms, 7 * 24 * 3_600_000);
    assert_eq!(config.queued_max_request_bytes, None);
    assert_eq!(config.record_validation, RecordValidation::Records);
    assert!(config.warnings().is_empty());
    assert!(config.static_values().is_empty());
}

/// The same broker started from another directory would find no data.
#[test]
fn data_has_a_place_of_its_own() {
    let at = |given: Given| given.load().unwrap().log_dirs;
    let home = Given::default().and_variable("HOME", "/home/a");
    assert_eq!(at(home), [PathBuf::from("/home/a/.local/share/milena")]);
    let xdg = Given::default().and_variable("HOME", "/home/a").and_variable("XDG_DATA_HOME", "/d");
    assert_eq!(at(xdg), [PathBuf::from("/d/milena")]);
    let relative = Given::default().and_variable("XDG_DATA_HOME", "d");
    assert_eq!(at(relative), [PathBuf::from("milena-data")]);
    assert_eq!(at(Given::set(&["log.dir=/a"])), [PathBuf::from("/a")]);
    assert_eq!(at(Given::set(&["log.dir=/a", "log.dirs=/b,/c"])).len(), 2);
}

/// The weaker source would win, or the source of a value be told wrongly.
#[test]
fn later_sources_win_and_are_remembered() {
    let given = Given::set(&["num.partitions=4", "num.partitions=5"])
        .and_variable("KAFKA_NUM_PARTITIONS", "3")
        .and_variable("KAFKA_CFG_DEFAULT_REPLICATION_FACTOR", "2")
        .and_variable("KAFKA_HEAP_OPTS", "-Xmx1G")
        .and_file("# mine\nnum.partitions=2\ndefault.replication.factor=1\nnode.id=7\n");
    let config = given.load().unwrap();
    assert_eq!(config.num_partitions, 5);
    assert_eq!(config.default_replication_factor, 2);
    assert_eq!(config.node_id, Some(NodeId(7)));
    assert_eq!(config.effective("num.partitions").1, Source::CommandLine);
    let variable = "KAFKA_CFG_DEFAULT_REPLICATION_FACTOR".to_owned();
    let source = config.setting("default.replication.factor").unwrap().source.clone();
    assert_eq!(source, Source::Environment { variable });
    let path = given.file.as_ref().unwrap().path().to_owned();
    assert_eq!(config.effective("node.id").1, Source::File { path, line: 4 });
    assert_eq!(config.effective("message.max.bytes").1, Source::Default);
    assert_eq!(config.static_values()["node.id"], "7");
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}

/// A setting that means nothing here would kill the node, or be ignored in silence.
#[test]
fn unknown_keys_warn() {
    let config = loaded(&["num.partition=3", "zookeeper.connect=z:2181", "x.y=1"]);
    let warnings = config.warnings();
    assert_eq!(warnings.len(), 3);
    assert!(warnings.iter().any(|warning| matches!(warning,
        Warning::Unknown { key, nearest: Some("num.partitions"), .. } if key == "num.partition")));
    assert!(warnings.iter().any(|warning| matches!(warning,
        Warning::Removed { key, .. } if key == "zookeeper.connect")));
    assert!(warnings.iter().any(|warning| matches!(warning,
        Warning::Unknown { key, nearest: None, .. } if key == "x.y")));
    assert_eq!(config.static_values()["x.y"], "[hidden]");
}

/// A wrong value would have to be searched for.
#[test]
fn wrong_values_are_named_with_everything() {
    let given = Given::set(&["num.partitions=0", "auto.create.topics.enable=yes"])
        .and_variable("KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE", "Sometime")
        .and_file("socket.request.max.bytes=much\n");
    let error = given.load().unwrap_err().to_string();
    let file = given.file.as_ref().unwrap().path().display().to_string();
    for expected in [
        "num.partitions=0 (from --set) is not valid; legal: an integer of at least 1".to_owned(),
        "auto.create.topics.enable=yes (from --set) is not valid; legal: true or false".to_owned(),
        "log.message.timestamp.type=Sometime (from environment variable \
         KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE) is not valid; legal: one of CreateTime, LogAppendTime"
            .to_owned(),
        format!("socket.request.max.bytes=much (from {file}:1) is not valid"),
    ] {
        assert!(error.contains(&expected), "{expected}\n{error}");
    }
    assert!(refused(&["num.partitions"]).contains("--set number 1"));
    assert!(refused(&["process.roles=broker,chef"]).contains("broker, controller"));
    assert!(refused(&["milena.record.validation=none"]).contains("records, batch"));
    let missing = Given { file: None, ..Given::default() }.sources();
    let missing = Sources { file: Some("no/such/file".into()), ..missing };
    assert!(Config::load(&missing).unwrap_err().to_string().contains("no/such/file"));
}

/// Retention would follow the coarser unit although the finer one is set.
#[test]
fn finer_units_win() {
    let retention = |set: &[&str]| loaded(set).log.retention_ms;
    assert_eq!(retention(&["log.retention.hours=2"]), 7_200_000);
    assert_eq!(retention(&["log.retention.hours=2", "log.retention.minutes=3"]), 180_000);
    let all = ["log.retention.ms=5", "log.retention.hours=2", "log.retention.minutes=3"];
    assert_eq!(retention(&all), 5);
    assert_eq!(retention(&["log.retention.ms=-1"]), -1);
    assert_eq!(retention(&["log.retention.hours=-1"]), -1);
    assert_eq!(loaded(&["log.roll.hours=1"]).log.roll_ms, 3_600_000);
    assert_eq!(loaded(&["log.roll.hours=1", "log.roll.ms=9"]).log.roll_ms, 9);
    assert_eq!(loaded(&[]).log.roll_jitter_ms, 0);
    assert_eq!(loaded(&[]).log.flush_interval_ms, i64::MAX);
    assert_eq!(loaded(&["log.flush.interval.ms=7"]).log.flush_interval_ms, 7);
}

/// Containers made for Kafka would not start.
#[test]
fn the_listeners_of_kafkas_images_work() {
    let config = Given::default()
        .and_variable("KAFKA_LISTENERS", "PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094")
        .and_variable(
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
            "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        )
        .and_variable("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER")
        .and_variable("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .and_variable("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:32768,BROKER://c1:9093")
        .and_variable("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9094")
        .and_variable("KAFKA_NODE_ID", "1")
        .and_variable("KAFKA_BROKER_ID", "1")
        .and_variable("KAFKA_PROCESS_ROLES", "broker,controller")
        .and_variable("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw")
        .load()
        .unwrap();
    assert_eq!(config.cluster_id.as_deref(), Some("4L6g3nShT-eMCtK--X86sw"));
    assert_eq!(config.listeners.len(), 3);
    assert_eq!(config.inter_broker_listener_name, "BROKER");
    assert_eq!(config.controller_listener_names, ["CONTROLLER"]);
    assert_eq!(config.advertised_listeners["PLAINTEXT"].port, 32768);
    assert_eq!(config.quorum.voters[0].id, NodeId(1));
}

/// The file that comes with Kafka would not start a node.
#[test]
fn kafkas_own_server_properties_work() {
    let config = Given::default()
        .and_file(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.bootstrap.servers=localhost:9093\n\
             listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
             inter.broker.listener.name=PLAINTEXT\n\
             advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\\\n\
             \x20   SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
             log.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\nlog.retention.hours=168\n",
        )
        .load()
        .unwrap();
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.quorum.bootstrap_servers[0].to_string(), "localhost:9093");
}

/// A listener would be bound that nobody can use, or that is not what it promises.
#[test]
fn listeners_that_cannot_work_are_refused() {
    for (set, expected) in [
        (&["listeners="] as &[&str], "at least one"),
        (&["listeners=127.0.0.1:9092"], "NAME://host:port"),
        (&["listeners=A://:1,A://:2", "listener.security.protocol.map=A:PLAINTEXT"], "twice"),
        (&["listeners=PLAINTEXT://h:1,SSL://h:1"], "h:1 is there twice"),
        (&["listeners=SSL://:9093"], "SSL is not served yet"),
        (&["listeners=INSIDE://:9093"], "each listener's protocol; INSIDE has none"),
        (&["advertised.listeners=PLAINTEXT://0.0.0.0:9092"], "not 0.0.0.0:9092"),
        (&["advertised.listeners=OUTSIDE://h:9092"], "names from listeners: PLAINTEXT"),
        (&["inter.broker.listener.name=X"], "a name from listeners: PLAINTEXT"),
        (&["controller.listener.names=X"], "names from listeners: PLAINTEXT"),
        (&["controller.listener.names=PLAINTEXT"], "not only the controller's"),
        (
            &["inter.broker.listener.name=PLAINTEXT", "security.inter.broker.protocol=PLAINTEXT"],
            "not both",
        ),
        (&["controller.quorum.voters=a:1"], "id@host:port"),
        (&["cluster.id=a b"], "letters"),
    ] {
        let error = refused(set);
        assert!(error.contains(expected), "{set:?}: {error}");
    }
    let config = loaded(&[
        "listeners=PLAINTEXT://:0,CONTROLLER://:0",
        "process.roles=broker",
        "controller.listener.names=CONTROLLER",
    ]);
    assert_eq!(config.inter_broker_listener_name, "PLAINTEXT");
}

/// Administration without a password would be open to the network by accident.
#[test]
fn open_http_must_be_asked_for() {
    for open in ["http://0.0.0.0:9644", "http://:9644", "http://10.1.1.1:9644"] {
        let set = format!("http.listeners={open}");
        assert!(refused(&[&set]).contains("http.allow.unauthenticated=true"), "{open}");
        assert_eq!(loaded(&[&set, "http.allow.unauthenticated=true"]).http_listeners.len(), 1);
    }
    assert!(loaded(&["http.listeners="]).http_listeners.is_empty());
    assert_eq!(loaded(&["http.listeners=http://[::1]:0/"]).http_listeners.len(), 1);
    assert!(refused(&["http.listeners=https://127.0.0.1:1"]).contains("http://host:port"));
}

/// Every key must read as its declaration says, or reading it would yield zero.
#[test]
fn declarations_hold_together() {
    for declared in all() {
        assert!(find(declared.name).is_some(), "{}", declared.name);
        // A key that may not be set to nothing may still default to it.
        if let Some(default) = declared.default.filter(|default| !default.is_empty()) {
            assert!(accepts(declared, default), "{}={default}", declared.name);
        }
        assert!(!declared.doc.is_empty(), "{}", declared.name);
    }
    assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name));
    assert!(find("listener.name.outside.ssl.key.password").is_some());
    assert!(find("listener.name.outside.plain.sasl.jaas.config").is_some());
    assert!(find("listener.name.outside").is_none());
}

/// The page of all keys would tell something else than the code does.
#[test]
fn configuration_page_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let page = markdown();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/configuration.md is stale: UPDATE=1 writes it anew");
}
