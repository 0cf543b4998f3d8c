//! A coordinator with a log in memory, and requests in short.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_cluster::coordinator::{Machine, Output, Outputs, Producer, Record, Replayed, Ticket};
use milena_cluster::time::{Instant, Now};
use milena_cluster::transaction::{
    Answer, Ask, Asked, Coordinator, Effect, MarkerOutcome, MarkerReport, Markers, Request,
    Settings, State, TopicPartition, Transaction,
};
use milena_protocol::api::add_offsets_to_txn::AddOffsetsToTxnRequest;
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use milena_protocol::api::end_txn::EndTxnRequest;
use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp,
};

/// The one transactional id of most tests.
pub const ID: &str = "txn-1";
/// The producer id that the node gives first.
pub const FIRST: i64 = 4000;
/// The wall clock when a test begins.
pub const BEGIN: u64 = 1_700_000_000_000;
pub const PATIENCE: Duration = Duration::from_secs(5);
pub const TIMEOUT_MS: i32 = 60_000;

/// A coordinator, its log, and what came of it.
pub struct Node {
    pub machine: Coordinator,
    pub log: Vec<Record>,
    pub settings: Settings,
    /// Milliseconds since the test began.
    pub now: u64,
    pub epoch: i32,
    /// Appends are refused.
    pub is_read_only: bool,
    pub answers: BTreeMap<Ticket, Answer>,
    /// Markers that were wanted and are not yet reported.
    pub markers: Vec<Markers>,
    /// How many batches were appended.
    pub appends: usize,
    tickets: u64,
    producer_ids: i64,
}

impl Node {
    pub fn new() -> Self {
        Self::with(Vec::new(), Settings::default())
    }

    pub fn with(log: Vec<Record>, settings: Settings) -> Self {
        let mut node = Self {
            machine: Coordinator::new(settings.clone(), LeaderEpoch(0)),
            log,
            settings,
            now: 0,
            epoch: 0,
            is_read_only: false,
            answers: BTreeMap::new(),
            markers: Vec::new(),
            appends: 0,
            tickets: 0,
            producer_ids: FIRST,
        };
        node.restart();
        node
    }

    /// The next leader epoch, with what is in the log and nothing else.
    pub fn restart(&mut self) {
        self.epoch += 1;
        self.markers.clear();
        self.machine = Coordinator::new(self.settings.clone(), LeaderEpoch(self.epoch));
        for offset in 0..self.log.len() {
            self.replay(offset);
        }
        let mut outputs = Vec::new();
        self.machine.loaded(self.clock(), &mut outputs);
        self.execute(outputs);
    }

    fn replay(&mut self, offset: usize) {
        let record = &self.log[offset];
        self.machine.replay(Replayed {
            offset: Offset(offset as i64),
            transaction: None,
            key: &record.key,
            value: record.value.as_deref(),
        });
    }

    fn clock(&self) -> Now {
        let wall = Timestamp(BEGIN.wrapping_add(self.now) as i64);
        Now { instant: Instant(self.now.wrapping_add(7_000)), wall }
    }

    fn execute(&mut self, outputs: Outputs<Coordinator>) {
        let mut is_refused = false;
        for output in outputs {
            match output {
                Output::Append(_) if self.is_read_only => is_refused = true,
                Output::Append(append) => {
                    self.appends += 1;
                    for record in append.records {
                        self.log.push(record);
                        self.replay(self.log.len() - 1);
                    }
                }
                Output::Answer(ticket, answer) if !is_refused => {
                    assert_eq!(self.answers.insert(ticket, answer), None, "{ticket:?}");
                }
                Output::Effect(Effect::WriteMarkers(markers)) if !is_refused => {
                    self.markers.push(markers);
                }
                Output::Answer(..) | Output::Effect(_) => {}
            }
        }
        self.machine.check_invariants();
    }

    /// Lets time pass, and what is due be done.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span.as_millis() as u64;
        while let Some(Instant(due)) = self.machine.deadline()
            && due <= 7_000 + until
        {
            self.now = self.now.max(due - 7_000);
            let mut outputs = Vec::new();
            self.machine.tick(self.clock(), &mut outputs);
            self.execute(outputs);
        }
        self.now = until;
    }

    pub fn request(&mut self, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let mut outputs = Vec::new();
        self.machine.handle(self.clock(), ticket, request, &mut outputs);
        self.execute(outputs);
        ticket
    }

    /// What the next producer id is that nobody has.
    pub fn first_producer_id(&mut self, id: i64) {
        self.producer_ids = id;
    }

    /// Asks, and asks again with a producer id if one is wanted. The answer may come later.
    pub fn ask(&mut self, version: i16, ask: Ask) -> Ticket {
        let asked = Asked { version, patience: PATIENCE, fresh_producer_id: None, ask };
        let ticket = self.request(Request::Ask(asked.clone()));
        if self.answers.get(&ticket) != Some(&Answer::NeedsProducerId) {
            return ticket;
        }
        let fresh_producer_id = Some(ProducerId(self.producer_ids));
        self.producer_ids += 1;
        self.request(Request::Ask(Asked { fresh_producer_id, ..asked }))
    }

    /// What became of a question: the producer and the code, as far as the answer has them.
    pub fn answered(&self, ticket: Ticket) -> Option<Told> {
        Some(match self.answers.get(&ticket)? {
            Answer::InitProducerId(answer) => {
                told(answer.error_code, answer.producer_id, answer.producer_epoch)
            }
            Answer::EndTransaction(answer) => {
                told(answer.error_code, answer.producer_id, answer.producer_epoch)
            }
            Answer::AddOffsets(answer) => Err(answer.error_code),
            Answer::AddPartitions(answer) => {
                let results = answer.topic_results.iter();
                let all = results.flat_map(|topic| &topic.results_by_partition);
                let codes: BTreeSet<ErrorCode> =
                    all.map(|partition| partition.partition_error_code).collect();
                assert_eq!(codes.len(), 1, "{answer:?}");
                Err(*codes.first().unwrap())
            }
            other => panic!("{other:?} is not told in short"),
        })
    }

    pub fn now_answered(&mut self, version: i16, ask: Ask) -> Told {
        let ticket = self.ask(version, ask);
        self.answered(ticket).expect("the answer comes at once")
    }

    pub fn known(&self) -> &Transaction {
        self.machine.transaction(ID).expect("the id is known")
    }

    pub fn state(&self) -> State {
        self.known().state
    }

    /// Becomes the producer of the id.
    pub fn begin(&mut self) -> Producer {
        self.now_answered(5, init(None)).expect("a producer")
    }

    /// Begins a transaction under version 2, with a partition.
    pub fn open(&mut self, producer: Producer, partition: i32) {
        assert_eq!(self.now_answered(5, add(producer, &[partition])), Err(ErrorCode::NONE));
    }

    /// Reports the markers that were wanted as written, all of them.
    pub fn write_markers(&mut self) {
        for markers in std::mem::take(&mut self.markers) {
            self.report(&markers, MarkerOutcome::Written);
        }
    }

    pub fn report(&mut self, markers: &Markers, outcome: MarkerOutcome) {
        let outcomes = markers.partitions.iter().map(|partition| (partition.clone(), outcome));
        self.request(Request::Report(MarkerReport {
            transactional_id: markers.transactional_id.clone(),
            attempt: markers.attempt,
            outcomes: outcomes.collect(),
        }));
    }
}

/// A producer, or the code of an answer that has none.
pub type Told = Result<Producer, ErrorCode>;

fn told(code: ErrorCode, id: ProducerId, epoch: ProducerEpoch) -> Told {
    if code == ErrorCode::NONE { Ok(Producer { id, epoch }) } else { Err(code) }
}

pub fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

pub fn init_with(expected: Option<Producer>, timeout_ms: i32) -> Ask {
    let expected = expected.unwrap_or(producer(-1, -1));
    Ask::InitProducerId(InitProducerIdRequest {
        transactional_id: Some(ID.into()),
        transaction_timeout_ms: timeout_ms,
        producer_id: expected.id,
        producer_epoch: expected.epoch,
    })
}

pub fn init(expected: Option<Producer>) -> Ask {
    init_with(expected, TIMEOUT_MS)
}

fn topics(partitions: &[i32]) -> Vec<AddPartitionsToTxnTopic> {
    let partitions = partitions.iter().map(|partition| PartitionIndex(*partition)).collect();
    vec![AddPartitionsToTxnTopic { name: "t".into(), partitions }]
}

pub fn add(producer: Producer, partitions: &[i32]) -> Ask {
    Ask::AddPartitions(AddPartitionsToTxnTransaction {
        transactional_id: ID.into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        verify_only: false,
        topics: topics(partitions),
    })
}

pub fn verify(producer: Producer, partitions: &[i32]) -> Ask {
    Ask::AddPartitions(AddPartitionsToTxnTransaction {
        transactional_id: ID.into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        verify_only: true,
        topics: topics(partitions),
    })
}

pub fn add_offsets(producer: Producer, partition: i32) -> Ask {
    Ask::AddOffsets {
        request: AddOffsetsToTxnRequest {
            transactional_id: ID.into(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            group_id: "group".into(),
        },
        offsets_partition: PartitionIndex(partition),
    }
}

pub fn end(producer: Producer, committed: bool) -> Ask {
    Ask::EndTransaction(EndTxnRequest {
        transactional_id: ID.into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        committed,
    })
}

pub fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: PartitionIndex(partition) }
}
