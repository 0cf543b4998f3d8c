//! Our files as Kafka reads them, and Kafka's as we do.
//!
//! Kafka's dump tool reads what a killed broker left. A partition's directory that Apache Kafka
//! wrote opens here, and one of ours opens in Apache Kafka: the directory takes the place of an
//! empty partition of the same name, whose topic id it is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::check::{Checks, Failure, Outcome};
use super::kafka::{Kafka, Tools};
use super::milena::Milena;
use super::packages;
use super::place::{Place, Scratch};
use super::program::Program;
use super::server::Subject;

const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";
const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// Records that are sent through each codec: uncompressed more than a segment of 1 MiB takes.
const COUNT: usize = 15_000;
/// How long kcat may take, and a file to appear.
const LIMIT: Duration = Duration::from_secs(60);
/// How a record is written down to be compared.
const SHOWN: &str = "%o %T %k %h %s\n";

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

/// A broker with a filled partition that nobody writes to any more.
struct Resting {
    broker: Milena,
    records: usize,
    _scratch: Scratch,
}

impl Resting {
    fn start(place: &Place, tools: &Tools) -> Outcome<Self> {
        let scratch = place.scratch("files-dump")?;
        let settings = ["metadata.log.max.record.bytes.between.snapshots=1"];
        let broker = Milena::start(place, &scratch.path().join("data"), 0, &settings)?;
        create(tools, &broker.address, "dumped")?;
        fill(tools, &broker.address, "dumped")?;
        let records = read(&broker.address, "dumped")?.lines().count();
        Ok(Self { broker, records, _scratch: scratch })
    }

    /// Kafka's dump tool on what a killed broker left.
    fn dumped(self, tools: &Tools, checks: &mut Checks) -> Outcome {
        let partition = self.broker.data.join("dumped-0");
        let metadata = self.broker.data.join("__cluster_metadata-0");
        wait_for("the end of the log", || is_at_rest(&partition))?;
        wait_for("a snapshot of the metadata", || Ok(!files(&metadata, "checkpoint")?.is_empty()))?;
        self.broker.kill()?;
        let segments = files(&partition, "log")?;
        checks.same("the log has rolled", true, segments.len() > 1)?;
        let said = dump(tools, &segments, &["--deep-iteration", "--print-data-log"])?;
        let found = said.lines().filter(|line| line.contains(" payload: ")).count();
        checks.same("kafka-dump-log finds every record", self.records, found)?;
        says_nothing_of(checks, "and nothing wrong with a batch", &said, "isvalid: false")?;
        let codecs = CODECS.map(|codec| format!("compresscodec: {codec} "));
        checks.says("in every codec", &codecs.each_ref().map(String::as_str), &said)?;
        for (extension, what) in [("index", "offset"), ("timeindex", "position")] {
            let indexes = files(&partition, extension)?;
            let said = dump(tools, &indexes, &[])?;
            let name = format!("kafka-dump-log agrees with the {extension} files");
            says_nothing_of(checks, &name, &said.to_lowercase(), "mismatch")?;
            let entry = if extension == "index" { "offset: " } else { "timestamp: " };
            checks.says(&format!("which have entries ({what})"), &[entry], &said)?;
        }
        let said = dump(tools, &files(&partition, "snapshot")?, &[])?;
        checks.says("kafka-dump-log reads the producers", &["producerEpoch: 0"], &said)?;
        let decoder = ["--cluster-metadata-decoder"];
        for (name, extension) in [("log", "log"), ("snapshot", "checkpoint")] {
            let said = dump(tools, &files(&metadata, extension)?, &decoder)?;
            let expected = ["\"TOPIC_RECORD\"", "\"name\":\"dumped\"", "\"PARTITION_RECORD\""];
            checks.says(
                &format!("kafka-dump-log decodes the metadata {name}"),
                &expected,
                &said,
            )?;
            says_nothing_of(checks, "every record of it", &said, "Could not decode")?;
        }
        Ok(())
    }
}

/// A partition written by Apache Kafka opens here.
fn from_kafka(place: &Place, tools: &Tools, checks: &mut Checks) -> Outcome {
    let scratch = place.scratch("files-from-kafka")?;
    let kafka = Kafka::start(tools, &scratch.path().join("kafka"), &[])?;
    create(tools, &kafka.address, "moved")?;
    fill(tools, &kafka.address, "moved")?;
    let written = read(&kafka.address, "moved")?;
    let theirs = kafka.data.join("moved-0");
    kafka.stop()?;

    let data = scratch.path().join("milena");
    let broker = Milena::start(place, &data, 0, &[])?;
    create(tools, &broker.address, "moved")?;
    broker.kill()?;
    replace(&theirs, &data.join("moved-0"))?;
    let broker = Milena::start(place, &data, 0, &[])?;
    let found = read(&broker.address, "moved")?;
    checks.same(
        "a partition written by Kafka reads the same here",
        digest(&written),
        digest(&found),
    )?;
    checks.same("with all its records", CODECS.len() * COUNT, found.lines().count())?;
    let first = first_time(&written)?;
    let query = |address: &str| query(address, "moved", first);
    checks.same("its times are found", "0", query(&broker.address)?)?;
    extend(tools, &broker.address, "moved")?;
    let longer = read(&broker.address, "moved")?;
    checks.same("it grows", 2 * CODECS.len() * COUNT, longer.lines().count())?;
    checks.same("behind what was there", digest(&found), digest(&head(&longer)))?;
    let data = broker.data.clone();
    broker.kill()?;
    // The last segment has space ahead of its end, which the tool takes for damage.
    let mut sealed = files(&data.join("moved-0"), "log")?;
    sealed.pop();
    let said = dump(tools, &sealed, &["--deep-iteration"])?;
    says_nothing_of(checks, "and Kafka finds nothing wrong with it", &said, "isvalid: false")
}

/// A partition written here opens in Apache Kafka, after a kill.
fn to_kafka(place: &Place, tools: &Tools, checks: &mut Checks) -> Outcome {
    let scratch = place.scratch("files-to-kafka")?;
    let broker = Milena::start(place, &scratch.path().join("milena"), 0, &[])?;
    create(tools, &broker.address, "moved")?;
    fill(tools, &broker.address, "moved")?;
    let written = read(&broker.address, "moved")?;
    let ours = broker.data.join("moved-0");
    broker.kill()?;

    let data = scratch.path().join("kafka");
    let kafka = Kafka::start(tools, &data, &[])?;
    create(tools, &kafka.address, "moved")?;
    kafka.stop()?;
    replace(&ours, &data.join("moved-0"))?;
    // Ours was killed, so Kafka has to recover as after its own crash.
    let _ = fs::remove_file(data.join(".kafka_cleanshutdown"));
    let kafka = Kafka::start(tools, &data, &[])?;
    let found = read(&kafka.address, "moved")?;
    checks.same(
        "a partition written here reads the same in Kafka",
        digest(&written),
        digest(&found),
    )?;
    checks.same("with all its records", CODECS.len() * COUNT, found.lines().count())?;
    extend(tools, &kafka.address, "moved")?;
    let longer = read(&kafka.address, "moved")?;
    checks.same("and grows there", 2 * CODECS.len() * COUNT, longer.lines().count())
}

fn create(tools: &Tools, address: &str, topic: &str) -> Outcome {
    tools
        .tool(TOPICS)
        .args(["--bootstrap-server", address, "--create", "--topic", topic])
        .args(["--config", "segment.bytes=1048576", "--config", "retention.ms=-1"])
        .out()?;
    Ok(())
}

/// Sends records through every codec, with idempotence.
fn fill(tools: &Tools, address: &str, topic: &str) -> Outcome {
    send(tools, address, topic, "enable.idempotence=true")
}

/// Sends the same again, without: producer ids of two clusters are not each other's.
fn extend(tools: &Tools, address: &str, topic: &str) -> Outcome {
    send(tools, address, topic, "enable.idempotence=false")
}

fn send(tools: &Tools, address: &str, topic: &str, setting: &str) -> Outcome {
    for codec in CODECS {
        let lines: String = (0..COUNT)
            .map(|number| format!("{codec}-{number}:{}\n", format!("value {number} ").repeat(5)))
            .collect();
        // librdkafka sends lz4 only to brokers that know of groups.
        let program = if codec == "lz4" {
            tools
                .tool(PRODUCER)
                .args(["--bootstrap-server", address, "--topic", topic])
                .args(["--compression-codec", codec, "--command-property", setting])
                .args(["--reader-property", "parse.key=true"])
                .args(["--reader-property", "key.separator=:"])
        } else {
            kcat(address).args(["-P", "-t", topic, "-p", "0", "-K:", "-z", codec]).args([
                "-H",
                &format!("codec={codec}"),
                "-X",
                "batch.num.messages=500",
                "-X",
                setting,
            ])
        };
        let words = program.words_for(&lines)?;
        if !words.is_success {
            return Err(Failure::new(format!("cannot produce {codec}: {}", words.shown())));
        }
    }
    Ok(())
}

fn kcat(address: &str) -> Program {
    Program::new("kcat", LIMIT).args(["-b", address])
}

/// Offset, timestamp, key, headers and value of every record.
fn read(address: &str, topic: &str) -> Outcome<String> {
    kcat(address)
        .args(["-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", SHOWN])
        .out()
}

/// The offset for a time.
fn query(address: &str, topic: &str, time: &str) -> Outcome<String> {
    let said = kcat(address).args(["-Q", "-t", &format!("{topic}:0:{time}")]).out()?;
    Ok(said.rsplit(' ').next().unwrap_or_default().trim().to_owned())
}

fn first_time(text: &str) -> Outcome<&str> {
    let mut words = text.split(' ');
    words.nth(1).ok_or_else(|| Failure::new("there is no first record"))
}

/// The records of the first filling.
fn head(text: &str) -> String {
    text.split_inclusive('\n').take(CODECS.len() * COUNT).collect()
}

/// Enough to tell two readings apart, and to show where they differ in length.
fn digest(text: &str) -> String {
    // FNV-1a, 64 bits.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{} lines, {} bytes, {hash:016x}", text.lines().count(), text.len())
}

/// The files of a directory with an extension, in their order.
fn files(directory: &Path, extension: &str) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)
        .map_err(Failure::while_doing(format!("cannot list {}", directory.display())))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|other| other == extension))
        .collect();
    found.sort();
    Ok(found)
}

fn wait_for(what: &str, mut has_come: impl FnMut() -> Outcome<bool>) -> Outcome {
    let deadline = Instant::now() + LIMIT;
    while !has_come()? {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("{what} did not come")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Whether the last segment of a partition has no space ahead of its end.
fn is_at_rest(partition: &Path) -> Outcome<bool> {
    let segments = files(partition, "log")?;
    let last = segments.last().map(fs::read).transpose();
    let bytes = last.map_err(Failure::while_doing("cannot read a segment"))?.unwrap_or_default();
    // No batch ends with so many zeros.
    Ok(bytes.last_chunk::<64>().is_some_and(|end| end.iter().any(|byte| *byte != 0)))
}

fn dump(tools: &Tools, files: &[PathBuf], options: &[&str]) -> Outcome<String> {
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    tools.tool(DUMP).args(["--files", &names.join(",")]).args(options).out()
}

fn says_nothing_of(checks: &mut Checks, name: &str, text: &str, fault: &str) -> Outcome {
    let line = text.lines().find(|line| line.contains(fault)).unwrap_or("nothing wrong");
    checks.same(name, "nothing wrong", line)
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
