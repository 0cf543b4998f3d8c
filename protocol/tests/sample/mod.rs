//! Random messages, made from their declarations: valid bytes of every shape a version allows.
//!
//! The same seed makes the same bytes. Numbers are often extreme, strings and arrays often empty.

use milena_protocol::message::Kind;
use milena_protocol::message::{Field, Schema, Shape};

/// Small numbers from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn integer(&mut self) -> i64 {
        match self.below(6) {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            4 => self.below(1000) as i64,
            _ => self.word() as i64,
        }
    }
}

/// The bytes of a random message.
pub fn message(shape: &Shape, version: i16, random: &mut Random) -> Vec<u8> {
    let mut sample = Sample { version, flexible: shape.is_flexible(version), random };
    let mut bytes = Vec::new();
    sample.fields(shape.schema, &mut bytes);
    bytes
}

struct Sample<'a> {
    version: i16,
    flexible: bool,
    random: &'a mut Random,
}

impl Sample<'_> {
    fn fields(&mut self, schema: &Schema, out: &mut Vec<u8>) {
        let mut tagged: Vec<(u32, Vec<u8>)> = Vec::new();
        let version = self.version;
        for field in schema.fields.iter().filter(|field| field.versions.contains(version)) {
            match field.tag {
                None => self.field(field, out),
                Some(_) if self.random.one_in(2) => {}
                Some(tag) => {
                    let mut body = Vec::new();
                    self.field(field, &mut body);
                    tagged.push((tag, body));
                }
            }
        }
        if self.flexible {
            tagged.sort_by_key(|(tag, _)| *tag);
            uvarint(tagged.len(), out);
            for (tag, body) in tagged {
                uvarint(tag as usize, out);
                uvarint(body.len(), out);
                out.extend(body);
            }
        }
    }

    fn field(&mut self, field: &Field, out: &mut Vec<u8>) {
        let nullable = field.nullable.contains(self.version);
        if matches!(field.kind, Kind::Struct(_)) && field.tag.is_some() && nullable {
            return self.tagged_struct(field.kind, out);
        }
        self.value(field.kind, nullable, out);
    }

    /// Whether it is there is a varint.
    fn tagged_struct(&mut self, kind: Kind, out: &mut Vec<u8>) {
        if self.random.one_in(4) {
            return out.push(0);
        }
        out.push(1);
        self.value(kind, false, out);
    }

    fn value(&mut self, kind: Kind, nullable: bool, out: &mut Vec<u8>) {
        let is_null = nullable && self.random.one_in(4);
        match kind {
            Kind::Bool => out.push(self.random.below(2) as u8),
            Kind::Int8 => out.push(self.random.integer() as u8),
            Kind::Int16 | Kind::Uint16 => {
                out.extend((self.random.integer() as i16).to_be_bytes());
            }
            Kind::Int32 | Kind::Uint32 => {
                out.extend((self.random.integer() as i32).to_be_bytes());
            }
            Kind::Int64 => out.extend(self.random.integer().to_be_bytes()),
            Kind::Float64 => {
                // Whole numbers only: not-a-number is not equal to itself.
                let value = self.random.below(1 << 40) as f64;
                out.extend(value.to_be_bytes());
            }
            Kind::Uuid => {
                out.extend(self.random.word().to_be_bytes());
                out.extend(self.random.word().to_be_bytes());
            }
            Kind::String => {
                let words = ["", "a", "topic-1", "größe", "0123456789", "値"];
                let mut text = words[self.random.below(words.len())].to_owned();
                if self.random.one_in(16) {
                    text = text.repeat(40);
                }
                self.counted(if is_null { None } else { Some(text.len()) }, true, out);
                if !is_null {
                    out.extend(text.bytes());
                }
            }
            Kind::Bytes | Kind::Records => {
                let length = if self.random.one_in(16) { 700 } else { 5 };
                let length = self.random.below(length);
                self.counted(if is_null { None } else { Some(length) }, false, out);
                if !is_null {
                    out.extend((0..length).map(|_| self.random.word() as u8));
                }
            }
            Kind::Array(item) => {
                let count = self.random.below(4);
                self.counted(if is_null { None } else { Some(count) }, false, out);
                if !is_null {
                    (0..count).for_each(|_| self.value(*item, false, out));
                }
            }
            Kind::Struct(_) if is_null => out.push(0xff),
            Kind::Struct(schema) => {
                if nullable {
                    out.push(1);
                }
                self.fields(schema, out);
            }
        }
    }

    fn counted(&self, length: Option<usize>, short: bool, out: &mut Vec<u8>) {
        match (self.flexible, short) {
            (true, _) => uvarint(length.map_or(0, |length| length + 1), out),
            (false, true) => out.extend(length.map_or(-1, |length| length as i16).to_be_bytes()),
            (false, false) => out.extend(length.map_or(-1, |length| length as i32).to_be_bytes()),
        }
    }
}

fn uvarint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
