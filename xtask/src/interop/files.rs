//! Our files as Kafka reads them, and Kafka's as we do.
//!
//! Kafka's dump tool reads what a killed broker left. A partition's directory that Apache Kafka
//! wrote opens here, and one of ours opens in Apache Kafka: the directory takes the place of an
//! empty partition of the same name, whose topic id it is given. And each starts on the whole data
//! directory of the other, cluster metadata and all.

use std::fs;
use std::path::Path;

use super::check::{Checks, Failure, Outcome};
use super::dump::{self, Resting};
use super::kafka::{Kafka, Tools};
use super::milena::Milena;
use super::packages;
use super::place::Place;
use super::records::{FILLING, create, digest, extend, fill, first_time, head, query, read};
use super::server::Subject;

/// What Apache Kafka leaves when it was stopped in order, and believes its files by.
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// Reads files across.
///
/// # Errors
/// When one side does not find what the other wrote.
pub fn run(place: &Place, _: Subject, checks: &mut Checks) -> Outcome {
    packages::kcat()?;
    let tools = Tools::install(place)?;
    // Space ahead of a log's end is given back once it rests, which takes a while.
    let resting = Resting::start(place, &tools)?;
    from_kafka(place, &tools, checks)?;
    to_kafka(place, &tools, checks)?;
    resting.dumped(&tools, checks)
}

/// What Apache Kafka wrote opens here: a partition of it, and all of it.
fn from_kafka(place: &Place, tools: &Tools, checks: &mut Checks) -> Outcome {
    let scratch = place.scratch("files-from-kafka")?;
    let kafka = Kafka::start(tools, &scratch.path().join("kafka"), &[])?;
    create(tools, &kafka.address, "moved")?;
    fill(tools, &kafka.address, "moved")?;
    let written = read(&kafka.address, "moved")?;
    let theirs = kafka.data.clone();
    kafka.stop()?;

    let data = scratch.path().join("milena");
    let broker = Milena::start(place, &data, 0, &[])?;
    create(tools, &broker.address, "moved")?;
    broker.kill()?;
    replace(&theirs.join("moved-0"), &data.join("moved-0"))?;
    let broker = Milena::start(place, &data, 0, &[])?;
    let found = read(&broker.address, "moved")?;
    let name = "a partition written by Kafka reads the same here";
    checks.same(name, digest(&written), digest(&found))?;
    checks.same("with all its records", FILLING, found.lines().count())?;
    let time = first_time(&written)?;
    checks.same("its times are found", "0", query(&broker.address, "moved", time)?)?;
    extend(tools, &broker.address, "moved")?;
    let longer = read(&broker.address, "moved")?;
    checks.same("it grows", 2 * FILLING, longer.lines().count())?;
    checks.same("behind what was there", digest(&found), digest(&head(&longer)))?;
    broker.kill()?;
    dump::sealed(tools, &data.join("moved-0"), checks)?;

    let broker = Milena::start(place, &theirs, 0, &[])?;
    let found = read(&broker.address, "moved")?;
    let name = "a node starts on the directory of a stopped Kafka";
    checks.same(name, digest(&written), digest(&found))?;
    // Producer ids go on behind Kafka's, or these would be taken for retries.
    fill(tools, &broker.address, "moved")?;
    create(tools, &broker.address, "made-here")?;
    let longer = read(&broker.address, "moved")?;
    checks.same("and goes on with it", 2 * FILLING, longer.lines().count())?;
    broker.kill()?;
    let kafka = Kafka::start(tools, &theirs, &[])?;
    let name = "Kafka takes it back after a kill";
    checks.same(name, digest(&longer), digest(&read(&kafka.address, "moved")?))?;
    checks.same("with the topic that was made here", "", read(&kafka.address, "made-here")?)
}

/// What was written here opens in Apache Kafka after a kill: a partition of it, and all of it.
fn to_kafka(place: &Place, tools: &Tools, checks: &mut Checks) -> Outcome {
    let scratch = place.scratch("files-to-kafka")?;
    let broker = Milena::start(place, &scratch.path().join("milena"), 0, &[])?;
    create(tools, &broker.address, "moved")?;
    fill(tools, &broker.address, "moved")?;
    let written = read(&broker.address, "moved")?;
    let ours = broker.data.clone();
    broker.kill()?;

    let data = scratch.path().join("kafka");
    let kafka = Kafka::start(tools, &data, &[])?;
    create(tools, &kafka.address, "moved")?;
    kafka.stop()?;
    replace(&ours.join("moved-0"), &data.join("moved-0"))?;
    // Ours was killed, so Kafka has to recover as after its own crash.
    fs::remove_file(data.join(CLEAN_SHUTDOWN))
        .map_err(Failure::while_doing(format!("cannot remove {CLEAN_SHUTDOWN}")))?;
    let kafka = Kafka::start(tools, &data, &[])?;
    let found = read(&kafka.address, "moved")?;
    let name = "a partition written here reads the same in Kafka";
    checks.same(name, digest(&written), digest(&found))?;
    checks.same("with all its records", FILLING, found.lines().count())?;
    extend(tools, &kafka.address, "moved")?;
    let longer = read(&kafka.address, "moved")?;
    checks.same("and grows there", 2 * FILLING, longer.lines().count())?;
    drop(kafka);

    let kafka = Kafka::start(tools, &ours, &[])?;
    let found = read(&kafka.address, "moved")?;
    let name = "Kafka starts on the directory of a killed node";
    checks.same(name, digest(&written), digest(&found))?;
    fill(tools, &kafka.address, "moved")?;
    let longer = read(&kafka.address, "moved")?;
    checks.same("and goes on with it", 2 * FILLING, longer.lines().count())
}

/// Puts a partition's files in the place of another's, under that one's topic id.
fn replace(from: &Path, to: &Path) -> Outcome {
    const METADATA: &str = "partition.metadata";
    let moving = || Failure::while_doing(format!("cannot put {} there", from.display()));
    let identity = fs::read(to.join(METADATA)).map_err(moving())?;
    fs::remove_dir_all(to).map_err(moving())?;
    fs::create_dir(to).map_err(moving())?;
    for entry in fs::read_dir(from).map_err(moving())?.filter_map(Result::ok) {
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(moving())?;
    }
    fs::write(to.join(METADATA), identity).map_err(moving())
}
