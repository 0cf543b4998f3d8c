//! Who asks, and whether they may.
//!
//! Every request carries a principal. There is one place that decides, [`Authorizer`]; without
//! access control lists it lets everyone do everything, as Kafka does without an authorizer.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use milena_protocol::api::envelope::DefaultPrincipalData;
use milena_protocol::codec::{Reader, Writer};
use milena_protocol::message::Message;

/// The version in which principals are written.
const PRINCIPAL_VERSION: i16 = 0;

/// Whoever a connection speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `User` for everybody today.
    pub kind: Arc<str>,
    /// `ANONYMOUS` on a listener without authentication.
    pub name: Arc<str>,
}

impl Principal {
    /// The principal of a connection that did not authenticate.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { kind: "User".into(), name: "ANONYMOUS".into() }
    }

    /// The principal as brokers write it for one another: a version in two bytes, and the
    /// structure of that version.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let data = DefaultPrincipalData {
            principal_type: (&*self.kind).into(),
            name: (&*self.name).into(),
            token_authenticated: false,
        };
        let mut writer = Writer::new();
        data.write(&mut writer, PRINCIPAL_VERSION);
        let body = writer.into_bytes().unwrap_or_default();
        let mut bytes = BytesMut::from(&PRINCIPAL_VERSION.to_be_bytes()[..]);
        bytes.extend_from_slice(&body);
        bytes.freeze()
    }

    /// The principal that another broker wrote; nothing where it is none.
    #[must_use]
    pub fn from_bytes(bytes: &Bytes) -> Option<Self> {
        let mut bytes = bytes.clone();
        if bytes.len() < 2 || bytes.get_i16() != PRINCIPAL_VERSION {
            return None;
        }
        let data = DefaultPrincipalData::read(&mut Reader::new(bytes), PRINCIPAL_VERSION).ok()?;
        Some(Self { kind: data.principal_type.as_str().into(), name: data.name.as_str().into() })
    }
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the operations are Kafka's own")]
pub enum Operation {
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    ClusterAction,
    DescribeConfigs,
    AlterConfigs,
    IdempotentWrite,
}

/// What a request wants to do it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The whole cluster.
    Cluster,
    /// A topic by name.
    Topic(&'a str),
    /// A consumer group.
    Group(&'a str),
    /// A transactional id.
    TransactionalId(&'a str),
}

/// The one place that decides.
#[derive(Debug, Default)]
pub struct Authorizer;

impl Authorizer {
    /// Whether the principal may do the operation to the resource.
    #[must_use]
    pub fn allows(&self, _: &Principal, _: Operation, _: Resource<'_>) -> bool {
        true
    }

    /// What the principal may do to a topic, as the bits of `authorizedOperations` (KIP-430).
    #[must_use]
    pub fn topic_operations(&self, _: &Principal) -> i32 {
        bits(&[3, 4, 5, 6, 7, 8, 10, 11])
    }

    /// What the principal may do to a group, as bits.
    #[must_use]
    pub fn group_operations(&self, _: &Principal) -> i32 {
        bits(&[3, 6, 8, 10, 11])
    }

    /// What the principal may do to the cluster, as bits.
    #[must_use]
    pub fn cluster_operations(&self, _: &Principal) -> i32 {
        bits(&[5, 7, 8, 9, 10, 11, 12])
    }
}

fn bits(operations: &[u32]) -> i32 {
    operations.iter().fold(0, |bits, operation| bits | 1 << operation)
}
