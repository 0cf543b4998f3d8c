//! Java's properties format, as `server.properties` files are written in it.
//!
//! A natural line ends with `\n`, `\r` or `\r\n`; an odd number of backslashes before that
//! continues the logical line on the next one, whose leading white space is dropped. `#` and `!`
//! open comment lines, which never continue. A key ends at the first `=`, `:` or white space that
//! is not escaped; white space around one separator is dropped, that at the end of a value stays.
//! Escapes are `\t \n \r \f \uXXXX` (two of them for a character beyond the first plane); any
//! other backslash is dropped and what follows stands for itself.
//!
//! Text that is not UTF-8 is read as ISO 8859-1, which is what Java would have done.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key.
    pub key: String,
    /// The value; empty where the line has none.
    pub value: String,
    /// The line on which the key stands, from 1.
    pub line: usize,
}

/// A line that is not a property. It does not quote the line, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertyError {
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for PropertyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: \\u must be followed by four hexadecimal digits", self.line)
    }
}

impl std::error::Error for PropertyError {}

/// Reads a whole file in the order of its lines; a key that comes twice is there twice.
///
/// # Errors
/// A malformed `\u` escape, the only thing that the format forbids.
pub fn parse(bytes: &[u8]) -> Result<Vec<Property>, PropertyError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    logical_lines(&text)
        .into_iter()
        .map(|(line, text)| property(&text, line).ok_or(PropertyError { line }))
        .collect()
}

/// Joins continued lines and drops comments and blank ones.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, natural) in unified.split('\n').enumerate() {
        let natural = natural.trim_start_matches(is_space);
        // What consists of continuations only has not begun, in Java too.
        let has_begun = open.as_ref().is_some_and(|(_, logical)| !logical.is_empty());
        if !has_begun && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            open = None;
            continue;
        }
        let (number, mut logical) = open.take().unwrap_or((index + 1, String::new()));
        let backslashes = natural.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if backslashes % 2 == 1 {
            logical.push_str(&natural[..natural.len() - 1]);
            open = Some((number, logical));
        } else {
            logical.push_str(natural);
            lines.push((number, logical));
        }
    }
    lines.extend(open.filter(|(_, logical)| !logical.is_empty()));
    lines
}

fn property(text: &str, line: usize) -> Option<Property> {
    let mut rest = text.chars().peekable();
    let mut key = Units::default();
    while let Some(&next) = rest.peek() {
        if is_space(next) || next == '=' || next == ':' {
            break;
        }
        key.push_from(&mut rest)?;
    }
    while rest.next_if(|next| is_space(*next)).is_some() {}
    if rest.next_if(|next| matches!(next, '=' | ':')).is_some() {
        while rest.next_if(|next| is_space(*next)).is_some() {}
    }
    let mut value = Units::default();
    while rest.peek().is_some() {
        value.push_from(&mut rest)?;
    }
    Some(Property { key: key.into_string(), value: value.into_string(), line })
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// UTF-16 units, because escapes are units and a character may be two of them.
#[derive(Default)]
struct Units(Vec<u16>);

impl Units {
    /// Takes one character or one escape; nothing where an escape is malformed.
    fn push_from(&mut self, rest: &mut Peekable<Chars<'_>>) -> Option<()> {
        let taken = match rest.next()? {
            '\\' => match rest.next() {
                // A backslash at the very end of the file.
                None => return Some(()),
                Some('u') => {
                    let mut unit = 0u16;
                    for _ in 0..4 {
                        let digit = rest.next()?.to_digit(16)?;
                        unit = unit << 4 | digit as u16;
                    }
                    self.0.push(unit);
                    return Some(());
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
            },
            plain => plain,
        };
        self.0.extend_from_slice(taken.encode_utf16(&mut [0; 2]));
        Some(())
    }

    fn into_string(self) -> String {
        String::from_utf16_lossy(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let read = parse(text.as_bytes()).unwrap();
        read.into_iter().map(|property| (property.key, property.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?}");
        all.remove(0)
    }

    /// Files that Kafka reads would mean something else here.
    #[test]
    fn separators_are_javas() {
        for text in ["a.b=1", "a.b = 1", "a.b:1", "a.b : 1", "  a.b 1", "a.b\t1", "a.b \t= 1"] {
            assert_eq!(one(text), ("a.b".into(), "1".into()), "{text:?}");
        }
        assert_eq!(one("a=b=c"), ("a".into(), "b=c".into()));
        assert_eq!(one("a = = c"), ("a".into(), "= c".into()));
        assert_eq!(one("a=1  "), ("a".into(), "1  ".into()));
        assert_eq!(one("a"), ("a".into(), String::new()));
        assert_eq!(one("a="), ("a".into(), String::new()));
        assert_eq!(one(r"a\=b\:c\ d=1"), ("a=b:c d".into(), "1".into()));
        assert_eq!(one("listeners=PLAINTEXT://:9092").1, "PLAINTEXT://:9092");
    }

    /// A commented key would be set, or a set one taken for a comment.
    #[test]
    fn comments_and_blank_lines_say_nothing() {
        assert_eq!(pairs("# a=1\n! b=2\n\n   \t\n  # c=3\r\n"), []);
        assert_eq!(one("a=1 # no comment").1, "1 # no comment");
        assert_eq!(pairs("# ends with a backslash \\\na=1"), [("a".into(), "1".into())]);
    }

    /// A long list of listeners would be cut at its first line.
    #[test]
    fn lines_continue_after_an_odd_number_of_backslashes() {
        assert_eq!(one("a=1,\\\n   2,\\\r\n\t3").1, "1,2,3");
        assert_eq!(pairs("a=1\\\\\nb=2").len(), 2);
        assert_eq!(one("a=1\\\\").1, "1\\");
        assert_eq!(one("a=x\\\n# y").1, "x# y");
        assert_eq!(one("a=1\\").1, "1");
        assert_eq!(pairs("a=1,\\\n\nb=2"), [("a".into(), "1,".into()), ("b".into(), "2".into())]);
        // What consists of continuations only has not begun.
        assert_eq!(pairs("\\\n# t\na=1"), [("a".into(), "1".into())]);
        assert_eq!(pairs("\\\n\n# t\na=1\n\\"), [("a".into(), "1".into())]);
    }

    /// A password with an escaped character would be another password.
    #[test]
    fn escapes_are_javas() {
        assert_eq!(one(r"a=\t\n\r\f\\\q\=").1, "\t\n\r\u{c}\\q=");
        assert_eq!(one(r"a=\u00e9\uD83D\uDE00").1, "é😀");
        assert_eq!(one("a=é").1, "é");
        assert_eq!(parse(b"a=\xe9").unwrap()[0].value, "é");
        assert_eq!(parse(b"x=1\na=\\u00g1"), Err(PropertyError { line: 2 }));
        assert_eq!(parse(b"a=\\u12"), Err(PropertyError { line: 1 }));
    }

    /// An error would point to the wrong line.
    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let read = parse(b"\r\n# one\r\na=1,\\\r\n2\r\nb=3\rc=4").unwrap();
        let lines: Vec<_> = read.iter().map(|property| property.line).collect();
        assert_eq!(lines, [3, 5, 6]);
    }

    /// Some bytes would stop the node with a panic instead of an error.
    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut state = 7u32;
        for length in 0..2_000 {
            let alphabet = b"\\u0a=: \t\r\n#!\xff\xc3\xa9";
            let bytes: Vec<u8> = (0..length % 40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    alphabet[(state >> 16) as usize % alphabet.len()]
                })
                .collect();
            let _ = parse(&bytes);
        }
    }
}
