//! Feature levels: what a cluster has agreed to use (KIP-584, KIP-1022).
//!
//! A level is raised only by request, so that a cluster can go back to the version before. A new
//! cluster starts with the levels of [`SUPPORTED`] that are marked as started.

use milena_protocol::error_code::ErrorCode;
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::metadata_record::FeatureLevelRecord;

use super::{Controller, Decision, Refused};

/// The feature that says which metadata records may be written.
pub const METADATA_VERSION: &str = "metadata.version";

/// A feature that this version knows.
#[derive(Clone, Copy, Debug)]
pub struct Supported {
    /// Its name.
    pub name: &'static str,
    /// The lowest level it can run at.
    pub min_level: i16,
    /// The highest level it can run at.
    pub max_level: i16,
    /// The level of a new cluster.
    pub initial_level: i16,
}

/// What this version can run.
pub const SUPPORTED: &[Supported] = &[
    Supported {
        name: "eligible.leader.replicas.version",
        min_level: 0,
        max_level: 1,
        initial_level: 0,
    },
    Supported { name: "group.version", min_level: 0, max_level: 1, initial_level: 1 },
    Supported { name: "kraft.version", min_level: 0, max_level: 1, initial_level: 0 },
    Supported { name: METADATA_VERSION, min_level: 7, max_level: 30, initial_level: 30 },
    Supported { name: "transaction.version", min_level: 0, max_level: 2, initial_level: 2 },
];

/// A change of one feature's level.
#[derive(Clone, Debug)]
pub struct FeatureUpdate {
    /// The feature.
    pub name: String,
    /// The level wanted; 0 switches it off.
    pub level: i16,
    /// 1 upgrade only, 2 safe downgrade, 3 any downgrade.
    pub upgrade_type: i8,
}

/// The records that begin a new cluster.
#[must_use]
pub fn bootstrap() -> Vec<MetadataRecord> {
    let mut features: Vec<&Supported> =
        SUPPORTED.iter().filter(|feature| feature.initial_level > 0).collect();
    // Kafka's readers want the metadata version first.
    features.sort_by_key(|feature| (feature.name != METADATA_VERSION, feature.name));
    features
        .into_iter()
        .map(|feature| {
            MetadataRecord::FeatureLevel(FeatureLevelRecord {
                name: feature.name.into(),
                feature_level: feature.initial_level,
            })
        })
        .collect()
}

impl Controller {
    /// Changes feature levels: all of them, or none where one is refused.
    #[must_use]
    pub fn update_features(
        &self,
        updates: &[FeatureUpdate],
        validate_only: bool,
    ) -> Decision<Vec<(String, Result<(), Refused>)>> {
        let results: Vec<(String, Result<(), Refused>)> =
            updates.iter().map(|update| (update.name.clone(), self.check_update(update))).collect();
        let refused = results.iter().any(|(_, result)| result.is_err());
        let records = if refused || validate_only {
            Vec::new()
        } else {
            updates
                .iter()
                .filter(|update| self.image.feature(&update.name) != update.level)
                .map(|update| {
                    MetadataRecord::FeatureLevel(FeatureLevelRecord {
                        name: update.name.as_str().into(),
                        feature_level: update.level,
                    })
                })
                .collect()
        };
        Decision { records, answer: results }
    }

    fn check_update(&self, update: &FeatureUpdate) -> Result<(), Refused> {
        let invalid =
            |message: String| Err(Refused::new(ErrorCode::INVALID_UPDATE_VERSION, message));
        let Some(feature) = SUPPORTED.iter().find(|feature| feature.name == update.name) else {
            return invalid(format!(
                "the feature {} does not exist; this broker knows {}",
                update.name,
                SUPPORTED.iter().map(|f| f.name).collect::<Vec<_>>().join(", ")
            ));
        };
        let current = self.image.feature(&update.name);
        if !matches!(update.upgrade_type, 1..=3) {
            return Err(Refused::new(
                ErrorCode::INVALID_UPDATE_VERSION,
                "the controller does not support the given upgrade type",
            ));
        }
        if update.level < 0 {
            return invalid("a feature level cannot be negative".into());
        }
        let in_range = (feature.min_level..=feature.max_level).contains(&update.level);
        let switches_off = update.level == 0 && feature.min_level == 0;
        if !in_range && !switches_off {
            return invalid(format!(
                "{} can be at levels {} to {}, not at {}",
                update.name, feature.min_level, feature.max_level, update.level
            ));
        }
        if update.level < current && update.upgrade_type == 1 {
            return invalid(format!(
                "{} is at level {current}; going back to {} needs a downgrade",
                update.name, update.level
            ));
        }
        Ok(())
    }
}
