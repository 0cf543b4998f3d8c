//! Kafka's dump tool on the files of our broker.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::check::{Checks, Failure, Outcome};
use super::kafka::Tools;
use super::milena::Milena;
use super::place::{Place, Scratch};
use super::records::{CODECS, create, fill, read};

const DUMP: &str = "org.apache.kafka.tools.DumpLogSegments";
/// How long a file may take to appear.
const LIMIT: Duration = Duration::from_secs(60);

/// A broker with a filled partition that nobody writes to any more.
#[derive(Debug)]
pub struct Resting {
    broker: Milena,
    records: usize,
    _scratch: Scratch,
}

impl Resting {
    /// Starts and fills it.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn start(place: &Place, tools: &Tools) -> Outcome<Self> {
        let scratch = place.scratch("files-dump")?;
        let settings = ["metadata.log.max.record.bytes.between.snapshots=1"];
        let broker = Milena::start(place, &scratch.path().join("data"), 0, &settings)?;
        create(tools, &broker.address, "dumped")?;
        fill(tools, &broker.address, "dumped")?;
        let records = read(&broker.address, "dumped")?.lines().count();
        Ok(Self { broker, records, _scratch: scratch })
    }

    /// Kafka's dump tool on what a killed broker left.
    ///
    /// # Errors
    /// When it finds something else.
    pub fn dumped(self, tools: &Tools, checks: &mut Checks) -> Outcome {
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

/// What Kafka's tool finds wrong with the batches of a partition's sealed segments: nothing.
/// The last segment has space ahead of its end, which the tool takes for damage.
///
/// # Errors
/// When there is something.
pub fn sealed(tools: &Tools, partition: &Path, checks: &mut Checks) -> Outcome {
    let mut sealed = files(partition, "log")?;
    sealed.pop();
    let said = dump(tools, &sealed, &["--deep-iteration"])?;
    says_nothing_of(checks, "and Kafka finds nothing wrong with it", &said, "isvalid: false")
}

/// The files of a directory with an extension, in their order.
///
/// # Errors
/// When it cannot be listed.
pub fn files(directory: &Path, extension: &str) -> Outcome<Vec<PathBuf>> {
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

/// What Kafka's dump tool says of files.
///
/// # Errors
/// When it fails.
pub fn dump(tools: &Tools, files: &[PathBuf], options: &[&str]) -> Outcome<String> {
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    tools.tool(DUMP).args(["--files", &names.join(",")]).args(options).out()
}

/// No line of a text may contain this.
///
/// # Errors
/// When one does.
pub fn says_nothing_of(checks: &mut Checks, name: &str, text: &str, fault: &str) -> Outcome {
    let line = text.lines().find(|line| line.contains(fault)).unwrap_or("nothing wrong");
    checks.same(name, "nothing wrong", line)
}
