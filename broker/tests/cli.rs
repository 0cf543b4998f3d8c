//! The command line against a real broker process, as scripts and people use it.

mod group_client;
mod process;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use group_client::{init_producer, write_in_open_transaction};
use milena_protocol::record::{BatchOptions, Compression};
use process::Process;
use process::broker::{batch, batch_with, now_ms, produce};
use serde_json::{Value, json};

struct Shell {
    directory: tempfile::TempDir,
    broker: Process,
}

impl Shell {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = Process::start(directory.path(), &[]);
        Self { directory, broker }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milena"));
        command.args(line.split_whitespace()).env("MILENA_BOOTSTRAP", &self.broker.address);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the binary runs")
    }

    /// Standard output of a command that must work.
    fn out(&self, line: &str) -> String {
        told(self.run(line), line)
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.out(line)).expect("JSON")
    }

    /// Standard error of a command that must fail.
    fn error(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(!output.status.success(), "{line} worked");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Standard output of a command that must work with something on its standard input.
    fn fed(&self, line: &str, input: &str) -> String {
        told(self.run_fed(line, input), line)
    }

    fn run_fed(&self, line: &str, input: &str) -> Output {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn file(&self, path: &str) -> String {
        self.directory.path().join(path).display().to_string()
    }
}

fn told(output: Output, line: &str) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Topics could not be made, changed and removed from a terminal or a script.
#[test]
fn topics_live_and_die() {
    let shell = Shell::start();
    assert!(shell.out("topic list").contains("there are no topics"));
    let made = shell.json("topic create a b -p 2 -c retention.ms=60000000 --json");
    assert_eq!(made[0]["partitions"], 2);
    assert_eq!(made[1]["name"], "b");
    assert_eq!(shell.out("topic create a --if-not-exists"), "a is there already\n");
    assert_eq!(
        shell.out("topic create c --dry-run"),
        "c could be made: 1 partition, 1 replica each\n"
    );
    let list = shell.out("topic list");
    assert_eq!(
        list,
        "TOPIC  PARTITIONS  REPLICAS\na               2         1\nb               2         1\n"
    );
    shell.out("topic alter a --set retention.ms=7200000 --set cleanup.policy=delete -p 3");
    let described = shell.json("topic describe a --json");
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 3);
    let configs = described[0]["configs"].as_array().unwrap();
    assert!(configs.iter().any(|one| one["name"] == "retention.ms" && one["value"] == "7200000"));
    shell.out("topic alter a --unset retention.ms");
    assert!(!shell.out("topic describe a").contains("retention.ms"));
    assert_eq!(shell.out("topic delete a"), "a deleted\n");
    assert_eq!(shell.out("topic delete a --if-exists"), "a was not there\n");
    assert_eq!(shell.json("topic list --json").as_array().unwrap().len(), 1);
}

/// What was written could not be read back the way it was written.
#[test]
fn records_go_in_and_come_out() {
    let shell = Shell::start();
    shell.out("topic create t -p 1");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        shell.fed(&format!("topic produce t -K : -H from={codec} -z {codec}"), "k:v\nplain\n");
    }
    assert_eq!(shell.fed("topic produce t -Z -K : -v", ":\n"), "partition 0 offset 10\n");
    let all = shell.out("topic consume t -e -Z -f %o|%k|%s|%h|%p|%t\\n");
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[0], "0|k|v|from=none|0|t");
    assert_eq!(lines[9], "9|NULL|plain|from=zstd|0|t");
    assert_eq!(lines[10], "10|NULL|NULL||0|t");
    assert_eq!(shell.out("topic consume t -c 2"), "v\nplain\n");
    assert_eq!(shell.out("topic consume t -o -1 -e -Z"), "NULL\n");
    assert_eq!(shell.out("topic consume t -o 8 -e -f %o,"), "8,9,10,");
    let record: Value = serde_json::from_str(&shell.out("topic consume t -c 1 --json")).unwrap();
    assert_eq!(record["payload"], "v");
    assert_eq!(record["headers"], serde_json::json!(["from", "none"]));
    // A time between now and never: nothing is that young, everything is older.
    assert_eq!(shell.out("topic consume t -o s@99999999999999 -e"), "");
    assert_eq!(shell.out("topic consume t -o e@1 -o beginning"), "");
    assert!(shell.error("topic trim t -p 1 --all").contains("there is no partition 1"));
    let first = &shell.json("topic trim t --before-time 1 --json")["partitions"][0]["first_offset"];
    assert_eq!(first, 0, "no record is that old");
    shell.out("topic trim t --before 9");
    assert_eq!(shell.out("topic consume t -e -f %o,"), "9,10,");
    let late = shell.json("topic trim t --before-time 99999999999999 --json");
    assert_eq!(late["partitions"][0]["first_offset"], 11);
    shell.fed("topic produce t", "one more\n");
    assert_eq!(shell.json("topic trim t --all --json")["partitions"][0]["first_offset"], 12);
}

/// One record that is too large would take with it all that was read behind it, and nobody would
/// know what was written.
#[test]
fn a_record_that_is_refused_stops_no_other() {
    let shell = Shell::start();
    shell.out("topic create t -c max.message.bytes=1000");
    let lines: Vec<String> =
        (0..60).map(|number| "x".repeat(if number % 3 == 0 { 2000 } else { 5 })).collect();
    let endless = "y".repeat(3 << 20);
    let input = format!("{}\n{endless}\nlast\n", lines.join("\n"));
    let output = shell.run_fed("topic produce t", &input);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("milena: record 1: "), "{told}");
    assert!(told.contains("41 written, 21 refused"), "{told}");
    assert!(told.lines().count() < 20, "{told}");
    let read = shell.out("topic consume t -e");
    assert_eq!(read.lines().count(), 41);
    assert!(read.ends_with("last\n"));
}

/// A group would stay where it is, or go on somewhere else than its operator said.
#[test]
fn groups_are_moved_and_forgotten() {
    let shell = Shell::start();
    assert!(shell.out("group list").contains("there are no groups"));
    shell.out("topic create t -p 2");
    shell.fed("topic produce t -p 0", "a\nb\nc\n");
    shell.out("group seek readers --topic t --to beginning");
    let group = shell.json("group describe readers --json");
    assert_eq!(group["state"], "Empty");
    assert_eq!(group["partitions"][0]["lag"], 3);
    assert_eq!(group["partitions"][1]["lag"], 0);
    assert_eq!(group["partitions"][1]["lag_seconds"], 0.0);
    let told = shell.out("group seek readers --topic t -p 0 --to 2 --dry-run");
    assert!(told.contains("nothing was changed"), "{told}");
    assert_eq!(shell.json("group describe readers --json")["partitions"][0]["lag"], 3);
    shell.out("group seek readers --topic t -p 0 --to 2");
    assert_eq!(shell.json("group describe readers --json")["partitions"][0]["lag"], 1);
    for (place, lag) in
        [("--by -1", 2), ("--by 9", 0), ("--ago 1h", 3), ("--to @2999-01-01T00:00:00Z", 0)]
    {
        shell.out(&format!("group seek readers --topic t {place}"));
        let group = shell.json("group describe readers --json");
        let lags = [0, 1].map(|index| group["partitions"][index]["lag"].clone());
        assert_eq!(lags, [json!(lag), json!(0)], "{place}");
    }
    let refused = shell.error("group seek others --topic t --by 1");
    assert!(refused.contains("group others is nowhere in t 0"), "{refused}");
    assert!(shell.out("group list").contains("readers"));
    assert_eq!(shell.out("group delete readers"), "readers deleted\n");
    assert_eq!(shell.json("group list --json").as_array().unwrap().len(), 0);
}

/// An operator would take a group that stands still for one that is just behind, or a group that
/// has only markers left for one that stands still.
#[test]
fn groups_are_behind_in_time() {
    const HOUR_MS: i64 = 3_600_000;
    let shell = Shell::start();
    let mut connection = shell.broker.connect();
    shell.out("topic create t");
    let now = now_ms();
    let times = [5, 4, 3].map(|hours| now - hours * HOUR_MS);
    let zstd = BatchOptions { compression: Compression::Zstd, ..Default::default() };
    produce(&mut connection, "t", batch(&times[..1]), -1);
    produce(&mut connection, "t", batch_with(zstd, &times[1..]), -1);
    write_in_open_transaction(&mut connection, "transaction", "t", now - 2 * HOUR_MS);
    // The producer comes back, which aborts what it left: a marker is the last of the log.
    init_producer(&mut connection, "transaction");
    let behind = || {
        let before = now_ms();
        let lag = shell.json("group describe readers --json")["partitions"][0].take();
        (lag, before, now_ms())
    };
    for (offset, hours) in [(0, 5), (1, 4), (2, 3), (3, 2)] {
        shell.out(&format!("group seek readers --topic t --to {offset}"));
        let (lag, before, after) = behind();
        let bounds = [before, after].map(|at| (at - now + hours * HOUR_MS) as f64 / 1000.0);
        let seconds = lag["lag_seconds"].as_f64().expect("a number");
        assert!(bounds[0] <= seconds && seconds <= bounds[1], "{seconds} is not in {bounds:?}");
        assert_eq!(lag["lag"], 5 - offset);
        let told = shell.out("group describe readers");
        let shown = format!("{hours} h 0 min");
        assert!(told.lines().next().is_some_and(|line| line.contains(&shown)), "{told}");
    }
    shell.out("group seek readers --topic t --to 4");
    let (lag, ..) = behind();
    assert_eq!((&lag["lag"], &lag["lag_seconds"]), (&json!(1), &json!(0.0)));
    // What is gone is no lag.
    shell.out("group seek readers --topic t --to 0");
    shell.out("topic trim t -p 0 --before 2");
    assert_eq!(behind().0["lag"], 3);
}

/// People would be left alone with an error.
#[test]
fn errors_say_what_to_do() {
    let shell = Shell::start();
    shell.out("topic create t");
    for (line, expected) in [
        ("topic create t", "--if-not-exists"),
        ("topic create x -c no.such.key=1", "milena config explain"),
        ("topic describe nowhere", "milena topic list"),
        ("topic consume nowhere", "milena topic list"),
        ("topic consume t -p 7", "there is no partition 7"),
        ("topic consume t -o soon", "beginning, end, OFFSET"),
        ("topic consume t -f %z", "there is no %z"),
        ("topic consume t -o 100 -e", "milena topic describe"),
        ("topic produce t -z brotli", "none, gzip, snappy, lz4 and zstd"),
        ("topic alter t --set nonsense", "KEY=VALUE"),
        ("topic list -b 127.0.0.1:1 --timeout 1", "`milena` starts one"),
        ("topic list -b nowhere", "HOST:PORT"),
        ("log dump photo.jpg", ".timeindex"),
    ] {
        let error = shell.error(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

/// An operator would not see who is there and who leads.
#[test]
fn the_cluster_is_told() {
    let shell = Shell::start();
    shell.out("topic create t -p 3");
    let told = shell.json("cluster info --json");
    assert_eq!(told["brokers"][0]["leaders"], 3);
    assert_eq!(told["leaderless_partitions"], 0);
    assert_eq!(told["quorum"]["voters"].as_array().unwrap().len(), 1);
    let text = shell.out("cluster info");
    assert!(text.contains("metadata.version") && text.contains(&shell.broker.address), "{text}");
}

/// The files of a log could not be looked at without a broker, or damage would go unseen.
#[test]
fn files_of_logs_are_shown() {
    let shell = Shell::start();
    shell.out("topic create t");
    shell.fed("topic produce t -K =", "key=value\n");
    let segment = shell.file("t-0/00000000000000000000.log");
    let dumped = shell.out(&format!("log dump {segment} --records"));
    for expected in ["codec none", "producer_id ", "crc ok", "key key", "value value", "zeros"] {
        assert!(dumped.contains(expected), "{expected}: {dumped}");
    }
    let lines = shell.out(&format!("log dump {segment} --json"));
    let batch: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(batch["records"], 1);
    let metadata = shell.file("__cluster_metadata-0/00000000000000000000.log");
    let dumped = shell.out(&format!("log dump {metadata} --records"));
    assert!(dumped.contains("LeaderChange") && dumped.contains("TopicRecord"), "{dumped}");
    let epochs = shell.file("__cluster_metadata-0/quorum-state");
    assert!(shell.out(&format!("log dump {epochs}")).contains("leaderEpoch"));

    let damaged = shell.file("00000000000000000000.log");
    let mut bytes = std::fs::read(Path::new(&segment)).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let output = shell.run(&format!("log dump {damaged}"));
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("WRONG"));
}

/// A measurement would measure nothing.
#[test]
fn benchmarks_count_what_they_do() {
    let shell = Shell::start();
    let id = shell.broker.id();
    let rate = shell.json(&format!(
        "bench produce -t a --seconds 0.3 --rate 1000 --producers 2 -p 2 --json --pid {id}"
    ));
    let count = rate["count"].as_u64().unwrap();
    assert!((200..=310).contains(&count), "{count} at 1,000/s for 0.3 s");
    assert_eq!(rate["failed"], 0);
    assert!(rate["broker"]["rss_bytes"].as_u64().unwrap() > 0);
    let prepared = shell.json("bench produce -t b --seconds 0.2 --prepared 10 --json");
    assert_eq!(prepared["counted"], "requests");
    let requests = prepared["count"].as_u64().unwrap();
    let read = shell.json("bench consume -t b --seconds 5 --once --json");
    assert_eq!(read["count"].as_u64().unwrap(), requests * 10);
    let latency = shell.json("bench latency -t c --seconds 0.2 --rate 500 --json");
    assert_eq!(latency["count"], 100);
    assert_eq!(latency["failed"], 0);
    assert!(latency["latency_us"]["p99"].as_u64().unwrap() > 0);
    assert!(shell.out("bench produce --seconds 0.1 --rate 100").contains("p99.9"));
}

/// A number that makes no sense would end in a panic or run for ever, and a topic that is there
/// could only be measured with as many partitions as it has.
#[test]
fn numbers_that_make_no_sense_are_refused() {
    let shell = Shell::start();
    for (line, expected) in [
        ("bench produce --rate 0", "from 0.001 to 1000000000"),
        ("bench produce --rate=-5", "from 0.001 to 1000000000"),
        ("bench produce --rate 1e-300", "from 0.001 to 1000000000"),
        ("bench latency --rate nan", "from 0.001 to 1000000000"),
        ("bench latency --rate inf", "from 0.001 to 1000000000"),
        ("bench produce --size 99999999999999999", "from 0 to 104857600"),
        ("bench produce --prepared 1000000 --size 1000", "more than 104857600 bytes"),
        ("bench consume -p 0", "1..=100000"),
        ("topic produce t --timeout 18446744073709551615", "1..=86400"),
        ("topic list --timeout 0", "1..=86400"),
    ] {
        let error = shell.error(line);
        assert!(error.contains(expected) && !error.contains("panicked"), "{line}: {error}");
    }
    shell.out("topic create narrow -p 2");
    let told = shell.json("bench produce -t narrow -p 8 --seconds 0.1 --rate 200 --json");
    assert_eq!(told["failed"], 0);
    // The second record is due long after the end.
    let told = shell.json("bench produce -t narrow --seconds 0.1 --rate 0.001 --json");
    assert_eq!(told["count"], 1);
}

/// A group read from a terminal would begin anew each time, or go on behind what was never shown.
#[test]
fn a_group_goes_on_where_it_stands() {
    let shell = Shell::start();
    shell.out("topic create t -p 1");
    shell.fed("topic produce t", "1\n2\n3\n4\n");
    assert_eq!(shell.out("topic consume t --group g -c 2"), "1\n2\n");
    assert_eq!(shell.out("topic consume t --group g -e"), "3\n4\n");
    assert_eq!(shell.out("topic consume t --group g -e"), "");
    let described = shell.json("group describe g --json");
    assert_eq!(described["partitions"][0]["committed"], 4);
    assert_eq!(described["state"], "Empty");
    assert_eq!(shell.out("topic consume t --group late -o end -e"), "");
    assert!(shell.error("topic consume t --group g -o 2").contains("milena group seek"));
    assert!(shell.error("topic consume nowhere --group g").contains("milena topic list"));
    // Members of the group cannot be moved away under their feet, nor the other way round.
    shell.out("group seek g --topic t --to 1");
    assert_eq!(shell.out("topic consume t --group g -e"), "2\n3\n4\n");
}
