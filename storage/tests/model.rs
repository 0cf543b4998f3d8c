//! The log against a plain vector: random operations, compared after each.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_protocol::ids::{LeaderEpoch, Offset};
use milena_storage::{Log, LogConfig, LogDirectory, RealDisk};
use support::*;

/// What a log should hold.
#[derive(Default)]
struct Model {
    records: BTreeMap<i64, Vec<u8>>,
    /// Base offset of each batch.
    batches: Vec<i64>,
    start: i64,
    end: i64,
    epochs: Vec<(i32, i64)>,
}

impl Model {
    fn append(&mut self, values: &[Vec<u8>], epoch: i32) {
        if self.epochs.last().is_none_or(|last| last.0 < epoch) {
            while self.epochs.last().is_some_and(|last| last.1 >= self.end) {
                self.epochs.pop();
            }
            self.epochs.push((epoch, self.end));
        }
        self.batches.push(self.end);
        for value in values {
            self.records.insert(self.end, value.clone());
            self.end += 1;
        }
    }

    fn truncate(&mut self, to: i64) {
        if to >= self.end {
            return;
        }
        // The batch that holds the offset goes as a whole.
        let end = self.batches.iter().copied().rfind(|base| *base <= to).unwrap_or(to);
        self.batches.retain(|base| *base < end);
        self.records.retain(|offset, _| *offset < end);
        self.end = end;
        self.start = self.start.min(end);
        self.epochs.retain(|(_, start)| *start < end);
    }

    fn readable(&self) -> Vec<(Offset, Vec<u8>)> {
        let readable = self.records.range(self.start..);
        readable.map(|(offset, value)| (Offset(*offset), value.clone())).collect()
    }
}

struct World {
    directory: Option<LogDirectory>,
    log: Option<Log>,
    root: tempfile::TempDir,
    config: LogConfig,
}

impl World {
    fn new(config: LogConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut world = Self { directory: None, log: None, root, config };
        world.restart();
        world
    }

    fn restart(&mut self) {
        self.log = None;
        self.directory = None;
        let directory = open_directory(self.root.path(), Arc::new(RealDisk));
        self.log = Some(open_log(&directory, self.config.clone()));
        self.directory = Some(directory);
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }
}

fn run(seed: u64, operations: usize) {
    let mut random = Random(seed);
    let config = LogConfig {
        segment_bytes: 2000 + random.below(6000) as u32,
        index_interval_bytes: 64 + random.below(1000) as u32,
        file_delete_delay_ms: 0,
        retention_ms: -1,
        ..LogConfig::default()
    };
    let mut world = World::new(config);
    let mut model = Model::default();
    let mut epoch = 0;
    for step in 0..operations {
        let name = operate(&mut world, &mut model, &mut random, &mut epoch);
        check(&mut world, &model, &mut random, &format!("seed {seed} step {step} {name}"));
    }
}

fn operate(
    world: &mut World,
    model: &mut Model,
    random: &mut Random,
    epoch: &mut i32,
) -> &'static str {
    match random.below(40) {
        0 => {
            world.log().roll(NOW).unwrap();
            "roll"
        }
        1 => {
            let range = (model.end - model.start) as u64 + 2;
            let to = model.start - 1 + random.below(range) as i64;
            let to = to.max(0);
            if to >= model.start {
                world.log().truncate_to(Offset(to), NOW).unwrap();
                model.truncate(to);
            }
            "truncate"
        }
        2 if random.below(4) == 0 => {
            let start = model.end + random.below(100) as i64;
            world.log().truncate_fully_and_start_at(Offset(start), NOW).unwrap();
            *model = Model { start, end: start, ..Model::default() };
            "truncate fully"
        }
        3 => {
            let to = model.start + random.below((model.end - model.start) as u64 / 4 + 1) as i64;
            world.log().update_high_watermark(Offset(to));
            world.log().advance_log_start_offset(Offset(to)).unwrap();
            world.log().retain(NOW).unwrap();
            model.start = to;
            let kept: Vec<(i32, i64)> = model.epochs.clone();
            let below = kept.iter().rposition(|(_, start)| *start <= to).unwrap_or(0);
            model.epochs = kept[below.min(kept.len())..].to_vec();
            if let Some(first) = model.epochs.first_mut() {
                first.1 = first.1.max(to);
            }
            "delete records"
        }
        4 | 5 => {
            world.restart();
            "restart"
        }
        6 | 7 => {
            world.directory.as_ref().unwrap().maintain().unwrap();
            "maintain"
        }
        8 => {
            world.log().flush().unwrap();
            "flush"
        }
        9 => {
            *epoch += 1;
            "new epoch"
        }
        _ => {
            let values = random.values(5, 400);
            let context = context(*epoch);
            world.log().append_as_leader(&batch(&values), context).unwrap();
            model.append(&values, *epoch);
            "append"
        }
    }
}

fn check(world: &mut World, model: &Model, random: &mut Random, at: &str) {
    let log = world.log();
    assert_eq!(log.log_start_offset(), Offset(model.start), "{at}");
    assert_eq!(log.log_end_offset(), Offset(model.end), "{at}");
    let max_bytes = 1 + random.below(5000) as usize;
    assert!(read_all(log, max_bytes) == model.readable(), "{at}");
    let epochs: Vec<(i32, i64)> =
        log.reader().epochs().iter().map(|entry| (entry.epoch.0, entry.start_offset.0)).collect();
    assert_eq!(epochs, model.epochs, "{at}");
    assert_eq!(
        log.latest_epoch(),
        model.epochs.last().map(|(epoch, _)| LeaderEpoch(*epoch)),
        "{at}"
    );
}

/// Some order of operations would lose, double or move a record.
#[test]
fn any_order_of_operations_matches_a_vector() {
    for seed in [1, 2, 3, 4, 5, 6, 7, 8] {
        run(seed, 250);
    }
    run(seed(), 250);
}
