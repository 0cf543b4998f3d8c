//! The fuzzer itself: it finds planted bugs, repeats itself, and hostile lengths cost nothing.

use std::process::Command;

use bytes::Bytes;
use milena_fuzz::runner::{replay, run};
use milena_fuzz::sample::{self, Random};
use milena_fuzz::target::{Input, Kind};
use milena_fuzz::{corpus, runner};
use milena_protocol::api;
use milena_protocol::codec::MEMORY_FACTOR;

/// The fuzzer would be blind, and its silence mean nothing.
#[test]
fn planted_bugs_are_found() {
    assert!(run(Kind::CanaryMemory, 1, 200_000).unwrap_err().what.contains("memory"));
    assert!(run(Kind::CanaryChange, 1, 200_000).is_err());
    let output = Command::new(env!("CARGO_BIN_EXE_milena-fuzz"))
        .args(["--target", "canary-panic", "--execs", "200000", "--threads", "1"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("panic in canary-panic: 0 "));
}

/// What was found could not be found again.
#[test]
fn the_same_seed_does_the_same() {
    for kind in Kind::HONEST {
        let executions = if kind == Kind::Codecs { 300 } else { 3000 };
        let trace = |seed| run(kind, seed, executions).unwrap().trace;
        assert_eq!(trace(5), trace(5), "{}", kind.name());
        assert_ne!(trace(5), trace(6), "{}", kind.name());
    }
}

/// The mutations would only ever scratch the surface.
#[test]
fn valid_inputs_are_accepted() {
    for kind in Kind::HONEST {
        let seeds = milena_fuzz::target::Target::new(kind).seeds(1);
        assert!(!seeds.is_empty());
        for input in seeds {
            let accepted = replay(kind, &input).unwrap();
            assert!(accepted, "{}: {}", kind.name(), runner::line(&input));
        }
    }
}

/// What once showed something would show it again.
#[test]
fn the_corpus_is_harmless() {
    assert!(corpus::of(Kind::Frame).len() >= 7);
    assert!(corpus::of(Kind::Batches).len() >= 2);
    assert!(corpus::of(Kind::Codecs).len() >= 4);
    for kind in Kind::HONEST {
        for input in corpus::of(kind) {
            assert_eq!(replay(kind, &input), Ok(false), "{}", runner::line(&input));
        }
    }
}

/// A few bytes would make the broker allocate what they merely announce: every place of every
/// request is overwritten with lengths that lie.
#[test]
fn hostile_lengths_do_not_allocate() {
    const LENGTHS: &[&[u8]] = &[
        &[0x7f, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0x07],
        &[0x80, 0x80, 0x80, 0x10],
    ];
    let mut frames = 0;
    for api in api::ALL {
        for version in api.request.versions.min..=api.request.versions.max {
            let bytes = sample::message(&api.request, version, &mut Random(3));
            for at in 0..bytes.len() {
                for length in LENGTHS {
                    let mut hostile = bytes.clone();
                    hostile.splice(at..(at + length.len()).min(bytes.len()), length.to_vec());
                    let hostile = Bytes::from(hostile);
                    let limit = (hostile.len() * MEMORY_FACTOR + 16 * 1024) as u64;
                    let taken = allocation_counter::measure(|| {
                        let _ = api.request.check(hostile.clone(), version).is_ok();
                    });
                    let peak = taken.bytes_max;
                    assert!(peak <= limit, "{:?} {version} at {at}: {peak}", api.key);
                    frames += 1;
                }
            }
        }
    }
    assert!(frames > 500);
}

/// A line that is printed could not be replayed.
#[test]
fn lines_are_read_as_they_are_written() {
    let input = Input { which: 12, bytes: vec![0, 0xff, 0x1a] };
    assert_eq!(corpus::parse(&runner::line(&input)), Some(input));
}
