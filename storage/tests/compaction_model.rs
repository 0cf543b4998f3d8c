//! Compaction against a plain list: random records, transactions, passes and restarts.
//!
//! The list holds every record that was ever written, with what became of it. After each operation
//! the log has to be a part of the list that tells every kind of consumer the same.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::record::compression::Compression;
use milena_protocol::record::control::ControlType;
use milena_storage::{CompactionBudget, Log, LogConfig, LogDirectory, RealDisk};
use support::keyed::*;
use support::*;

const KEYS: u64 = 20;
/// Producers by what they do: the first writes without an id, some are idempotent, the rest write
/// in transactions.
const PRODUCERS: usize = 6;
const FIRST_TRANSACTIONAL: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    Committed,
    Aborted,
}

#[derive(Clone, Debug)]
struct Entry {
    found: Found,
    state: State,
    producer: usize,
    /// Its batch's base offset.
    batch: i64,
    written_at: i64,
}

/// What should be.
#[derive(Default)]
struct Model {
    entries: BTreeMap<i64, Entry>,
    end: i64,
    start: i64,
    now: i64,
    first_dirty: i64,
    last_pass_at: Option<i64>,
    /// When a pass first went through a batch.
    passed_at: BTreeMap<i64, i64>,
    /// Batches through which a pass went after their horizon.
    without_tombstones: BTreeSet<i64>,
}

impl Model {
    fn records(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Found> {
        let entries = self.entries.range(self.start..).map(|(_, entry)| entry);
        entries.filter(|entry| wanted(entry)).map(|entry| entry.found.clone()).collect()
    }

    fn open_from(&self) -> i64 {
        let open = self.entries.values().find(|entry| entry.state == State::Open);
        open.map_or(self.end, |entry| entry.found.offset)
    }

    /// A pass went through everything below.
    fn passed(&mut self, first_dirty: i64, retention: i64) {
        self.first_dirty = first_dirty;
        self.last_pass_at = Some(self.now);
        let batches: BTreeSet<i64> =
            self.entries.range(..first_dirty).map(|(_, entry)| entry.batch).collect();
        for batch in batches {
            let first = *self.passed_at.entry(batch).or_insert(self.now);
            if self.now >= first + retention {
                self.without_tombstones.insert(batch);
            }
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Producer {
    epoch: i16,
    sequence: i32,
    open_from: Option<i64>,
}

struct World {
    model: Model,
    producers: [Producer; PRODUCERS],
    log: Option<Log>,
    directory: Option<LogDirectory>,
    root: tempfile::TempDir,
    config: LogConfig,
}

impl World {
    fn new(config: LogConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut world = Self {
            model: Model::default(),
            producers: [Producer::default(); PRODUCERS],
            log: None,
            directory: None,
            root,
            config,
        };
        world.open();
        world
    }

    fn open(&mut self) {
        self.log = None;
        self.directory = None;
        let directory = open_directory(self.root.path(), Arc::new(RealDisk));
        let mut log = open_log(&directory, self.config.clone());
        log.update_high_watermark(log.log_end_offset());
        self.log = Some(log);
        self.directory = Some(directory);
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    /// Reopens; without what is derived from the batches, if they are all there is to go by.
    fn restart(&mut self, from_batches: bool, random: &mut Random) {
        let before = producers(self.log());
        if from_batches {
            self.directory.as_ref().unwrap().maintain().unwrap();
            for file in std::fs::read_dir(self.root.path().join("orders-0")).unwrap() {
                let path = file.unwrap().path();
                let extension = path.extension().unwrap_or_default().to_str().unwrap().to_owned();
                // Some snapshots may be left: what they say has to fit what is left of the batches.
                let goes = match &extension[..] {
                    "snapshot" => random.below(2) == 0,
                    "index" | "timeindex" => true,
                    _ => false,
                };
                if goes {
                    std::fs::remove_file(path).unwrap();
                }
            }
            let _ = std::fs::remove_file(self.root.path().join("milena-tail-checkpoint"));
        }
        self.open();
        assert_eq!(producers(self.log()), before, "from batches: {from_batches}");
    }

    fn write(&mut self, random: &mut Random) {
        let number = random.below(PRODUCERS as u64) as usize;
        let producer = &mut self.producers[number];
        let is_transactional = number >= FIRST_TRANSACTIONAL;
        let compression = Compression::from_id((random.below(12) as i8 - 7).max(0)).unwrap();
        let writer = match number {
            0 => Writer { compression, ..NOBODY },
            _ => Writer {
                producer: number as i64,
                epoch: producer.epoch,
                sequence: producer.sequence,
                is_transactional,
                compression,
            },
        };
        let count = 1 + random.below(5);
        let pairs: Vec<Pair> = (0..count)
            .map(|_| {
                let key = format!("key {}", random.below(KEYS));
                let value = "v".repeat(random.below(100) as usize) + &self.model.end.to_string();
                pair(&key, (random.below(4) > 0).then_some(value.as_str()))
            })
            .collect();
        let base = self.model.end;
        producer.sequence += count as i32;
        if is_transactional {
            producer.open_from.get_or_insert(base);
        }
        let appended = write(self.log.as_mut().unwrap(), writer, &pairs);
        assert_eq!(appended.base_offset, Offset(base));
        for (index, pair) in pairs.into_iter().enumerate() {
            let timestamp = NOW.0 + index as i64 % 3;
            let found = Found { offset: self.model.end, timestamp, pair };
            let state = if is_transactional { State::Open } else { State::Committed };
            let written_at = self.model.now;
            let entry = Entry { found, state, producer: number, batch: base, written_at };
            self.model.entries.insert(self.model.end, entry);
            self.model.end += 1;
        }
    }

    fn end_transaction(&mut self, random: &mut Random) {
        let range = (PRODUCERS - FIRST_TRANSACTIONAL) as u64;
        let number = FIRST_TRANSACTIONAL + random.below(range) as usize;
        let producer = &mut self.producers[number];
        let Some(from) = producer.open_from.take() else { return };
        // Half of them as transaction version 2 does it.
        if random.below(2) == 0 {
            producer.epoch += 1;
            producer.sequence = 0;
        }
        let aborts = random.below(2) == 0;
        let marker = if aborts { ControlType::Abort } else { ControlType::Commit };
        let epoch = producer.epoch;
        let appended = end(self.log.as_mut().unwrap(), number as i64, epoch, marker);
        for (_, entry) in self.model.entries.range_mut(from..) {
            if entry.producer == number {
                entry.state = if aborts { State::Aborted } else { State::Committed };
            }
        }
        assert_eq!(appended.base_offset, Offset(self.model.end));
        self.model.end += 1;
    }

    fn compact(&mut self, random: &mut Random) {
        if random.below(2) == 0 {
            self.log().roll(NOW).unwrap();
        }
        self.directory.as_ref().unwrap().maintain().unwrap();
        let budget = CompactionBudget {
            dedupe_buffer_bytes: 24 * (2 + random.below(40)),
            io_buffer_bytes: 0,
            ..CompactionBudget::default()
        };
        let now = Timestamp(NOW.0 + self.model.now);
        let compaction = self.log().compaction();
        if let Some(done) = compaction.compact(&budget, now, &mut |_| true).unwrap() {
            assert!(done.after_segments <= done.before_segments);
            self.model.passed(done.first_dirty_offset.0, self.config.delete_retention_ms);
        }
    }

    fn delete_records(&mut self, random: &mut Random) {
        let model = &mut self.model;
        model.start += random.below((model.end - model.start) as u64 / 5 + 1) as i64;
        let start = Offset(model.start);
        self.log().advance_log_start_offset(start).unwrap();
        self.log().retain(NOW).unwrap();
    }

    fn operate(&mut self, random: &mut Random) -> &'static str {
        match random.below(40) {
            0 => {
                self.log().roll(NOW).unwrap();
                "roll"
            }
            1 => {
                self.directory.as_ref().unwrap().maintain().unwrap();
                "maintain"
            }
            2 => {
                self.restart(false, random);
                "restart"
            }
            3 => {
                self.restart(true, random);
                "restart from batches"
            }
            4 if random.below(3) == 0 => {
                self.delete_records(random);
                "delete records"
            }
            5 => {
                self.model.now += random.below(1500) as i64;
                "time passes"
            }
            6..10 => {
                self.compact(random);
                "compact"
            }
            10..18 => {
                self.end_transaction(random);
                "end a transaction"
            }
            _ => {
                self.write(random);
                "write"
            }
        }
    }

    fn check(&mut self, random: &mut Random, at: &str) {
        let (log, model) = (self.log.as_ref().unwrap(), &self.model);
        assert_eq!(log.log_start_offset(), Offset(model.start), "{at}");
        assert_eq!(log.log_end_offset(), Offset(model.end), "{at}");
        let max_bytes = 1 + random.below(3000) as usize;
        let found = consume(log, Offset(0), max_bytes, false);
        check_found(model, &found, self.config.delete_retention_ms, at);
        let committed = consume(log, Offset(0), max_bytes, true);
        let stable = model.open_from();
        let is_committed =
            |entry: &Entry| entry.state == State::Committed && entry.found.offset < stable;
        assert_eq!(table(&committed), table(&model.records(is_committed)), "{at}");
        for record in &committed {
            assert_eq!(model.entries[&record.offset].state, State::Committed, "{at}");
        }
        let from = model.start + random.below((model.end - model.start) as u64 + 1) as i64;
        let rest: Vec<Found> = found.into_iter().filter(|record| record.offset >= from).collect();
        assert_eq!(consume(log, Offset(from), max_bytes, false), rest, "{at} from {from}");
    }
}

fn check_found(model: &Model, found: &[Found], retention: i64, at: &str) {
    assert!(found.is_sorted_by(|a, b| a.offset < b.offset), "{at}");
    for record in found {
        assert_eq!(model.entries.get(&record.offset).map(|e| &e.found), Some(record), "{at}");
    }
    let offsets: BTreeSet<i64> = found.iter().map(|record| record.offset).collect();
    let mut last: BTreeMap<&[u8], i64> = BTreeMap::new();
    for (offset, entry) in model.entries.range(..model.first_dirty) {
        if entry.state == State::Committed {
            last.insert(&entry.found.pair.0, *offset);
        }
    }
    for (offset, entry) in model.entries.range(model.start..) {
        let is_there = offsets.contains(offset);
        let place = format!("{at}: offset {offset}, {entry:?}");
        if *offset >= model.first_dirty {
            // What was aborted may be gone from a segment that a pass knew in part.
            assert!(is_there || entry.state == State::Aborted, "{place} is lost");
        } else if last.get(&entry.found.pair.0[..]) != Some(offset) {
            assert!(!is_there, "{place} is not the last of its key");
        } else if entry.found.pair.1.is_some() {
            assert!(is_there, "{place} is the last of its key");
        } else if model.without_tombstones.contains(&entry.batch) {
            assert!(!is_there, "{place} should be forgotten");
        } else if model.last_pass_at.is_some_and(|last| last < entry.written_at + retention) {
            assert!(is_there, "{place} is forgotten too early");
        }
    }
}

/// Producer, epoch, last sequence and open transaction of each.
fn producers(log: &Log) -> Vec<(i64, i16, i32, Option<Offset>)> {
    let producers = log.producers().into_iter();
    producers
        .map(|producer| {
            let sequence = producer.last_sequence.0;
            let open_from = producer.transaction_start_offset;
            (producer.producer_id.0, producer.producer_epoch.0, sequence, open_from)
        })
        .collect()
}

fn run(seed: u64, operations: usize) {
    let mut random = Random(seed);
    let config = LogConfig {
        segment_bytes: 1000 + random.below(3000) as u32,
        index_interval_bytes: 64 + random.below(500) as u32,
        ..compacted()
    };
    let mut world = World::new(config);
    for step in 0..operations {
        let name = world.operate(&mut random);
        world.check(&mut random, &format!("seed {seed} step {step} {name}"));
    }
    assert!(world.model.first_dirty > 0, "seed {seed} never compacted anything");
}

/// Some order of writes, transactions, passes and restarts would lose the last value of a key, show
/// an aborted one, move an offset or forget a producer.
#[test]
fn any_order_of_operations_matches_a_list() {
    for seed in [1, 2, 3, 4, 5, 6] {
        run(seed, 400);
    }
    run(seed(), 400);
}
