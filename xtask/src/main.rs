//! Commands of the project that are neither `cargo run` nor `cargo test`.

use std::path::Path;
use std::process::ExitCode;

use xtask::tidy;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => match tidy::faults(root) {
            Ok(faults) if faults.is_empty() => {
                println!("{}", tidy::report(root).unwrap_or_default());
                ExitCode::SUCCESS
            }
            Ok(faults) => {
                faults.iter().for_each(|fault| eprintln!("{fault}"));
                ExitCode::FAILURE
            }
            Err(error) => {
                eprintln!("cannot read the sources: {error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: cargo xtask tidy");
            ExitCode::FAILURE
        }
    }
}
