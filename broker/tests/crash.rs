//! Kills at any moment lose nothing, against real broker processes.

mod process;

use milena_protocol::api::delete_topics::DeleteTopicsRequest;
use milena_protocol::ids::Offset;
use process::Process;
use process::broker::{create, idempotent, list, produce};

/// What was acknowledged would be lost by a kill, or a deleted topic come back.
#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for round in 0..5 {
        let process = Process::start(directory.path(), &[]);
        let mut connection = process.connect();
        if round == 0 {
            assert!(create(&mut connection, "kept", 3, &[("retention.ms", "-1")]).is_none());
            assert!(create(&mut connection, "gone", 1, &[]).is_none());
        }
        if round == 1 {
            let request = DeleteTopicsRequest {
                topic_names: vec!["gone".into()],
                timeout_ms: 10_000,
                ..Default::default()
            };
            assert!(connection.ask(&request, 4).responses[0].error_code.is_none());
        }
        assert_eq!(list(&mut connection, "kept", -1, 11).offset, Offset(expected));
        for _ in 0..20 {
            let answer = produce(&mut connection, "kept", idempotent(7, 0, expected as i32), -1);
            assert_eq!(answer.base_offset, Offset(expected), "{answer:?}");
            expected += 1;
        }
        // A retry across the restart is recognised.
        let again = produce(&mut connection, "kept", idempotent(7, 0, expected as i32 - 1), -1);
        assert_eq!(again.base_offset, Offset(expected - 1));
        let gone = list(&mut connection, "gone", -1, 11).error_code;
        assert_eq!(gone.is_none(), round == 0);
        process.kill();
    }
}
