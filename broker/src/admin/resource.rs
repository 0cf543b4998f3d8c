//! What all resources have in common in Confluent's form.

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
    data: Vec<T>,
}

impl<T> List<T> {
    /// A list at an address.
    pub fn new(kind: &'static str, itself: String, data: Vec<T>) -> Self {
        Self { kind, metadata: ListMetadata { itself, next: None }, data }
    }
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
