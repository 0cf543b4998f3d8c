//! One declaration per message, all its versions: the [`message!`](crate::message!) macro.
//!
//! ```text
//! message! {
//!     /// What the message is for.
//!     pub struct ExampleRequest: 0..=3, flexible 2 {
//!         /// What the field means.
//!         name: Option<Text> [0.., nullable 1..],
//!         /// Topics, each with its own versions.
//!         topics: Vec<ExampleTopic> [0..],
//!         /// Milliseconds.
//!         timeout_ms: i32 [0..=2, default 30_000],
//!         /// A tagged field.
//!         epoch: i32 [3.., tag 0, default -1],
//!     }
//!     /// A struct within the message above: same versions and flexibility as its message.
//!     pub struct ExampleTopic { name: Text [0..] }
//! }
//! ```
//!
//! A field is on the wire in the versions that its first range names; elsewhere it keeps its
//! default. `nullable` is a range too. A tagged field is written only when it differs from its
//! default. Unknown tagged fields are skipped. The declaration is also data, [`Schema`], from which
//! differential tests make random messages and documents are generated.

use bytes::Bytes;

pub use crate::codec::{Context, DecodeError, EncodeError, Nullable, Reader, Wire, Writer};
pub use crate::schema::{Field, Kind, Schema, Versions};

/// A top-level message: a request, a response, a record or a header.
pub trait Message: Wire + Default {
    /// The versions Milena can read and write.
    const VERSIONS: Versions;
    /// The first flexible version.
    const FLEXIBLE_FROM: i16;
    /// The declaration as data.
    const SCHEMA: &'static Schema;

    /// Whether a version is flexible.
    #[must_use]
    fn is_flexible(version: i16) -> bool {
        version >= Self::FLEXIBLE_FROM
    }

    /// Appends the message in a version.
    fn write(&self, writer: &mut Writer, version: i16) {
        if !Self::VERSIONS.contains(version) {
            writer.fail(EncodeError::UnsupportedVersion);
            return;
        }
        let flexible = Self::is_flexible(version);
        self.encode(
            writer,
            Context { version, flexible, nullable: false, tagged: false, field: "" },
        );
    }

    /// Reads the message in a version; bytes may be left over.
    ///
    /// # Errors
    /// When the bytes are not such a message.
    fn read(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion);
        }
        let flexible = Self::is_flexible(version);
        Self::decode(
            reader,
            Context { version, flexible, nullable: false, tagged: false, field: "" },
        )
    }

    /// The message alone, as bytes.
    ///
    /// # Errors
    /// When the version does not exist or a null stands where it may not.
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::new();
        self.write(&mut writer, version);
        writer.into_bytes()
    }

    /// Reads a message that is all of `bytes`.
    ///
    /// # Errors
    /// When the bytes are not exactly one such message.
    fn from_bytes(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let message = Self::read(&mut reader, version)?;
        reader.finish()?;
        Ok(message)
    }
}

/// A message as a value instead of a type: what lists of messages are made of, for tools that
/// compare, generate or fuzz all of them.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The versions Milena can read and write.
    pub versions: Versions,
    /// The first flexible version.
    pub flexible_from: i16,
    /// The declaration.
    pub schema: &'static Schema,
    check: fn(Bytes, i16) -> Result<(), DecodeError>,
    recode: fn(Bytes, i16) -> Result<Result<Bytes, EncodeError>, DecodeError>,
    default: fn(i16) -> Result<Bytes, EncodeError>,
}

impl Shape {
    /// The shape of a message type.
    #[must_use]
    pub const fn of<M: Message>() -> Self {
        Self {
            versions: M::VERSIONS,
            flexible_from: M::FLEXIBLE_FROM,
            schema: M::SCHEMA,
            check: |bytes, version| M::from_bytes(bytes, version).map(drop),
            recode: |bytes, version| {
                M::from_bytes(bytes, version).map(|message| message.to_bytes(version))
            },
            default: |version| M::default().to_bytes(version),
        }
    }

    /// The message's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.schema.name
    }

    /// Whether a version is flexible.
    #[must_use]
    pub const fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }

    /// Decodes bytes that must be exactly one message, and forgets it.
    ///
    /// # Errors
    /// When they are not.
    pub fn check(&self, bytes: Bytes, version: i16) -> Result<(), DecodeError> {
        (self.check)(bytes, version)
    }

    /// Decodes bytes that must be exactly one message, and encodes it again.
    ///
    /// # Errors
    /// The outer one when the bytes are no such message, the inner one when what was decoded
    /// cannot be written, which would be a bug.
    pub fn recode(
        &self,
        bytes: Bytes,
        version: i16,
    ) -> Result<Result<Bytes, EncodeError>, DecodeError> {
        (self.recode)(bytes, version)
    }

    /// The message with all fields at their defaults, as bytes.
    ///
    /// # Errors
    /// When the version does not exist, or a field that is null by default may not be null in it.
    pub fn default_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        (self.default)(version)
    }
}

/// Turns `0..`, `1..=4` or nothing into [`Versions`].
#[doc(hidden)]
#[macro_export]
macro_rules! versions {
    ($min:literal ..= $max:literal) => {
        $crate::message::Versions { min: $min, max: $max }
    };
    ($min:literal ..) => {
        $crate::message::Versions { min: $min, max: i16::MAX }
    };
}

/// Reads one property out of a field's bracket.
#[doc(hidden)]
#[macro_export]
macro_rules! field_property {
    (versions, $min:literal ..= $max:literal $(, $($rest:tt)*)?) => {
        $crate::versions!($min ..= $max)
    };
    (versions, $min:literal .. $(, $($rest:tt)*)?) => { $crate::versions!($min ..) };

    (nullable, nullable $min:literal ..= $max:literal $(, $($rest:tt)*)?) => {
        $crate::versions!($min ..= $max)
    };
    (nullable, nullable $min:literal .. $(, $($rest:tt)*)?) => { $crate::versions!($min ..) };
    (nullable, $first:tt $($rest:tt)*) => { $crate::field_property!(nullable, $($rest)*) };
    (nullable, ) => { $crate::message::Versions::NONE };

    (tag, tag $tag:literal $($rest:tt)*) => { Some($tag) };
    (tag, $first:tt $($rest:tt)*) => { $crate::field_property!(tag, $($rest)*) };
    (tag, ) => { None };

    (default, default $value:expr) => { $value };
    (default, $first:tt $($rest:tt)*) => { $crate::field_property!(default, $($rest)*) };
    (default, ) => { Default::default() };
}

/// Declares messages and the structs within them; see the module.
#[macro_export]
macro_rules! message {
    () => {};
    (
        $(#[$doc:meta])*
        pub struct $name:ident : $min:literal ..= $max:literal, flexible $flexible:literal {
            $($(#[$field_doc:meta])* $field:ident : $type:ty [$($spec:tt)*]),* $(,)?
        }
        $($rest:tt)*
    ) => {
        $crate::message_struct! {
            $(#[$doc])* $name { $($(#[$field_doc])* $field : $type [$($spec)*]),* }
        }
        impl $crate::message::Message for $name {
            const VERSIONS: $crate::message::Versions = $crate::versions!($min ..= $max);
            const FLEXIBLE_FROM: i16 = $flexible;
            const SCHEMA: &'static $crate::message::Schema = &$name::STRUCT_SCHEMA;
        }
        $crate::message! { $($rest)* }
    };
    (
        $(#[$doc:meta])*
        pub struct $name:ident : $min:literal ..= $max:literal, flexible none {
            $($body:tt)*
        }
        $($rest:tt)*
    ) => {
        $crate::message! {
            $(#[$doc])*
            pub struct $name : $min ..= $max, flexible 32767 { $($body)* }
            $($rest)*
        }
    };
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$field_doc:meta])* $field:ident : $type:ty [$($spec:tt)*]),* $(,)?
        }
        $($rest:tt)*
    ) => {
        $crate::message_struct! {
            $(#[$doc])* $name { $($(#[$field_doc])* $field : $type [$($spec)*]),* }
        }
        $crate::message! { $($rest)* }
    };
}

/// One struct of a message: the type, its default, its encoding and its schema.
#[doc(hidden)]
#[macro_export]
macro_rules! message_struct {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident : $type:ty [$($spec:tt)*]),* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::field_property!(default, $($spec)*),)* }
            }
        }

        impl $name {
            const STRUCT_SCHEMA: $crate::message::Schema = $crate::message::Schema {
                name: stringify!($name),
                fields: &[$($crate::message::Field {
                    name: stringify!($field),
                    kind: <$type as $crate::message::Wire>::KIND,
                    versions: $crate::field_property!(versions, $($spec)*),
                    nullable: $crate::field_property!(nullable, $($spec)*),
                    tag: $crate::field_property!(tag, $($spec)*),
                }),*],
            };
        }

        impl $crate::message::Wire for $name {
            const KIND: $crate::message::Kind =
                $crate::message::Kind::Struct(&$name::STRUCT_SCHEMA);
            const MIN_BYTES: usize = $crate::message::struct_min_bytes(&[$(
                (
                    $crate::field_property!(versions, $($spec)*),
                    $crate::field_property!(tag, $($spec)*),
                    <$type as $crate::message::Wire>::MIN_BYTES,
                )
            ),*]);

            #[allow(unused_variables, unused_mut, reason = "structs without (tagged) fields")]
            fn encode(
                &self,
                writer: &mut $crate::message::Writer,
                context: $crate::message::Context,
            ) {
                let mut tagged = $crate::message::TaggedWriter::default();
                $({
                    const VERSIONS: $crate::message::Versions =
                        $crate::field_property!(versions, $($spec)*);
                    const NULLABLE: $crate::message::Versions =
                        $crate::field_property!(nullable, $($spec)*);
                    const TAG: Option<u32> = $crate::field_property!(tag, $($spec)*);
                    if VERSIONS.contains(context.version) {
                        let field = $crate::message::Context {
                            nullable: NULLABLE.contains(context.version),
                            tagged: TAG.is_some(),
                            field: stringify!($field),
                            ..context
                        };
                        match TAG {
                            None => self.$field.encode(writer, field),
                            Some(tag) => {
                                let absent: $type =
                                    $crate::field_property!(default, $($spec)*);
                                if self.$field != absent {
                                    tagged.field(tag, |writer| self.$field.encode(writer, field));
                                }
                            }
                        }
                    }
                })*
                if context.flexible {
                    tagged.finish(writer);
                }
            }

            #[allow(unused_variables, unused_mut, reason = "structs without (tagged) fields")]
            fn decode(
                reader: &mut $crate::message::Reader,
                context: $crate::message::Context,
            ) -> Result<Self, $crate::message::DecodeError> {
                let mut value = Self::default();
                $({
                    const VERSIONS: $crate::message::Versions =
                        $crate::field_property!(versions, $($spec)*);
                    const NULLABLE: $crate::message::Versions =
                        $crate::field_property!(nullable, $($spec)*);
                    const TAG: Option<u32> = $crate::field_property!(tag, $($spec)*);
                    if TAG.is_none() && VERSIONS.contains(context.version) {
                        value.$field = $crate::message::Wire::decode(
                            reader,
                            $crate::message::Context {
                                nullable: NULLABLE.contains(context.version),
                                tagged: false,
                                field: stringify!($field),
                                ..context
                            },
                        )?;
                    }
                })*
                if context.flexible {
                    reader.tagged_fields(|number, reader| {
                        $({
                            const VERSIONS: $crate::message::Versions =
                                $crate::field_property!(versions, $($spec)*);
                            const NULLABLE: $crate::message::Versions =
                                $crate::field_property!(nullable, $($spec)*);
                            const TAG: Option<u32> = $crate::field_property!(tag, $($spec)*);
                            if TAG == Some(number) && VERSIONS.contains(context.version) {
                                value.$field = $crate::message::Wire::decode(
                                    reader,
                                    $crate::message::Context {
                                        nullable: NULLABLE.contains(context.version),
                                        tagged: true,
                                        field: stringify!($field),
                                        ..context
                                    },
                                )?;
                                return Ok(true);
                            }
                        })*
                        Ok(false)
                    })?;
                }
                Ok(value)
            }
        }

        impl $crate::message::Nullable for $name {
            fn encode_null(
                writer: &mut $crate::message::Writer,
                context: $crate::message::Context,
            ) {
                // Kafka's presence is an int8 in a plain field, and a varint in a tagged one.
                let absent: i8 = if context.tagged { 0 } else { -1 };
                $crate::message::Wire::encode(&absent, writer, context);
            }
            fn encode_present(
                &self,
                writer: &mut $crate::message::Writer,
                context: $crate::message::Context,
            ) {
                $crate::message::Wire::encode(&1i8, writer, context);
                $crate::message::Wire::encode(self, writer, context);
            }
            fn decode_nullable(
                reader: &mut $crate::message::Reader,
                context: $crate::message::Context,
            ) -> Result<Option<Self>, $crate::message::DecodeError> {
                let present = <i8 as $crate::message::Wire>::decode(reader, context)?;
                // Before that was so, −1 was written in tagged fields too.
                if present < 0 || (context.tagged && present == 0) {
                    return Ok(None);
                }
                <Self as $crate::message::Wire>::decode(reader, context).map(Some)
            }
        }
    };
}

/// The fewest bytes that a struct takes in any version: its fields that are in every version.
#[doc(hidden)]
#[must_use]
pub const fn struct_min_bytes(fields: &[(Versions, Option<u32>, usize)]) -> usize {
    let mut index = 0;
    let mut total = 0;
    while index < fields.len() {
        let (versions, tag, bytes) = fields[index];
        if tag.is_none() && versions.min == 0 && versions.max == i16::MAX {
            total += bytes;
        }
        index += 1;
    }
    total
}

/// Collects the tagged fields of one struct; they follow the plain ones, ordered by tag.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct TaggedWriter {
    fields: Vec<(u32, Writer)>,
}

impl TaggedWriter {
    /// Adds a field that differs from its default.
    pub fn field(&mut self, tag: u32, encode: impl FnOnce(&mut Writer)) {
        let mut writer = Writer::new();
        encode(&mut writer);
        self.fields.push((tag, writer));
    }

    /// Writes count, tags, sizes and fields.
    pub fn finish(mut self, writer: &mut Writer) {
        self.fields.sort_by_key(|(tag, _)| *tag);
        writer.uvarint(self.fields.len() as u32);
        for (tag, field) in self.fields {
            writer.uvarint(tag);
            writer.uvarint(field.written() as u32);
            writer.append(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Text;

    crate::message! {
        /// An example with everything in it.
        pub struct Example: 0..=3, flexible 2 {
            /// A name.
            name: Option<Text> [0.., nullable 1..],
            /// Inner structs.
            inner: Vec<Inner> [0..],
            /// Gone after version 2.
            timeout_ms: i32 [0..=2, default 30_000],
            /// Tagged.
            epoch: i32 [3.., tag 0, default -1],
            /// A nullable struct.
            one: Option<Inner> [2.., nullable 2..],
            /// A nullable struct in a tagged field.
            other: Option<Inner> [3.., nullable 3.., tag 1, default Some(Default::default())],
        }
        /// Inner.
        pub struct Inner {
            /// A number.
            number: i64 [0..],
            /// Bytes.
            bytes: bytes::Bytes [1..],
        }
    }

    fn example() -> Example {
        Example {
            name: Some("n".into()),
            inner: vec![Inner { number: 7, bytes: Bytes::from_static(b"xy") }],
            timeout_ms: 5,
            epoch: 9,
            one: Some(Inner::default()),
            other: Some(Inner::default()),
        }
    }

    /// Apache Kafka could not read which members of a group are there: it reads a null struct as a
    /// varint in a tagged field and as an int8 elsewhere.
    #[test]
    fn a_null_struct_in_a_tagged_field_is_a_zero() {
        let nothing = Example {
            inner: vec![],
            timeout_ms: 30_000,
            epoch: -1,
            one: None,
            other: None,
            ..example()
        };
        let bytes = nothing.to_bytes(3).unwrap();
        assert_eq!(bytes[..], [2, b'n', 1, 0xff, 1, 1, 1, 0]);
        assert_eq!(Example::from_bytes(bytes, 3).unwrap(), nothing);
        let older = Bytes::from_static(&[2, b'n', 1, 0xff, 1, 1, 1, 0xff]);
        assert_eq!(Example::from_bytes(older, 3).unwrap(), nothing);
    }

    /// A field would be read in a version that does not have it, or lost in one that does.
    #[test]
    fn every_version_keeps_the_fields_it_has() {
        for version in 0..=3 {
            let read = Example::from_bytes(example().to_bytes(version).unwrap(), version).unwrap();
            assert_eq!(read.name, Some("n".into()));
            assert_eq!(read.inner[0].number, 7);
            assert_eq!(read.inner[0].bytes.is_empty(), version < 1);
            assert_eq!(read.timeout_ms, if version <= 2 { 5 } else { 30_000 });
            assert_eq!(read.epoch, if version >= 3 { 9 } else { -1 });
            assert_eq!(read.one.is_some(), version >= 2);
        }
    }

    /// A null would slip through where the version has none.
    #[test]
    fn null_is_refused_where_the_version_has_none() {
        let message = Example { name: None, ..example() };
        assert_eq!(message.to_bytes(0), Err(EncodeError::NullField("name")));
        assert!(message.to_bytes(1).is_ok());
        let bytes = Bytes::from_static(&[0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Example::from_bytes(bytes, 0), Err(DecodeError::UnexpectedNull));
    }

    /// A declared length would make the broker allocate before it saw the bytes.
    #[test]
    fn declared_lengths_do_not_allocate() {
        let bytes = Bytes::from_static(&[0, 1, b'n', 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(Example::from_bytes(bytes, 0), Err(DecodeError::BadLength));
    }

    /// The bytes themselves would drift from Kafka's.
    #[test]
    fn flexible_bytes_are_as_specified() {
        let message = Example { inner: vec![], one: None, ..example() };
        let bytes = message.to_bytes(3).unwrap();
        assert_eq!(&bytes[..], [2, b'n', 1, 0xff, 1, 0, 4, 0, 0, 0, 9]);
    }
}
