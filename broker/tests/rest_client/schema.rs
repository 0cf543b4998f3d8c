//! As much of JSON Schema as the document uses, to hold answers against it.

use serde_json::Value;

/// What is wrong with a value, by where it stands in it.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "", &mut faults);
    faults
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        let target = document.pointer(pointer).expect("a reference that leads somewhere");
        check(document, target, value, at, faults);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(document, part, value, at, faults);
    }
    if let Some(cases) = schema["oneOf"].as_array() {
        let fits = |case: &&Value| self::faults(document, case, value).is_empty();
        let count = cases.iter().filter(fits).count();
        if count != 1 {
            faults.push(format!("{at} is {count} of {} cases", cases.len()));
        }
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    if !types.is_empty() && !types.iter().any(|kind| is_a(kind.as_str(), value)) {
        faults.push(format!("{at} is {value}, not {types:?}"));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        faults.push(format!("{at} is {value}, none of {}", schema["enum"]));
    }
    for item in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], item, &format!("{at}[]"), faults);
    }
    check_fields(document, schema, value, at, faults);
}

fn check_fields(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
    faults: &mut Vec<String>,
) {
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            faults.push(format!("{at}.{name} is missing"));
        }
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, field) in fields {
        if let Some(property) = properties.get(name) {
            check(document, property, field, &format!("{at}.{name}"), faults);
        }
    }
}

fn is_a(kind: Option<&str>, value: &Value) -> bool {
    match kind {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        _ => false,
    }
}
