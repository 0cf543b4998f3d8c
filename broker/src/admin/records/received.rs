//! Records as clients send them: JSON around a key and a value, each with the way it is written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::admin::error::Failure;

/// How the bytes of a key or a value are written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Format {
    /// Any bytes, as base64.
    Binary,
    /// JSON, whose text is the bytes, as it is sent.
    Json,
    /// Text, whose UTF-8 is the bytes.
    String,
}

/// A record to be produced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRecord {
    /// Where it goes; without it the key's hash decides, and without a key any will do.
    pub partition_id: Option<i32>,
    /// Its headers, in their order.
    pub headers: Option<Vec<NewHeader>>,
    /// Its key; without one it has none.
    pub key: Option<Data>,
    /// Its value; without one it has none, which a compacted topic takes for a deletion.
    pub value: Option<Data>,
    /// When it happened (RFC 3339); without it now.
    #[schema(format = DateTime)]
    pub timestamp: Option<String>,
}

/// A header of a record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHeader {
    /// Its name.
    pub name: String,
    /// Its bytes, as base64.
    #[schema(format = Byte)]
    value: Option<String>,
}

/// A key or a value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// How it is written.
    #[serde(rename = "type")]
    #[schema(value_type = Format)]
    format: Option<String>,
    /// What it is; null and nothing stand for no key or no value.
    #[schema(value_type = Value, required = false)]
    data: Option<Box<RawValue>>,
    #[schema(ignore)]
    subject: Option<IgnoredAny>,
    #[schema(ignore)]
    subject_name_strategy: Option<IgnoredAny>,
    #[schema(ignore)]
    schema_id: Option<IgnoredAny>,
    #[schema(ignore)]
    schema_version: Option<IgnoredAny>,
    #[schema(ignore)]
    schema: Option<IgnoredAny>,
}

/// A key or a value in bytes, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// How it was written.
    pub format: Format,
    /// Its bytes, if it has any.
    pub bytes: Option<Vec<u8>>,
}

impl NewHeader {
    /// Its bytes.
    ///
    /// # Errors
    /// 400 when they are not base64.
    pub fn bytes(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.value.as_deref().map(decode).transpose()
    }
}

impl Data {
    fn format(&self) -> Result<Format, Failure> {
        let schema = [
            &self.subject,
            &self.subject_name_strategy,
            &self.schema_id,
            &self.schema_version,
            &self.schema,
        ];
        if schema.into_iter().any(Option::is_some) {
            return Err(Failure::unprocessable(NO_REGISTRY));
        }
        match self.format.as_deref() {
            Some("BINARY") => Ok(Format::Binary),
            Some("JSON") => Ok(Format::Json),
            Some("STRING") => Ok(Format::String),
            // Without a type Confluent asks the registry for the latest schema.
            None | Some("AVRO" | "JSONSCHEMA" | "PROTOBUF") => {
                Err(Failure::unprocessable(NO_REGISTRY))
            }
            Some(other) => Err(Failure::bad_request(format!(
                "there is no type {other}; BINARY, JSON and STRING are served"
            ))),
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// 400 when the data is not written as its type says, 422 when it needs a schema.
    pub fn payload(&self) -> Result<Payload, Failure> {
        let format = self.format()?;
        let Some(data) = self.data.as_deref().map(RawValue::get) else {
            return Ok(Payload { format, bytes: None });
        };
        let bytes = match format {
            Format::Json => data.as_bytes().to_vec(),
            Format::Binary => decode(&text(data)?)?,
            _ => text(data)?.into_bytes(),
        };
        Ok(Payload { format, bytes: Some(bytes) })
    }
}

const NO_REGISTRY: &str =
    "schemas are not served: give a type, one of BINARY, JSON and STRING, and no schema";

fn text(data: &str) -> Result<String, Failure> {
    serde_json::from_str(data).map_err(|_| {
        Failure::bad_request("data of the types BINARY and STRING must be a JSON string")
    })
}

fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    BASE64.decode(text).map_err(|error| Failure::bad_request(format!("not base64: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(json: &str) -> Result<Payload, u32> {
        let data: Data = serde_json::from_str(json).expect("data");
        data.payload().map_err(|failure| failure.into_body().error_code)
    }

    /// A value would be stored as other bytes than its sender meant.
    #[test]
    fn data_becomes_the_bytes_that_its_type_means() {
        let cases: [(&str, &[u8]); 6] = [
            (r#"{"type":"STRING","data":"naïve\n"}"#, "naïve\n".as_bytes()),
            (r#"{"type":"STRING","data":""}"#, b""),
            (r#"{"type":"BINARY","data":"AP8="}"#, &[0, 255]),
            (r#"{"type":"JSON","data":{"b":1,"a":1.50}}"#, br#"{"b":1,"a":1.50}"#),
            (r#"{"type":"JSON","data":"text"}"#, br#""text""#),
            (r#"{"type":"JSON","data":12345678901234567890123}"#, b"12345678901234567890123"),
        ];
        for (json, bytes) in cases {
            assert_eq!(payload(json).unwrap().bytes.as_deref(), Some(bytes), "{json}");
        }
        assert_eq!(payload(r#"{"type":"STRING","data":null}"#).unwrap().bytes, None);
        assert_eq!(payload(r#"{"type":"BINARY"}"#).unwrap().bytes, None);
    }

    /// A value would be stored that its reader cannot take for what it is.
    #[test]
    fn data_that_is_not_what_it_says_is_refused() {
        assert_eq!(payload(r#"{"type":"BINARY","data":"%"}"#), Err(400));
        assert_eq!(payload(r#"{"type":"BINARY","data":1}"#), Err(400));
        assert_eq!(payload(r#"{"type":"STRING","data":{}}"#), Err(400));
        assert_eq!(payload(r#"{"data":1}"#), Err(422));
        assert_eq!(payload(r#"{"type":"AVRO","data":1}"#), Err(422));
        assert_eq!(payload(r#"{"type":"JSON","schema_id":1,"data":1}"#), Err(422));
    }
}
