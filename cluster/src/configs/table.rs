//! The declarations as tables, sorted by name, made from rows at compile time.

use super::declaration::{Check, Declaration, Kind, Scope};
use super::row::{InheritingRow, Row};
use super::{broker_keys_a_to_m, broker_keys_n_to_z, group_keys, topic_keys};

const A_TO_M: &[Row] = broker_keys_a_to_m::ROWS;
const N_TO_Z: &[Row] = broker_keys_n_to_z::ROWS;

/// Every configuration of a broker or controller that may stand in its file.
pub const BROKER: &[Declaration] = &{
    let mut all = [declared(A_TO_M[0]); A_TO_M.len() + N_TO_Z.len()];
    let mut at = 0;
    while at < all.len() {
        let row = if at < A_TO_M.len() { A_TO_M[at] } else { N_TO_Z[at - A_TO_M.len()] };
        all[at] = declared(row);
        at += 1;
    }
    all
};

/// Configurations of brokers that exist only as dynamic overrides.
pub const DYNAMIC_ONLY: &[Declaration] = &[
    rate("follower.replication.throttled.rate", "Bytes a second for throttled followers."),
    rate("leader.replication.throttled.rate", "Bytes a second for throttled leaders."),
    rate(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        "Bytes a second that moving replicas between directories may take.",
    ),
];

/// Every configuration of a topic.
pub const TOPIC: &[Declaration] = &inheriting::<{ topic_keys::ROWS.len() }>(topic_keys::ROWS);

/// Every configuration of a group.
pub const GROUP: &[Declaration] = &inheriting::<{ group_keys::ROWS.len() }>(group_keys::ROWS);

const fn declared((scope, kind, name, default, check, doc): Row) -> Declaration {
    Declaration { name, kind, default, check, scope, broker_synonym: None, doc }
}

const fn rate(name: &'static str, doc: &'static str) -> Declaration {
    let unlimited = Some("9223372036854775807");
    declared((Scope::Cluster, Kind::Long, name, unlimited, Check::AtLeast(0.0), doc))
}

const fn inheriting<const N: usize>(rows: &[InheritingRow]) -> [Declaration; N] {
    let (scope, kind, name, default, check, _, doc) = rows[0];
    let mut all = [declared((scope, kind, name, default, check, doc)); N];
    let mut at = 0;
    while at < N {
        let (scope, kind, name, default, check, synonym, doc) = rows[at];
        all[at] = declared((scope, kind, name, default, check, doc));
        if !synonym.is_empty() {
            all[at].broker_synonym = Some(synonym);
        }
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key would not be found, or be listed to clients in another number than Kafka lists.
    #[test]
    fn tables_are_sorted_and_whole() {
        for table in [BROKER, DYNAMIC_ONLY, TOPIC, GROUP] {
            assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        let shown = |table: &[Declaration]| {
            table.iter().filter(|declaration| declaration.scope != Scope::Internal).count()
        };
        assert_eq!((shown(BROKER), shown(TOPIC), shown(GROUP)), (340, 33, 17));
    }

    /// A default would be refused when somebody sets it.
    #[test]
    fn defaults_are_legal() {
        for declaration in [BROKER, DYNAMIC_ONLY, TOPIC, GROUP].into_iter().flatten() {
            if let Some(default) = declaration.default {
                let checked = declaration.check_value(default);
                // An empty list is how Kafka says that nothing was set.
                assert!(checked.is_ok() || default.is_empty(), "{checked:?}");
            }
        }
    }

    /// A topic would inherit from a key that does not exist, or from one of another type.
    #[test]
    fn synonyms_exist() {
        for declaration in [TOPIC, GROUP].into_iter().flatten() {
            if let Some(name) = declaration.broker_synonym {
                let synonym = BROKER.iter().find(|other| other.name == name);
                assert_eq!(synonym.map(|other| other.kind), Some(declaration.kind), "{name}");
            }
        }
    }
}
