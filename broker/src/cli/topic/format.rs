//! How a consumed record is written, as kcat's `-f` says it.
//!
//! | token | stands for | token | stands for |
//! | --- | --- | --- | --- |
//! | `%s` | value | `%S` | its length, −1 for null |
//! | `%k` | key | `%K` | its length, −1 for null |
//! | `%R` | the value's length as a binary big-endian `int32` | `%T` | timestamp in milliseconds |
//! | `%h` | headers as `name=value,…` | `%t` | topic |
//! | `%p` | partition | `%o` | offset |
//! | `%%` | a percent sign | `\n` `\r` `\t` `\\` `\xHH` | that byte |

use std::io::{self, Write};
use std::str::FromStr;

use bytes::Bytes;
use milena_client::consumer::ConsumedRecord;

/// A format that was read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Value,
    ValueLength,
    ValueLengthBinary,
    Key,
    KeyLength,
    Timestamp,
    Headers,
    Topic,
    Partition,
    Offset,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '%' => match token(characters.next())? {
                    Piece::Text(bytes) => plain.extend(bytes),
                    piece => {
                        if !plain.is_empty() {
                            pieces.push(Piece::Text(std::mem::take(&mut plain)));
                        }
                        pieces.push(piece);
                    }
                },
                '\\' => plain.extend(escape(&mut characters)?),
                other => plain.extend(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }
}

fn token(letter: Option<char>) -> Result<Piece, String> {
    Ok(match letter {
        Some('s') => Piece::Value,
        Some('S') => Piece::ValueLength,
        Some('R') => Piece::ValueLengthBinary,
        Some('k') => Piece::Key,
        Some('K') => Piece::KeyLength,
        Some('T') => Piece::Timestamp,
        Some('h') => Piece::Headers,
        Some('t') => Piece::Topic,
        Some('p') => Piece::Partition,
        Some('o') => Piece::Offset,
        Some('%') => Piece::Text(b"%".to_vec()),
        Some(other) => {
            return Err(format!(
                "there is no %{other}; there are %s %S %R %k %K %T %h %t %p %o %%"
            ));
        }
        None => return Err("a single % at the end; write %% for a percent sign".to_owned()),
    })
}

fn escape(characters: &mut std::str::Chars<'_>) -> Result<Vec<u8>, String> {
    Ok(match characters.next() {
        Some('n') => b"\n".to_vec(),
        Some('r') => b"\r".to_vec(),
        Some('t') => b"\t".to_vec(),
        Some('\\') => b"\\".to_vec(),
        Some('x') => {
            let digits: String = characters.take(2).collect();
            let are_digits = digits.len() == 2 && digits.bytes().all(|one| one.is_ascii_hexdigit());
            let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| are_digits);
            vec![byte.ok_or(format!("\\x{digits} is no byte; write two digits, as \\x0a"))?]
        }
        Some(other) => {
            return Err(format!("there is no \\{other}; there are \\n \\r \\t \\\\ \\xHH"));
        }
        None => return Err("a single \\ at the end; write \\\\ for a backslash".to_owned()),
    })
}

/// The separators of a command line: the escapes of formats, nothing else.
pub fn separator(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(escape(&mut characters)?),
            other => out.extend(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if out.is_empty() { Err("a separator cannot be empty".to_owned()) } else { Ok(out) }
}

impl Format {
    /// Writes a record; `null` stands where a key or a value is null.
    pub fn write(
        &self,
        record: &ConsumedRecord,
        null: &[u8],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64);
        for piece in &self.0 {
            match piece {
                Piece::Text(bytes) => out.write_all(bytes)?,
                Piece::Value => out.write_all(record.value.as_deref().unwrap_or(null))?,
                Piece::ValueLength => write!(out, "{}", length(&record.value))?,
                Piece::ValueLengthBinary => {
                    out.write_all(&(length(&record.value) as i32).to_be_bytes())?;
                }
                Piece::Key => out.write_all(record.key.as_deref().unwrap_or(null))?,
                Piece::KeyLength => write!(out, "{}", length(&record.key))?,
                Piece::Timestamp => write!(out, "{}", record.timestamp)?,
                Piece::Headers => write_headers(record, null, out)?,
                Piece::Topic => out.write_all(record.topic.as_bytes())?,
                Piece::Partition => write!(out, "{}", record.partition)?,
                Piece::Offset => write!(out, "{}", record.offset)?,
            }
        }
        Ok(())
    }
}

fn write_headers(record: &ConsumedRecord, null: &[u8], out: &mut impl Write) -> io::Result<()> {
    for (index, (name, value)) in record.headers.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{name}=")?;
        out.write_all(value.as_deref().unwrap_or(null))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use milena_client::consumer::TimestampKind;
    use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp};

    use super::*;

    fn shown(format: &str) -> Vec<u8> {
        let record = ConsumedRecord {
            topic: "orders".into(),
            partition: PartitionIndex(3),
            offset: Offset(42),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(1_700_000_000_000),
            timestamp_kind: TimestampKind::Created,
            key: Some(Bytes::from_static(b"k")),
            value: None,
            headers: vec![("a".to_owned(), Some(Bytes::from_static(b"1"))), ("b".to_owned(), None)],
        };
        let mut out = Vec::new();
        format.parse::<Format>().unwrap().write(&record, b"NULL", &mut out).unwrap();
        out
    }

    /// A script written for kcat would read something else.
    #[test]
    fn tokens_are_those_of_kcat() {
        assert_eq!(shown("%t [%p] at %o: %k=%s%%\\n"), b"orders [3] at 42: k=NULL%\n");
        assert_eq!(shown("%S %K %T %h"), b"-1 1 1700000000000 a=1,b=NULL");
        assert_eq!(shown("%R\\x00\\t"), b"\xff\xff\xff\xff\0\t");
        assert_eq!(shown("gr\u{fc}n"), "grün".as_bytes());
        for bad in ["%", "%z", "\\", "\\q", "\\xg0", "\\x1", "\\x+1", "\\x"] {
            assert!(bad.parse::<Format>().is_err(), "{bad}");
            assert!(bad.starts_with('%') || separator(bad).is_err(), "{bad}");
        }
    }
}
