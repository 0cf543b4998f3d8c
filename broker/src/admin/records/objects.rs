//! JSON objects one after the other in bytes that arrive in pieces. Every byte is looked at once,
//! so that an object in tiny pieces costs no more than in one.

use bytes::{Buf, BytesMut};

use crate::admin::body::{MAX_BYTES, too_large};
use crate::admin::error::Failure;

/// Cuts objects out of what arrived.
#[derive(Debug, Default)]
pub struct Objects {
    buffer: BytesMut,
    /// Bytes of the buffer that were looked at, all within one object.
    scanned: usize,
    /// Braces that are open there.
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Objects {
    /// Cuts objects out of bytes that are all there.
    pub fn of(buffer: BytesMut) -> Self {
        Self { buffer, ..Self::default() }
    }

    /// Takes what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The next object that is there as a whole. It has balanced braces; whether it is JSON is
    /// for its reader to say.
    ///
    /// # Errors
    /// When the next thing is no object, or one that is too large; nothing can be found after it.
    pub fn next(&mut self) -> Result<Option<BytesMut>, Failure> {
        if self.depth == 0 {
            let is_space = |byte: &&u8| byte.is_ascii_whitespace();
            let spaces = self.buffer.iter().take_while(is_space).count();
            self.buffer.advance(spaces);
            if self.buffer.first().is_some_and(|first| *first != b'{') {
                return Err(Failure::bad_request("a record must be a JSON object"));
            }
        }
        while let Some(byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            if self.is_escaped {
                self.is_escaped = false;
            } else if self.in_string {
                self.is_escaped = *byte == b'\\';
                self.in_string = *byte != b'"';
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' => self.depth += 1,
                    b'}' => self.depth -= 1,
                    _ => {}
                }
                if self.depth == 0 {
                    let object = self.buffer.split_to(self.scanned);
                    self.scanned = 0;
                    return Ok(Some(object));
                }
            }
        }
        if self.buffer.len() > MAX_BYTES { Err(too_large(MAX_BYTES)) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&str]) -> Vec<String> {
        let mut objects = Objects::default();
        let mut found = Vec::new();
        for piece in pieces {
            objects.push(piece.as_bytes());
            while let Some(object) = objects.next().expect("objects") {
                found.push(String::from_utf8(object.to_vec()).expect("text"));
            }
        }
        found
    }

    /// Records would be lost, joined or torn at the seams of a stream.
    #[test]
    fn objects_are_whole_wherever_the_pieces_end() {
        let text = r#" {"a":"}{\"\\"}
            {"b":{"c":[{},{}]}}{}"#;
        let expected = [r#"{"a":"}{\"\\"}"#, r#"{"b":{"c":[{},{}]}}"#, "{}"];
        assert_eq!(cut(&[text]), expected);
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        let pieces: Vec<&str> = bytes.iter().map(String::as_str).collect();
        assert_eq!(cut(&pieces), expected);
        assert_eq!(cut(&["{\"never\": "]), Vec::<String>::new());
    }

    /// A stream of something else would be waited on for ever.
    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["[{}]", "1", "}", "{} x"] {
            let mut objects = Objects::default();
            objects.push(text.as_bytes());
            let failed = (0..2).any(|_| objects.next().is_err());
            assert!(failed, "{text}");
        }
    }

    /// One client could fill the memory with an object that never ends.
    #[test]
    fn an_object_has_a_largest_size() {
        let mut objects = Objects::default();
        objects.push(b"{");
        objects.push(&vec![b' '; MAX_BYTES]);
        assert!(objects.next().is_err());
    }
}
