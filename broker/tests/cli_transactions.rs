//! `milena txn` against a real broker process, as scripts and people use it.

mod process;

use std::process::{Command, Output};

use milena_client::client::{Client, ClientOptions};
use milena_client::producer::{NewRecord, Producer, ProducerOptions};
use process::Process;
use serde_json::Value;

struct Shell(Process);

impl Shell {
    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(process::MILENA);
        command.args(line.split_whitespace()).env("MILENA_BOOTSTRAP", &self.0.address);
        command.output().expect("the binary runs")
    }

    fn out(&self, line: &str) -> String {
        let output = self.run(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.out(line)).expect("JSON")
    }

    fn error(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(!output.status.success(), "{line} worked");
        String::from_utf8(output.stderr).unwrap()
    }

    /// A producer with an open transaction in partition 0 of topic t.
    async fn open(&self, id: &str) -> Producer {
        let client = Client::connect(ClientOptions::new(&self.0.address)).await.unwrap();
        let options =
            ProducerOptions { transactional_id: Some(id.to_owned()), ..Default::default() };
        let producer = Producer::new(client, options);
        producer.init_transactions().await.unwrap();
        producer.begin_transaction().unwrap();
        let record = NewRecord::new("t").partition(0.into()).value("v");
        producer.send(record).await.unwrap().wait().await.unwrap();
        producer
    }
}

/// An operator would not see what holds readers up, nor be able to end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_seen_and_ended() {
    let directory = tempfile::tempdir().unwrap();
    let shell = Shell(Process::start(directory.path(), &[]));
    assert!(shell.out("txn list").contains("`transactional.id`"), "it says how to get one");
    let error = shell.error("txn describe copier");
    assert!(error.contains("TRANSACTIONAL_ID_NOT_FOUND"), "{error}");
    assert!(error.contains("milena txn list"), "{error}");
    assert!(shell.error("txn abort copier").contains("milena txn list"), "it makes none");

    let producer = shell.open("copier").await;
    let listed = shell.out("txn list --state Ongoing");
    assert!(listed.starts_with("TRANSACTIONAL ID  PRODUCER  STATE\ncopier"), "{listed}");
    assert!(shell.error("txn list --state Odd").contains("Odd is no state"));
    let described = &shell.json("txn describe copier --json")[0];
    assert_eq!(described["state"], "Ongoing");
    assert_eq!(described["timeout_ms"], 60_000);
    assert_eq!(described["partitions"], serde_json::json!([{ "topic": "t", "partition": 0 }]));
    let text = shell.out("txn describe copier");
    assert!(text.contains("wrote to     t 0") && text.contains("timeout      1 min 0 s"), "{text}");

    let said = shell.out("txn abort copier");
    assert!(said.starts_with("copier: its transaction is aborted"), "{said}");
    assert!(producer.commit_transaction().await.unwrap_err().ends_producer());
    assert!(shell.out("txn abort copier").contains("it had no open transaction"));
    assert_eq!(shell.json("txn list --state Ongoing --json"), serde_json::json!([]));
}

/// A partition would be unreadable for ever where a transaction hangs, or one that goes on would be
/// taken for one that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_in_a_partition_are_ended() {
    let directory = tempfile::tempdir().unwrap();
    let shell = Shell(Process::start(directory.path(), &[]));
    let _producer = shell.open("copier").await;
    assert_eq!(shell.out("txn list --hanging --open-for 0"), "no transaction hangs\n");
    assert_eq!(shell.json("txn list --hanging --topic t --json"), serde_json::json!([]));
    assert_eq!(shell.out("topic consume t --committed -e"), "");
    let error = shell.error("txn abort --topic t --partition 0 --start-offset 7");
    assert!(error.contains("milena txn list --hanging"), "{error}");
    assert!(shell.error("txn abort --topic t").contains("--partition"));
    let said = shell.out("txn abort --topic t --partition 0 --start-offset 0");
    assert!(said.contains("is aborted in t 0"), "{said}");
    let error = shell.error("txn abort --topic t --partition 0 --start-offset 0");
    assert!(error.contains("no transaction is open"), "{error}");
}
