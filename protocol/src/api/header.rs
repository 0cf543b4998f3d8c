//! What stands before every request and response.
//!
//! Frame: `int32` length, header, body. The client id stays a non-compact string in header
//! version 2, so it is not declared as a field of a flexible message but read by hand.

use crate::codec::{Context, DecodeError, Nullable, Reader, Text, Wire, Writer};

/// The header of a request, version 1, or 2 with tagged fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestHeader {
    /// Which API, as the number on the wire; it may be one that does not exist.
    pub api_key: i16,
    /// In which version.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// What the client calls itself; null counts as empty.
    pub client_id: Option<Text>,
}

const PLAIN: Context =
    Context { version: 1, flexible: false, nullable: true, tagged: false, field: "client_id" };

impl RequestHeader {
    /// Appends the header.
    pub fn write(&self, writer: &mut Writer, header_version: i16) {
        self.api_key.encode(writer, PLAIN);
        self.api_version.encode(writer, PLAIN);
        self.correlation_id.encode(writer, PLAIN);
        self.client_id.encode(writer, PLAIN);
        if header_version >= 2 {
            writer.uvarint(0);
        }
    }

    /// Reads a header whose version follows from the API and its version, which stand first.
    ///
    /// An unknown API is read as version 1 and an unknown version of an API as its newest, so that
    /// the caller can still say what was asked.
    ///
    /// # Errors
    /// When the bytes are not a request header.
    pub fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let api_key = i16::decode(reader, PLAIN)?;
        let api_version = i16::decode(reader, PLAIN)?;
        let correlation_id = i32::decode(reader, PLAIN)?;
        let client_id = Text::decode_nullable(reader, PLAIN)?;
        let header_version = super::key::ApiKey::from_number(api_key)
            .map_or(1, |key| key.request_header_version(api_version));
        if header_version >= 2 {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }
}

/// The header of a response, version 0, or 1 with tagged fields.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Appends the header.
    pub fn write(self, writer: &mut Writer, header_version: i16) {
        self.correlation_id.encode(writer, PLAIN);
        if header_version >= 1 {
            writer.uvarint(0);
        }
    }

    /// Reads a header.
    ///
    /// # Errors
    /// When the bytes are not a response header.
    pub fn read(reader: &mut Reader, header_version: i16) -> Result<Self, DecodeError> {
        let correlation_id = i32::decode(reader, PLAIN)?;
        if header_version >= 1 {
            reader.tagged_fields(|_, _| Ok(false))?;
        }
        Ok(Self { correlation_id })
    }
}
