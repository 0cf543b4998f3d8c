//! Settings and headers as they are written on a command line.

/// A setting as it is written on a command line.
pub fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is no setting; write KEY=VALUE, as in retention.ms=60000")),
    }
}
