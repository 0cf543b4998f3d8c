//! What is fuzzed: each target makes its first inputs and judges one execution.

use bytes::Bytes;
use milena_protocol::api::header::{RequestHeader, ResponseHeader};
use milena_protocol::api::{self, Api, ApiKey};
use milena_protocol::codec::{MEMORY_FACTOR, MEMORY_SLACK_BYTES, Reader, Writer};
use milena_protocol::ids::Timestamp;
use milena_protocol::message::Shape;
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::record::batch::{Batch, TimestampType, patch};
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::compression::{Compression, compress, decompress};
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;
use milena_protocol::record::validate::{Rules, Scratch, validate};
use milena_protocol::{consumer_protocol, control_record, coordinator_record};

use crate::sample::{self, Random};

/// What bookkeeping around a decoder may allocate besides its arrays.
const FIXED_BYTES: usize = 4 * 1024;
/// What decompression may produce.
const PLAIN_LIMIT_BYTES: usize = 64 * 1024;
/// What the codecs themselves keep in memory, whatever they read. (Zstandard's window, of at most
/// 8 MiB, is not seen here: its library has its own allocator.)
const CODEC_BYTES: usize = 256 * 1024;
/// What a walk over compressed records keeps in memory at a time.
const WALK_BYTES: usize = 256 * 1024;
/// Samples per message and version.
const SAMPLES: u64 = 4;
/// One accepted execution in so many is also encoded again.
const RECODE_EVERY: usize = 4;

/// An input: bytes, and which message they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// An index into the target's messages.
    pub which: usize,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Something to fuzz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A frame without its length: a request's header and body, as the broker reads them.
    Frame,
    /// The body of every request in every version.
    Requests,
    /// The body of every response in every version.
    Responses,
    /// Framed records of the metadata log.
    MetadataRecords,
    /// Control records, coordinators' records and the classic consumer's protocol.
    OtherRecords,
    /// Record batches: parsed, checked and walked.
    Batches,
    /// The codecs, with a limit.
    Codecs,
    /// A planted bug: a slice out of bounds.
    CanaryPanic,
    /// A planted bug: memory for a declared length.
    CanaryMemory,
    /// A planted bug: what was read is written differently.
    CanaryChange,
}

impl Kind {
    /// The targets without a planted bug.
    pub const HONEST: [Self; 7] = [
        Self::Frame,
        Self::Requests,
        Self::Responses,
        Self::MetadataRecords,
        Self::OtherRecords,
        Self::Batches,
        Self::Codecs,
    ];
    /// The targets with a planted bug.
    pub const CANARIES: [Self; 3] = [Self::CanaryPanic, Self::CanaryMemory, Self::CanaryChange];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Requests => "requests",
            Self::Responses => "responses",
            Self::MetadataRecords => "metadata-records",
            Self::OtherRecords => "other-records",
            Self::Batches => "batches",
            Self::Codecs => "codecs",
            Self::CanaryPanic => "canary-panic",
            Self::CanaryMemory => "canary-memory",
            Self::CanaryChange => "canary-change",
        }
    }

    /// The target of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::HONEST.into_iter().chain(Self::CANARIES).find(|kind| kind.name() == name)
    }
}

/// A target, ready to run.
pub struct Target {
    kind: Kind,
    messages: Vec<(Shape, i16)>,
    scratch: Scratch,
    recodes: usize,
}

impl Target {
    /// Prepares a target.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let shapes: Vec<Shape> = match kind {
            Kind::Requests => api::ALL.iter().map(|api| api.request).collect(),
            Kind::Responses => api::ALL.iter().map(|api| api.response).collect(),
            Kind::MetadataRecords => MetadataRecord::ALL.iter().map(|record| record.1).collect(),
            Kind::OtherRecords => control_record::ALL
                .iter()
                .chain(coordinator_record::ALL)
                .chain(consumer_protocol::ALL)
                .copied()
                .collect(),
            _ => Vec::new(),
        };
        let every_version = |shape: Shape| {
            (shape.versions.min..=shape.versions.max).map(move |version| (shape, version))
        };
        let messages = shapes.into_iter().flat_map(every_version).collect();
        Self { kind, messages, scratch: Scratch::default(), recodes: 0 }
    }

    /// The inputs to begin with: valid ones.
    #[must_use]
    pub fn seeds(&self, seed: u64) -> Vec<Input> {
        let mut random = Random(seed);
        let plain = |bytes: Vec<u8>| Input { which: 0, bytes };
        match self.kind {
            Kind::Frame => frames(&mut random),
            Kind::MetadataRecords => metadata_records(&mut random),
            Kind::Batches => batches(&mut random).into_iter().map(plain).collect(),
            Kind::Codecs => {
                let words = b"some words, some words, some other words ".repeat(40);
                (1..5)
                    .filter_map(|id| {
                        let codec = Compression::from_id(id)?;
                        let bytes = compress(codec, None, &words).ok()?;
                        Some(Input { which: id as usize, bytes })
                    })
                    .collect()
            }
            Kind::CanaryPanic | Kind::CanaryMemory | Kind::CanaryChange => {
                vec![plain(vec![0, 3, b'a', b'b', b'c', 0, 0])]
            }
            _ => {
                let messages = self.messages.iter().enumerate();
                messages
                    .flat_map(|(which, (shape, version))| {
                        let mut random = Random(random.word());
                        (0..SAMPLES).map(move |_| Input {
                            which,
                            bytes: sample::message(shape, *version, &mut random),
                        })
                    })
                    .collect()
            }
        }
    }

    /// Runs one input; true where it was accepted.
    ///
    /// # Errors
    /// What is wrong.
    pub fn run(&mut self, input: &Input) -> Result<bool, String> {
        match self.kind {
            Kind::Frame => frame(&input.bytes),
            Kind::MetadataRecords => metadata_record(&input.bytes),
            Kind::Batches => run_of_batches(&input.bytes, &mut self.scratch),
            Kind::Codecs => codec(input),
            Kind::CanaryPanic => {
                let length = usize::from(input.bytes.first().copied().unwrap_or(0)) * 256
                    + usize::from(input.bytes.get(1).copied().unwrap_or(0));
                Ok(input.bytes.len() > 2 && !input.bytes[2..2 + length].is_empty())
            }
            Kind::CanaryMemory => {
                let length = input.bytes.iter().take(3).fold(0, |n, byte| n << 8 | *byte as usize);
                let accepted = input.bytes.len() > 3;
                within_memory(input.bytes.len(), || std::hint::black_box(vec![0u8; length]).len())
                    .map(|_| accepted)
            }
            Kind::CanaryChange => {
                let bytes = Bytes::copy_from_slice(&input.bytes);
                stable(bytes, |bytes| {
                    let mut written = bytes.to_vec();
                    if bytes.get(2) == Some(&0xff) {
                        written.push(0);
                    }
                    Ok(written.into())
                })
                .map(|()| true)
            }
            _ => self.message(input),
        }
    }

    fn message(&mut self, input: &Input) -> Result<bool, String> {
        let Some((shape, version)) = self.messages.get(input.which) else {
            return Ok(false);
        };
        let bytes = Bytes::from(input.bytes.clone());
        let checked = within_memory(bytes.len(), || shape.check(bytes.clone(), *version))?;
        if checked.is_err() {
            return Ok(false);
        }
        self.recodes += 1;
        if self.recodes.is_multiple_of(RECODE_EVERY) {
            stable(bytes, |bytes| {
                let written = shape.recode(bytes, *version).map_err(|error| error.to_string())?;
                written.map_err(|error| error.to_string())
            })
            .map_err(|error| format!("{} version {version}: {error}", shape.name()))?;
        }
        Ok(true)
    }
}

/// Runs a decoder and says when it took more memory than its input justifies.
fn within_memory<T>(input_bytes: usize, decode: impl FnOnce() -> T) -> Result<T, String> {
    let limit = input_bytes * MEMORY_FACTOR + MEMORY_SLACK_BYTES + FIXED_BYTES;
    within(limit, decode).map_err(|error| format!("{error} for {input_bytes} bytes of input"))
}

fn within<T>(limit_bytes: usize, decode: impl FnOnce() -> T) -> Result<T, String> {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(decode()));
    match result {
        Some(result) if info.bytes_max <= limit_bytes as u64 => Ok(result),
        _ => Err(format!("took {} bytes of memory, more than {limit_bytes}", info.bytes_max)),
    }
}

/// What was read and written once must be written the same ever after.
fn stable(bytes: Bytes, recode: impl Fn(Bytes) -> Result<Bytes, String>) -> Result<(), String> {
    let once = recode(bytes)?;
    let twice = recode(once.clone()).map_err(|error| format!("cannot read its own: {error}"))?;
    if once == twice { Ok(()) } else { Err(format!("{once:02x?} becomes {twice:02x?}")) }
}

fn frames(random: &mut Random) -> Vec<Input> {
    let mut inputs = Vec::new();
    for api in api::ALL {
        for version in api.request.versions.min..=api.request.versions.max {
            let mut writer = Writer::new();
            let header = RequestHeader {
                api_key: api.key.number(),
                api_version: version,
                correlation_id: 7,
                client_id: Some("fuzz".into()),
            };
            header.write(&mut writer, api.key.request_header_version(version));
            let mut bytes = writer.into_bytes().map(|bytes| bytes.to_vec()).unwrap_or_default();
            bytes.extend(sample::message(&api.request, version, random));
            inputs.push(Input { which: 0, bytes });
        }
    }
    inputs
}

fn frame(bytes: &[u8]) -> Result<bool, String> {
    let frame = Bytes::copy_from_slice(bytes);
    within_memory(bytes.len(), || {
        // A stranger may also answer a request of ours.
        let _ = ResponseHeader::read(&mut Reader::new(frame.clone()), 1).is_ok();
        let mut reader = Reader::new(frame.clone());
        let Ok(header) = RequestHeader::read(&mut reader) else { return false };
        let api = ApiKey::from_number(header.api_key).and_then(Api::find);
        api.is_some_and(|api| api.request.check(reader.into_rest(), header.api_version).is_ok())
    })
}

fn metadata_records(random: &mut Random) -> Vec<Input> {
    let mut inputs = Vec::new();
    for (id, shape) in MetadataRecord::ALL {
        for version in shape.versions.min..=shape.versions.max {
            for _ in 0..SAMPLES {
                let mut bytes = vec![1, *id as u8, version as u8];
                bytes.extend(sample::message(shape, version, random));
                inputs.push(Input { which: 0, bytes });
            }
        }
    }
    inputs
}

fn metadata_record(bytes: &[u8]) -> Result<bool, String> {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(record) = within_memory(bytes.len(), || MetadataRecord::decode(bytes.clone()))? else {
        return Ok(false);
    };
    let version = record.versions().max;
    let written = record.encode(version).map_err(|error| error.to_string())?;
    stable(written, |bytes| {
        let record = MetadataRecord::decode(bytes).map_err(|error| error.to_string())?;
        record.encode(version).map_err(|error| error.to_string())
    })?;
    Ok(true)
}

fn batches(random: &mut Random) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for id in 0..5 {
        for count in [1, 2, 5] {
            let compression = Compression::from_id(id).unwrap_or_default();
            let options = BatchOptions { compression, ..Default::default() };
            let mut builder = BatchBuilder::new(options);
            for index in 0..count {
                let value = random.word().to_be_bytes();
                let headers: &[(&str, Option<&[u8]>)] = &[("header", Some(b"1")), ("header", None)];
                let headers = if random.one_in(2) { headers } else { &[] };
                builder.append(Timestamp(1000 + index), Some(b"key"), Some(&value), headers);
            }
            if let Ok(batch) = builder.build() {
                inputs.push(batch.to_vec());
                inputs.push(batch.repeat(2));
            }
        }
    }
    inputs
}

const RULES: Rules = Rules {
    now: Timestamp(1_000_000),
    timestamp_type: TimestampType::CreateTime,
    before_max_ms: i64::MAX,
    after_max_ms: 3_600_000,
    is_compacted: false,
    walk_records: true,
};

/// Walks a run of batches as recovery does, and validates each as the append path does. Bad
/// checksums are made good, so that what lies behind them is reached.
fn run_of_batches(bytes: &[u8], scratch: &mut Scratch) -> Result<bool, String> {
    let mut accepted = false;
    let mut batches = Batches::new(bytes);
    for batch in &mut batches {
        let mut copy = batch.bytes().to_vec();
        if batch.verify_crc().is_err() {
            patch::stamp(&mut copy, batch.attributes(), batch.max_timestamp());
        }
        let Ok((batch, _)) = Batch::parse(&copy) else {
            return Err("a parsed batch cannot be parsed again".into());
        };
        batch.verify_crc().map_err(|error| format!("a stamped batch: {error}"))?;
        if batch.attributes().codec() == Some(Compression::None) {
            let valid = within_memory(copy.len(), || validate(&batch, &RULES, scratch).is_ok())?;
            let records = Records::new(batch.records_bytes(), batch.record_count());
            let read = within_memory(copy.len(), || walk(records))?;
            if valid && !read {
                return Err("a valid batch has records that cannot be read".into());
            }
            accepted |= valid;
        } else {
            // One window and what a codec keeps, however much the batch expands to.
            let limit = WALK_BYTES + CODEC_BYTES + MEMORY_FACTOR * copy.len();
            accepted |= within(limit, || validate(&batch, &RULES, scratch).is_ok())?;
        }
    }
    let _ = batches.tail();
    if batches.position() > bytes.len() {
        return Err("batches were read past the end".into());
    }
    Ok(accepted)
}

fn walk(records: Records<'_>) -> bool {
    for record in records {
        let Ok(record) = record else { return false };
        for header in record.headers() {
            if header.is_err() {
                return false;
            }
        }
    }
    true
}

fn codec(input: &Input) -> Result<bool, String> {
    let codec = Compression::from_id(input.which as i8).unwrap_or_default();
    let limit = 4 * PLAIN_LIMIT_BYTES + CODEC_BYTES + MEMORY_FACTOR * input.bytes.len();
    within(limit, || {
        let mut plain = Vec::new();
        let result = decompress(codec, &input.bytes, PLAIN_LIMIT_BYTES, &mut plain);
        (result.is_ok(), plain.len())
    })
    .and_then(|(accepted, plain_bytes)| {
        if accepted && plain_bytes > PLAIN_LIMIT_BYTES {
            return Err(format!("{plain_bytes} bytes came out of a limit of {PLAIN_LIMIT_BYTES}"));
        }
        Ok(accepted)
    })
}
