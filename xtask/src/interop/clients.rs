//! Suites that are programs of their own language and check by themselves.

use std::time::Duration;

use super::check::{Checks, Outcome};
use super::place::Place;
use super::program::Program;
use super::server::{Server, Subject};
use super::{kafka, packages};

/// How long a suite may take.
const LIMIT: Duration = Duration::from_secs(180);
/// How long one may take that waits for sessions and timeouts.
const LONG_LIMIT: Duration = Duration::from_secs(400);
/// A cleaner that looks often, where compaction is waited for.
const EAGER_CLEANER: [&str; 1] = ["log.cleaner.backoff.ms=500"];

/// kcat; the script starts its own broker, since it kills it.
///
/// # Errors
/// When a check does not hold.
pub fn kcat(place: &Place, _: Subject, checks: &mut Checks) -> Outcome {
    Program::new("bash", LIMIT)
        .arg(place.root.join("testing/interop/kcat.sh"))
        .variable("MILENA_BIN", &place.binary)
        .called("kcat.sh")
        .checks(checks)
}

/// The Java producer, consumer and Admin.
///
/// # Errors
/// When a check does not hold.
pub fn java(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let class_path = packages::java_classes(place, "java")?;
    let server = Server::start(place, subject, "java")?;
    for class in ["Producers", "Consumers", "Topics", "Clusters"] {
        kafka::java(&class_path, class, LIMIT).arg(server.address()).checks(checks)?;
    }
    Ok(())
}

/// Groups of the Java consumer, and the Admin's view of them.
///
/// # Errors
/// When a check does not hold.
pub fn java_groups(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    java_program(place, subject, checks, "Groups")
}

/// The transactional Java producer, and the Admin's view of it.
///
/// # Errors
/// When a check does not hold.
pub fn java_transactions(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    java_program(place, subject, checks, "Transactions")
}

fn java_program(place: &Place, subject: Subject, checks: &mut Checks, class: &str) -> Outcome {
    let class_path = packages::java_classes(place, "java")?;
    let server = Server::start(place, subject, class)?;
    kafka::java(&class_path, class, LONG_LIMIT).arg(server.address()).checks(checks)
}

/// What a schema registry asks of a broker.
///
/// # Errors
/// When a check does not hold.
pub fn schemas(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let class_path = packages::java_classes(place, "java")?;
    let server = Server::start_with(place, subject, "schemas", &EAGER_CLEANER)?;
    kafka::java(&class_path, "Schemas", LIMIT).arg(server.address()).checks(checks)
}

/// Kafka Streams, which keeps its stores in a directory of its own.
///
/// # Errors
/// When a check does not hold.
pub fn streams(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let class_path = packages::java_classes(place, "java")?;
    let server = Server::start_with(place, subject, "streams", &EAGER_CLEANER)?;
    let stores = place.scratch("streams-stores")?;
    kafka::java(&class_path, "Streams", LONG_LIMIT)
        .arg(server.address())
        .arg(stores.path())
        .checks(checks)
}

/// kafka-python and confluent-kafka.
///
/// # Errors
/// When a check does not hold.
pub fn python(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    python_scripts(place, subject, checks, &["kafka_python.py", "confluent.py"])
}

/// aiokafka.
///
/// # Errors
/// When a check does not hold.
pub fn aiokafka(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    python_scripts(place, subject, checks, &["aio.py"])
}

fn python_scripts(
    place: &Place,
    subject: Subject,
    checks: &mut Checks,
    scripts: &[&str],
) -> Outcome {
    let python = packages::python(place)?;
    let server = Server::start(place, subject, "python")?;
    for script in scripts {
        Program::new(&python, LIMIT)
            .args(["-W", "ignore::DeprecationWarning"])
            .arg(place.sources("python").join(script))
            .arg(server.address())
            .called(script)
            .checks(checks)?;
    }
    Ok(())
}

/// franz-go.
///
/// # Errors
/// When a check does not hold.
pub fn go(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let program = packages::go_program(place)?;
    let server = Server::start(place, subject, "go")?;
    Program::new(program, LIMIT).arg(server.address()).checks(checks)
}
