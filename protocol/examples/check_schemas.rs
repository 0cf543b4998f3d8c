//! Compares our declarations with Kafka's own message schemas.
//!
//! `check_schemas DIRECTORY...` reads every `*.json` below the directories, as they lie in Kafka's
//! jars under `common/message` and `common/metadata`, and fails when a message of ours is missing
//! there or differs in versions, flexibility, fields, their order, types, nullability, tags or
//! defaults, or when Kafka has a message that we do not declare.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use milena_protocol::message::Kind;
use milena_protocol::message::{Field, Schema, Shape, Versions};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::{api, consumer_protocol, control_record, coordinator_record};
use serde_json::Value;

/// Messages that are read by hand, or that live only inside one implementation.
const NOT_DECLARED: &[&str] =
    &["RequestHeader", "ResponseHeader", "ControlRecordTypeSchema", "QuorumStateData"];

/// A version that Kafka has begun but not finished: it serves it only to its own developers.
const UNFINISHED: &[(&str, i16)] = &[("InitProducerIdRequest", 6), ("InitProducerIdResponse", 6)];

fn main() -> ExitCode {
    let directories: Vec<String> = std::env::args().skip(1).collect();
    if directories.is_empty() {
        eprintln!("usage: check_schemas DIRECTORY...");
        return ExitCode::FAILURE;
    }
    let mut schemas = BTreeMap::new();
    for directory in &directories {
        read_all(Path::new(directory), &mut schemas);
    }
    let shapes = shapes();
    let mut faults = Vec::new();
    for shape in &shapes {
        match schemas.remove(shape.name()) {
            Some(schema) => compare(shape, &schema, &mut faults),
            None => faults.push(format!("{}: Kafka has no such message", shape.name())),
        }
    }
    for (name, schema) in &schemas {
        if schema["validVersions"] != "none" && !NOT_DECLARED.contains(&name.as_str()) {
            faults.push(format!("{name}: not declared here"));
        }
    }
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    println!("{} messages compared, {} faults", shapes.len(), faults.len());
    if faults.is_empty() && !shapes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn shapes() -> Vec<Shape> {
    let apis = api::ALL.iter().flat_map(|api| [api.request, api.response]);
    let metadata = MetadataRecord::ALL.iter().map(|record| record.1);
    apis.chain(metadata)
        .chain(control_record::ALL.iter().copied())
        .chain(consumer_protocol::ALL.iter().copied())
        .chain(coordinator_record::ALL.iter().copied())
        .chain([Shape::of::<api::envelope::DefaultPrincipalData>()])
        .collect()
}

fn read_all(directory: &Path, schemas: &mut BTreeMap<String, Value>) {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("a directory can be listed").path();
        if path.is_dir() {
            read_all(&path, schemas);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).expect("a schema can be read");
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let schema: Value = serde_json::from_str(&lines.collect::<Vec<_>>().join("\n"))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            // One file is named unlike its message, and some messages unlike their files.
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let name = if stem == "ZkMigrationRecord" { "ZkMigrationStateRecord" } else { stem };
            schemas.insert(name.to_owned(), schema);
        }
    }
}

fn compare(shape: &Shape, schema: &Value, faults: &mut Vec<String>) {
    let name = shape.name();
    let mut valid = versions(&schema["validVersions"]);
    if UNFINISHED.contains(&(name, valid.max)) {
        valid.max -= 1;
    }
    if valid != shape.versions {
        faults.push(format!("{name}: versions {:?}, Kafka {valid:?}", shape.versions));
    }
    let flexible = versions(&schema["flexibleVersions"]).min;
    let ours = shape.flexible_from;
    if ours != flexible {
        faults.push(format!("{name}: flexible from {ours}, Kafka from {flexible}"));
    }
    let compared = Compared { valid, message: schema };
    compared.fields(name, shape.schema, &schema["fields"], faults);
    for version in valid.min..=valid.max {
        compared.default(shape, version, faults);
    }
}

struct Compared<'a> {
    valid: Versions,
    message: &'a Value,
}

impl Compared<'_> {
    /// The versions of a range in which the message exists.
    fn within(&self, range: Versions) -> Option<(i16, i16)> {
        let (min, max) = (range.min.max(self.valid.min), range.max.min(self.valid.max));
        (min <= max).then_some((min, max))
    }

    fn versions(&self, field: &Value) -> Option<(i16, i16)> {
        let own = &field["versions"];
        self.within(versions(if own.is_null() { &field["taggedVersions"] } else { own }))
    }

    fn live_fields<'v>(&self, fields: &'v Value) -> Vec<&'v Value> {
        let fields = fields.as_array().map(Vec::as_slice).unwrap_or_default();
        fields.iter().filter(|field| self.versions(field).is_some()).collect()
    }

    fn fields(&self, path: &str, ours: &Schema, theirs: &Value, faults: &mut Vec<String>) {
        let theirs = self.live_fields(theirs);
        let ours: Vec<&Field> =
            ours.fields.iter().filter(|field| self.within(field.versions).is_some()).collect();
        let names = |names: Vec<String>| names.join(" ");
        let our_names = names(ours.iter().map(|field| plain(field.name)).collect());
        let their_names = names(theirs.iter().map(|field| plain(text(&field["name"]))).collect());
        if our_names != their_names {
            faults.push(format!("{path}: fields {our_names}, Kafka {their_names}"));
            return;
        }
        for (our, their) in ours.iter().zip(theirs) {
            self.field(&format!("{path}.{}", our.name), our, their, faults);
        }
    }

    fn field(&self, path: &str, our: &Field, their: &Value, faults: &mut Vec<String>) {
        let mut differ = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                faults.push(format!("{path}: {what} {ours}, Kafka {theirs}"));
            }
        };
        let range = |range: Option<(i16, i16)>| format!("{range:?}");
        differ("versions", range(self.within(our.versions)), range(self.versions(their)));
        differ(
            "nullable",
            range(self.within(our.nullable).filter(|_| our.nullable != Versions::NONE)),
            range(nullable(self, their)),
        );
        differ(
            "tag",
            format!("{:?}", our.tag.map(u64::from)),
            format!("{:?}", their["tag"].as_u64()),
        );
        let kind = text(&their["type"]);
        match self.struct_fields(their) {
            Some(fields) => match our.kind {
                Kind::Struct(schema) if !kind.starts_with("[]") => {
                    self.fields(path, schema, fields, faults);
                }
                Kind::Array(Kind::Struct(schema)) if kind.starts_with("[]") => {
                    self.fields(path, schema, fields, faults);
                }
                other => faults.push(format!("{path}: {other:?}, Kafka {kind}")),
            },
            None => differ("type", kind_name(our.kind), kind.to_owned()),
        }
    }

    /// The fields of the struct that a field holds, declared in place or beside the message.
    fn struct_fields<'v>(&'v self, field: &'v Value) -> Option<&'v Value> {
        if field["fields"].is_array() {
            return Some(&field["fields"]);
        }
        let name = text(&field["type"]).trim_start_matches("[]");
        let common = self.message["commonStructs"].as_array()?;
        common.iter().find(|other| other["name"] == name).map(|other| &other["fields"])
    }

    /// Compares the bytes of the message with all fields at their defaults.
    fn default(&self, shape: &Shape, version: i16, faults: &mut Vec<String>) {
        let mut expected = Vec::new();
        if !self.write_struct(&self.message["fields"], version, &mut expected) {
            // A field that we leave null by default and that cannot be null in this version.
            return;
        }
        let name = shape.name();
        match shape.default_bytes(version) {
            Ok(bytes) if bytes == expected => {}
            other => faults.push(format!(
                "{name} version {version}: default {other:02x?}, Kafka {expected:02x?}"
            )),
        }
    }

    fn is_flexible(&self, version: i16) -> bool {
        version >= versions(&self.message["flexibleVersions"]).min
    }

    fn write_struct(&self, fields: &Value, version: i16, out: &mut Vec<u8>) -> bool {
        for field in self.live_fields(fields) {
            let (min, max) = self.versions(field).unwrap_or((1, 0));
            let is_written = (min..=max).contains(&version) && field["tag"].is_null();
            if is_written && !self.write_default(field, version, out) {
                return false;
            }
        }
        if self.is_flexible(version) {
            out.push(0);
        }
        true
    }

    fn write_default(&self, field: &Value, version: i16, out: &mut Vec<u8>) -> bool {
        let kind = text(&field["type"]);
        let flexible = self.is_flexible(version);
        let may_be_null =
            nullable(self, field).is_some_and(|(min, max)| (min..=max).contains(&version));
        let is_null_by_default = nullable(self, field).is_some();
        if is_null_by_default && !may_be_null {
            return false;
        }
        let counted = |short: bool, out: &mut Vec<u8>| match (is_null_by_default, flexible, short) {
            (true, true, _) => out.push(0),
            (true, false, true) => out.extend((-1i16).to_be_bytes()),
            (true, false, false) => out.extend((-1i32).to_be_bytes()),
            (false, true, _) => out.push(1),
            (false, false, true) => out.extend(0i16.to_be_bytes()),
            (false, false, false) => out.extend(0i32.to_be_bytes()),
        };
        let number = number(&field["default"]);
        match kind {
            "bool" => out.push(u8::from(number != 0)),
            "int8" => out.extend((number as i8).to_be_bytes()),
            "int16" | "uint16" => out.extend((number as i16).to_be_bytes()),
            "int32" | "uint32" => out.extend((number as i32).to_be_bytes()),
            "int64" => out.extend(number.to_be_bytes()),
            "float64" => out.extend((number as f64).to_be_bytes()),
            "uuid" => out.extend([0; 16]),
            "string" => counted(true, out),
            "bytes" | "records" => counted(false, out),
            array if array.starts_with("[]") => counted(false, out),
            _ if is_null_by_default => out.push(0xff),
            _ => {
                let fields = self.struct_fields(field).expect("a struct has fields");
                return self.write_struct(fields, version, out);
            }
        }
        true
    }
}

fn nullable(compared: &Compared, field: &Value) -> Option<(i16, i16)> {
    if field["nullableVersions"].is_null() {
        return None;
    }
    compared.within(versions(&field["nullableVersions"]))
}

fn number(default: &Value) -> i64 {
    match default {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        Value::Bool(value) => i64::from(*value),
        Value::String(text) if text == "true" => 1,
        Value::String(text) => match text.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).unwrap_or_default(),
            None => text.parse().unwrap_or_default(),
        },
        _ => 0,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A name without case and underscores; two names that are Rust's own words are spelled out.
fn plain(name: &str) -> String {
    match name {
        "match_value" => "match".into(),
        "principal_type" => "type".into(),
        "PrincipalType" => "type".into(),
        _ => name.replace('_', "").to_lowercase(),
    }
}

fn kind_name(kind: Kind) -> String {
    match kind {
        Kind::Bool => "bool".into(),
        Kind::Int8 => "int8".into(),
        Kind::Int16 => "int16".into(),
        Kind::Uint16 => "uint16".into(),
        Kind::Int32 => "int32".into(),
        Kind::Uint32 => "uint32".into(),
        Kind::Int64 => "int64".into(),
        Kind::Float64 => "float64".into(),
        Kind::Uuid => "uuid".into(),
        Kind::String => "string".into(),
        Kind::Bytes => "bytes".into(),
        Kind::Records => "records".into(),
        Kind::Array(item) => format!("[]{}", kind_name(*item)),
        Kind::Struct(schema) => schema.name.into(),
    }
}

fn versions(text: &Value) -> Versions {
    let text = text.as_str().unwrap_or("none");
    let parse = |number: &str| number.parse().expect("a version is a number");
    if text == "none" {
        Versions { min: i16::MAX, max: i16::MIN }
    } else if let Some(min) = text.strip_suffix('+') {
        Versions { min: parse(min), max: i16::MAX }
    } else if let Some((min, max)) = text.split_once('-') {
        Versions { min: parse(min), max: parse(max) }
    } else {
        Versions { min: parse(text), max: parse(text) }
    }
}
