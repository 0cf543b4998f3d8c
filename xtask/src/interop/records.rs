//! Records that are sent to one broker and read from another, to be compared.

use std::time::Duration;

use super::check::{Failure, Outcome};
use super::kafka::Tools;
use super::program::Program;

const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
/// The codecs that records are sent through.
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// Records that are sent through each codec: uncompressed more than a segment of 1 MiB takes.
const COUNT: usize = 15_000;
/// Records that one filling sends.
pub const FILLING: usize = CODECS.len() * COUNT;
/// How long kcat may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How a record is written down to be compared.
const SHOWN: &str = "%o %T %k %h %s\n";

/// Creates a topic of one partition with small segments that are never deleted.
///
/// # Errors
/// When it cannot be created.
pub fn create(tools: &Tools, address: &str, topic: &str) -> Outcome {
    tools
        .tool(TOPICS)
        .args(["--bootstrap-server", address, "--create", "--topic", topic])
        .args(["--config", "segment.bytes=1048576", "--config", "retention.ms=-1"])
        .out()?;
    Ok(())
}

/// Sends records through every codec, with idempotence.
///
/// # Errors
/// When one is refused.
pub fn fill(tools: &Tools, address: &str, topic: &str) -> Outcome {
    send(tools, address, topic, "enable.idempotence=true")
}

/// Sends the same again, without: producer ids of two clusters are not each other's.
///
/// # Errors
/// When one is refused.
pub fn extend(tools: &Tools, address: &str, topic: &str) -> Outcome {
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
///
/// # Errors
/// When the partition cannot be read.
pub fn read(address: &str, topic: &str) -> Outcome<String> {
    kcat(address)
        .args(["-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", SHOWN])
        .out()
}

/// The offset for a time.
///
/// # Errors
/// When it cannot be asked for.
pub fn query(address: &str, topic: &str, time: &str) -> Outcome<String> {
    let said = kcat(address).args(["-Q", "-t", &format!("{topic}:0:{time}")]).out()?;
    Ok(said.rsplit(' ').next().unwrap_or_default().trim().to_owned())
}

/// The timestamp of the first record of a reading.
///
/// # Errors
/// When there is none.
pub fn first_time(text: &str) -> Outcome<&str> {
    let mut words = text.split(' ');
    words.nth(1).ok_or_else(|| Failure::new("there is no first record"))
}

/// The records of the first filling.
#[must_use]
pub fn head(text: &str) -> String {
    text.split_inclusive('\n').take(FILLING).collect()
}

/// Enough to tell two readings apart, and to show where they differ in length.
#[must_use]
pub fn digest(text: &str) -> String {
    // FNV-1a, 64 bits.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{} lines, {} bytes, {hash:016x}", text.lines().count(), text.len())
}
