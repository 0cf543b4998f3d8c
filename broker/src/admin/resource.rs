//! What all resources have in common in Confluent's form.

use std::convert::Infallible;
use std::future::ready;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, StreamExt, once};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;

/// Where a resource is and what it is called.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResourceMetadata {
    /// Its address.
    #[serde(rename = "self")]
    itself: String,
    /// Its name across clusters.
    resource_name: String,
}

/// Where a list is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListMetadata {
    /// Its address.
    #[serde(rename = "self")]
    itself: String,
    /// The next page; null, for lists come whole.
    next: Option<String>,
}

/// Another resource.
#[derive(Debug, Serialize, ToSchema)]
pub struct Relationship {
    /// Its address.
    related: String,
}

/// A list of resources.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// What it is a list of.
    kind: &'static str,
    metadata: ListMetadata,
    // Last, for a list may be written while it grows.
    data: Vec<T>,
}

impl<T> List<T> {
    /// A list at an address.
    pub fn new(kind: &'static str, itself: String, data: Vec<T>) -> Self {
        Self { kind, metadata: ListMetadata { itself, next: None }, data }
    }
}

impl<T: Serialize + 'static> List<T> {
    /// Writes the list while its parts are made, so that its length costs no memory.
    pub fn written(self, parts: impl Stream<Item = Vec<T>> + Send + 'static) -> Response {
        // Its own data is written first, with room for more behind it.
        let whole = json(&self);
        let head = whole.strip_suffix("]}").unwrap_or(&whole).to_owned();
        let mut is_first = self.data.is_empty();
        let parts = parts.map(move |part| {
            let mut text = String::new();
            for item in &part {
                text.push_str(if std::mem::take(&mut is_first) { "" } else { "," });
                text.push_str(&json(item));
            }
            text
        });
        let pieces = once(ready(head)).chain(parts).chain(once(ready("]}".to_owned())));
        let body = Body::from_stream(pieces.map(Ok::<_, Infallible>));
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// A name as one segment of a path: what has a meaning there, or is no ASCII, is written as `%2F`.
#[must_use]
pub fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                segment.push(char::from(byte));
            }
            other => segment.push_str(&format!("%{other:02X}")),
        }
    }
    segment
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data can be written")
}

impl Call {
    /// The metadata of a resource: its path below the cluster, and its name there.
    #[must_use]
    pub fn resource(&self, path: &str, name: &str) -> ResourceMetadata {
        ResourceMetadata { itself: self.url(path), resource_name: self.name(name) }
    }

    /// A link to a path below the cluster.
    #[must_use]
    pub fn link(&self, path: &str) -> Relationship {
        Relationship { related: self.url(path) }
    }

    /// A list at a path below the cluster.
    #[must_use]
    pub fn list<T>(&self, kind: &'static str, path: &str, data: Vec<T>) -> List<T> {
        List::new(kind, self.url(path), data)
    }
}
