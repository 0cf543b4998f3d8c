//! Feature levels: what a cluster has agreed to use (KIP-584, KIP-1022).
//!
//! A level is raised only by request, so that a cluster can go back to the version before. A new
//! cluster starts with the levels of [`SUPPORTED`] that are marked as started.

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::metadata_record::{ConfigRecord, FeatureLevelRecord, MetadataRecord};

use super::machine::{Controller, Decision, Refused};
use crate::configs::Values;
use crate::metadata::image::ConfigResource;

/// The feature that keeps count of eligible leaders outside of the ISR (KIP-966).
pub const ELIGIBLE_LEADERS: &str = "eligible.leader.replicas.version";

/// The feature that says which metadata records may be written.
pub use crate::metadata::image::METADATA_VERSION;

/// The level of the quorum's own protocol.
pub const KRAFT_VERSION: &str = "kraft.version";
/// What a topic's records are acknowledged by; fixed for all brokers where leaders are eligible.
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

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
    Supported { name: ELIGIBLE_LEADERS, min_level: 0, max_level: 1, initial_level: 1 },
    Supported { name: "group.version", min_level: 0, max_level: 1, initial_level: 1 },
    Supported { name: KRAFT_VERSION, min_level: 0, max_level: 1, initial_level: 0 },
    Supported { name: METADATA_VERSION, min_level: 7, max_level: 30, initial_level: 30 },
    Supported { name: "transaction.version", min_level: 0, max_level: 2, initial_level: 2 },
];

/// A feature with the lowest and highest level that a process can run it at.
pub type FeatureRange = (Text, i16, i16);

/// What this version can run, as a process says it when it registers.
#[must_use]
pub fn ranges() -> Vec<FeatureRange> {
    let range = |it: &Supported| (Text::from_static(it.name), it.min_level, it.max_level);
    SUPPORTED.iter().map(range).collect()
}

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

/// The records that begin a new cluster, as Apache Kafka's controller writes them: the level of
/// each feature, and what must hold at it. `static_values` are those of the node that leads.
#[must_use]
pub fn bootstrap(static_values: &Values) -> Vec<MetadataRecord> {
    let mut features: Vec<&Supported> =
        SUPPORTED.iter().filter(|feature| feature.initial_level > 0).collect();
    // Kafka's readers want the metadata version first.
    features.sort_by_key(|feature| (feature.name != METADATA_VERSION, feature.name));
    let level = |feature: &Supported| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: feature.name.into(),
            feature_level: feature.initial_level,
        })
    };
    let minimum = min_insync_record(Text::default(), Some(min_insync(static_values)));
    features.into_iter().map(level).chain([minimum]).collect()
}

/// What a node's file says of the minimum of replicas in sync, or Kafka's default.
fn min_insync(static_values: &Values) -> Text {
    static_values.get(MIN_INSYNC_REPLICAS).map_or("1", String::as_str).into()
}

/// The minimum of replicas in sync of a broker, or of all with an empty name.
fn min_insync_record(resource_name: Text, value: Option<Text>) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord {
        resource_type: ConfigResource::BROKER,
        resource_name,
        name: MIN_INSYNC_REPLICAS.into(),
        value,
    })
}

impl Controller {
    /// The records that begin a new cluster which this node is the first to lead.
    #[must_use]
    pub fn bootstrap(&self) -> Vec<MetadataRecord> {
        bootstrap(&self.static_values)
    }

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
            let changed =
                |update: &&FeatureUpdate| self.image.feature(&update.name) != update.level;
            updates.iter().filter(changed).flat_map(|update| self.level_records(update)).collect()
        };
        Decision { records, answer: results }
    }

    /// The level itself, and what must hold at it: eligible leaders need one minimum of replicas
    /// in sync for all brokers (KIP-966).
    fn level_records(&self, update: &FeatureUpdate) -> Vec<MetadataRecord> {
        let mut records = vec![MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: update.name.as_str().into(),
            feature_level: update.level,
        })];
        if update.name != ELIGIBLE_LEADERS || update.level == 0 {
            return records;
        }
        let all = ConfigResource::broker(Text::default());
        for (resource, entries) in self.image.configs() {
            let is_one_broker = resource.kind == ConfigResource::BROKER && *resource != all;
            if is_one_broker && entries.contains_key(MIN_INSYNC_REPLICAS) {
                records.push(min_insync_record(resource.name.clone(), None));
            }
        }
        if self.image.config_entry(all.kind, &all.name, MIN_INSYNC_REPLICAS).is_none() {
            records.push(min_insync_record(all.name, Some(min_insync(&self.static_values))));
        }
        records
    }

    fn check_update(&self, update: &FeatureUpdate) -> Result<(), Refused> {
        if update.name == KRAFT_VERSION {
            return refuse(format!("{KRAFT_VERSION} is the quorum's to change"));
        }
        check_level(update, self.image.feature(&update.name))?;
        self.check_brokers(update)
    }

    /// Every registered broker must be able to run at the level (fact D20).
    fn check_brokers(&self, update: &FeatureUpdate) -> Result<(), Refused> {
        let unable = self.image.brokers().find(|broker| {
            let (min, max) = broker.features.get(update.name.as_str()).copied().unwrap_or((0, 0));
            update.level != 0 && !(min..=max).contains(&update.level)
        });
        match unable {
            None => Ok(()),
            Some(broker) => Err(Refused::new(
                ErrorCode::INVALID_UPDATE_VERSION,
                format!("broker {} cannot run {} at {}", broker.id, update.name, update.level),
            )),
        }
    }
}

/// Whether the quorum may take its own level from the one that holds to the one that is asked for:
/// true where that changes anything. The level stands in the quorum's own records, so it is not
/// among those that [`Controller::update_features`] changes.
///
/// # Errors
/// When it cannot be that level: once the voters stand in the log, there is no way back (KIP-853).
pub fn check_kraft_version(update: &FeatureUpdate, current: i16) -> Result<bool, Refused> {
    if update.level < current {
        let message = format!("{KRAFT_VERSION} cannot go back from {current} to {}", update.level);
        return Err(Refused::new(ErrorCode::INVALID_UPDATE_VERSION, message));
    }
    check_level(update, current).map(|()| update.level != current)
}

fn refuse(message: String) -> Result<(), Refused> {
    Err(Refused::new(ErrorCode::INVALID_UPDATE_VERSION, message))
}

/// Whether a feature can be at a level, and the request says that it wants to go there.
fn check_level(update: &FeatureUpdate, current: i16) -> Result<(), Refused> {
    let Some(feature) = SUPPORTED.iter().find(|feature| feature.name == update.name) else {
        return refuse(format!(
            "the feature {} does not exist; this broker knows {}",
            update.name,
            SUPPORTED.iter().map(|f| f.name).collect::<Vec<_>>().join(", ")
        ));
    };
    let Some(direction) = Direction::from_number(update.upgrade_type) else {
        return refuse("the controller does not support the given upgrade type".into());
    };
    if update.level < 0 {
        return refuse("a feature level cannot be negative".into());
    }
    if !(feature.min_level..=feature.max_level).contains(&update.level) {
        return refuse(format!(
            "{} can be at levels {} to {}, not at {}",
            update.name, feature.min_level, feature.max_level, update.level
        ));
    }
    check_direction(update, current, direction)
}

/// The request must say that it wants to go back, and only then may it.
fn check_direction(
    update: &FeatureUpdate,
    current: i16,
    direction: Direction,
) -> Result<(), Refused> {
    let FeatureUpdate { name, level, .. } = update;
    match direction {
        Direction::Upgrade if *level < current => {
            refuse(format!("{name} is at level {current}; going back to {level} needs a downgrade"))
        }
        Direction::SafeDowngrade | Direction::UnsafeDowngrade if *level > current => {
            refuse(format!("{name} is at level {current}; level {level} is an upgrade"))
        }
        // Records of the newer level may be in the log already, which the older cannot write.
        Direction::SafeDowngrade if name == METADATA_VERSION && *level < current => {
            refuse(format!("{name} cannot go from {current} to {level} without losing metadata"))
        }
        Direction::UnsafeDowngrade if name == METADATA_VERSION && *level < current => {
            refuse(format!("an unsafe downgrade of {name} is not supported"))
        }
        _ => Ok(()),
    }
}

/// Which way a level may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl Direction {
    fn from_number(number: i8) -> Option<Self> {
        match number {
            1 => Some(Self::Upgrade),
            2 => Some(Self::SafeDowngrade),
            3 => Some(Self::UnsafeDowngrade),
            _ => None,
        }
    }
}
