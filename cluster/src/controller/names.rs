//! The names of topics.

/// The longest name of a topic.
pub(super) const MAX_NAME_BYTES: usize = 249;

/// Whether a topic may have this name: 1 to 249 letters, digits, dots, dashes or underscores, and
/// not `.` or `..`.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(legal)
}

/// The name that metrics give a topic, where a dot becomes an underscore; nothing for a name that
/// cannot be taken for another.
pub(super) fn ambiguous_metric_name(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}
