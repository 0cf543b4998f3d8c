//! The suites, and the command that runs them.

use std::path::Path;
use std::time::Instant;

use super::check::{Checks, Failure, Outcome};
use super::place::Place;
use super::server::Subject;
use super::{client, clients, connect, copies, files, franz, mixed, operator, rdkafka, tools};

/// How the command is called.
const USAGE: &str = "usage: cargo xtask interop [--list] [--on milena|cluster|kafka] [NAME…]";

/// A suite.
#[derive(Clone, Copy)]
pub struct Suite {
    /// What it is called.
    pub name: &'static str,
    /// What it talks with.
    pub about: &'static str,
    /// Whether it means something against Apache Kafka too.
    pub runs_on_kafka: bool,
    /// Whether it runs only where it is named: it takes as long as all others, and installs packages.
    pub is_on_request: bool,
    run: fn(&Place, Subject, &mut Checks) -> Outcome,
}

/// All suites, in the order in which they run.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "client",
        about: "our own client and command line",
        runs_on_kafka: true,
        is_on_request: false,
        run: client::run,
    },
    Suite {
        name: "client-groups",
        about: "our own client's groups of both protocols, and its transactions",
        runs_on_kafka: true,
        is_on_request: false,
        run: client::groups,
    },
    Suite {
        name: "kcat",
        about: "kcat (librdkafka): every codec, kill -9",
        runs_on_kafka: false,
        is_on_request: false,
        run: clients::kcat,
    },
    Suite {
        name: "java",
        about: "Apache Kafka's Java producer, consumer (assign) and Admin",
        runs_on_kafka: true,
        is_on_request: false,
        run: clients::java,
    },
    Suite {
        name: "java-groups",
        about: "the Java consumer in classic and consumer groups, and the Admin",
        runs_on_kafka: true,
        is_on_request: false,
        run: clients::java_groups,
    },
    Suite {
        name: "java-transactions",
        about: "the Java producer's transactions, and the Admin",
        runs_on_kafka: true,
        is_on_request: false,
        run: clients::java_transactions,
    },
    Suite {
        name: "java-copies",
        about: "exactly-once copies by Java copiers that die in the middle",
        runs_on_kafka: true,
        is_on_request: false,
        run: copies::run,
    },
    Suite {
        name: "java-copies-kill9",
        about: "the same while the broker is killed every few seconds",
        runs_on_kafka: false,
        is_on_request: false,
        run: copies::run_with_kills,
    },
    Suite {
        name: "streams",
        about: "Kafka Streams: exactly-once word count, stores restored after a wipe",
        runs_on_kafka: true,
        is_on_request: false,
        run: clients::streams,
    },
    Suite {
        name: "schemas",
        about: "what a schema registry asks: its topic, and a leader by a group of its own type",
        runs_on_kafka: true,
        is_on_request: false,
        run: clients::schemas,
    },
    Suite {
        name: "connect",
        about: "Kafka Connect standalone: a file through a topic into a file",
        runs_on_kafka: true,
        is_on_request: false,
        run: connect::standalone,
    },
    Suite {
        name: "connect-group",
        about: "Kafka Connect distributed: workers that come, go and die",
        runs_on_kafka: true,
        is_on_request: false,
        run: connect::distributed,
    },
    Suite {
        name: "tools",
        about: "Apache Kafka's command-line tools",
        runs_on_kafka: true,
        is_on_request: false,
        run: tools::run,
    },
    Suite {
        name: "operator",
        about: "Apache Kafka's tools on groups at work and transactions that were left open",
        runs_on_kafka: true,
        is_on_request: false,
        run: operator::run,
    },
    Suite {
        name: "files",
        about: "our files in Apache Kafka, and its files here",
        runs_on_kafka: false,
        is_on_request: false,
        run: files::run,
    },
    Suite {
        name: "mixed",
        about: "Apache Kafka's nodes and ours in one quorum and one cluster, kill -9 of each",
        runs_on_kafka: false,
        is_on_request: false,
        run: mixed::run,
    },
    Suite {
        name: "python",
        about: "kafka-python and confluent-kafka",
        runs_on_kafka: true,
        is_on_request: false,
        run: clients::python,
    },
    Suite {
        name: "aiokafka",
        about: "aiokafka: producer, groups, transactions",
        runs_on_kafka: true,
        is_on_request: false,
        run: clients::aiokafka,
    },
    Suite {
        name: "go",
        about: "franz-go",
        runs_on_kafka: true,
        is_on_request: false,
        run: clients::go,
    },
    Suite {
        name: "go-own",
        about: "franz-go's own integration tests: groups of both protocols, transactions",
        runs_on_kafka: true,
        is_on_request: false,
        run: franz::run,
    },
    Suite {
        name: "librdkafka-own",
        about: "librdkafka's own tests: three nodes, both kinds of groups",
        runs_on_kafka: false,
        is_on_request: true,
        run: rdkafka::run,
    },
];

/// What the command was asked for.
struct Request {
    names: Vec<String>,
    subject: Subject,
    is_list: bool,
}

/// Runs `cargo xtask interop` with its arguments.
///
/// # Errors
/// When a suite fails; the others run nevertheless, and the failures are printed.
pub fn command(root: &Path, arguments: &[String]) -> Outcome {
    let request = Request::parse(arguments)?;
    let suites = request.suites()?;
    if request.is_list {
        suites.iter().for_each(|suite| println!("{:<17} {}", suite.name, suite.about));
        return Ok(());
    }
    let place = Place::of(root)?;
    let mut passed = 0;
    let mut failed = Vec::new();
    for suite in suites {
        println!("== {}: {}", suite.name, suite.about);
        let started_at = Instant::now();
        let mut checks = Checks::default();
        let outcome = (suite.run)(&place, request.subject, &mut checks);
        passed += checks.passed();
        let seconds = started_at.elapsed().as_secs_f32();
        println!("{}: {} checks held in {seconds:.1} s", suite.name, checks.passed());
        if let Err(failure) = outcome {
            eprintln!("{}: {failure}", suite.name);
            failed.push(suite.name);
        }
    }
    println!("{passed} checks held; {} suites failed", failed.len());
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("failed: {}", failed.join(", "))))
}

impl Request {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let mut request = Self { names: Vec::new(), subject: Subject::Milena, is_list: false };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument {
                "--list" => request.is_list = true,
                "--on" => {
                    request.subject = match arguments.next() {
                        Some("milena") => Subject::Milena,
                        Some("cluster") => Subject::Cluster,
                        Some("kafka") => Subject::Kafka,
                        _ => return Err(Failure::new(USAGE)),
                    };
                }
                name if !name.starts_with('-') => request.names.push(name.to_owned()),
                _ => return Err(Failure::new(USAGE)),
            }
        }
        Ok(request)
    }

    /// The suites asked for: all that can run if none was named.
    fn suites(&self) -> Outcome<Vec<Suite>> {
        let known = |name: &String| SUITES.iter().find(|suite| suite.name == name);
        if let Some(name) = self.names.iter().find(|name| known(name).is_none()) {
            let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
            return Err(Failure::new(format!("no suite {name}; there are {}", names.join(", "))));
        }
        let asked = |suite: &&Suite| {
            let is_named = self.names.iter().any(|name| name == suite.name);
            is_named || self.names.is_empty() && !suite.is_on_request
        };
        // What means nothing to Apache Kafka kills its own node, or looks at its files.
        let can_run = |suite: &&Suite| self.subject == Subject::Milena || suite.runs_on_kafka;
        Ok(SUITES.iter().filter(asked).filter(can_run).copied().collect())
    }
}
