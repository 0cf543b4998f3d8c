//! How far all groups are, for a scrape. Whoever scrapes gets what can be had in a bounded time and
//! a bounded number of rows, and is told how much was left out.
//!
//! Coordinators are loaded where they are not, and asked for a page at a time, so that nobody else
//! waits for long. Ages of lags are looked up in the log as long as there is time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena_cluster::group::{Answer, Page, Position, Progress, Request};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use tokio::sync::Semaphore;

use super::ranges::{Place, Ranges};
use crate::blocking;
use crate::broker::Broker;
use crate::lag::{Committed, Isolation, Lag};
use crate::telemetry::state::{GroupPartitionState, GroupState, GroupsState};

/// Offsets, and groups without any, that are told one by one.
const MAX_ROWS: usize = 10_000;
/// Bytes of the names in them. A name may have 32 KiB and stands in several figures of a row.
const MAX_NAME_BYTES: usize = 2 << 20;
/// Rows that a coordinator is asked for at once.
const PAGE_ROWS: usize = 500;
/// How long coordinators may take to be loaded and to answer, all together.
const ASKING_TIME: Duration = Duration::from_secs(1);
/// How long the leaders of partitions that are not here may take.
const LEADERS_TIME: Duration = Duration::from_secs(1);
/// How long looking up ages may take.
const AGEING_TIME: Duration = Duration::from_millis(500);
/// Scrapes that look into logs at once.
static MEASURING: Semaphore = Semaphore::const_new(1);

/// Rows that are told.
#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Progress>,
    name_bytes: usize,
}

impl Rows {
    /// Takes as much of a page as there is room for; answers how many rows it leaves out.
    fn take(&mut self, page: Vec<Progress>) -> usize {
        let mut left_out = 0;
        for row in page {
            let topic = row.committed.as_ref().map_or(0, |committed| committed.topic.len());
            let bytes = row.group.len() + topic;
            if self.name_bytes + bytes > MAX_NAME_BYTES {
                left_out += 1;
                continue;
            }
            self.name_bytes += bytes;
            self.rows.push(row);
        }
        left_out
    }
}

/// All groups that this broker coordinates, as of now.
pub(super) async fn groups(broker: &Arc<Broker>) -> GroupsState {
    let deadline = tokio::time::Instant::now() + ASKING_TIME;
    // It goes on when nobody waits for it any more, so that the next scrape finds what this one
    // did not.
    let asked = Arc::clone(broker);
    let loading = tokio::spawn(async move { asked.groups.all().await.missing });
    if let Ok(Ok(Some(code))) = tokio::time::timeout_at(deadline, loading).await {
        tracing::debug!(%code, "a coordinator cannot be loaded for a scrape");
    }
    let shards = broker.groups.loaded();
    let mut state = GroupsState {
        coordinators_left_out: led(broker).saturating_sub(shards.len()),
        ..GroupsState::default()
    };
    let mut rows = Rows::default();
    for shard in &shards {
        let asking = async {
            let mut behind = None;
            loop {
                let max_rows = PAGE_ROWS.min(MAX_ROWS.saturating_sub(rows.rows.len()));
                let asked = Request::Progress { behind, max_rows };
                let Answer::Progress(Page { rows: page, left }) = shard.ask(asked).await? else {
                    return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
                };
                behind = page.last().cloned();
                state.rows_left_out += rows.take(page);
                if left == 0 || behind.is_none() {
                    return Ok(left);
                }
            }
        };
        match tokio::time::timeout_at(deadline, asking).await {
            Ok(Ok(left)) => state.rows_left_out += left,
            Ok(Err(_)) | Err(_) => state.coordinators_left_out += 1,
        }
    }
    let places = elsewhere(broker, &rows.rows);
    let asking = Ranges::ask(broker, places, Isolation::ReadUncommitted);
    let ranges = tokio::time::timeout(LEADERS_TIME, asking).await.unwrap_or_default();
    let Ok(turn) = MEASURING.acquire().await else { return state };
    let broker = Arc::clone(broker);
    let measured = blocking::spawn(move || {
        // It goes on when nobody waits for it any more.
        let _turn = turn;
        measure((&broker, &ranges), rows.rows, &mut state);
        state
    });
    measured.await.unwrap_or_default()
}

/// Coordinators that this broker should have.
fn led(broker: &Broker) -> usize {
    let image = broker.metadata.image();
    let topic = image.topic(broker.groups.topic());
    let partitions = topic.into_iter().flat_map(|topic| topic.partitions());
    partitions.filter(|(_, partition)| partition.leader == broker.node_id).count()
}

/// The partitions in rows that this broker has no replica of.
fn elsewhere(broker: &Broker, rows: &[Progress]) -> BTreeSet<Place> {
    let image = broker.metadata.image_owned();
    let committed = rows.iter().filter_map(|row| row.committed.as_ref().map(committed));
    let there = committed.filter(|one| one.is_there(&image) && one.find(broker).is_none());
    there.map(|one| (one.topic, one.partition)).collect()
}

fn committed(position: &Position) -> Committed {
    Committed {
        topic: position.topic.clone(),
        topic_id: position.topic_id,
        partition: position.partition,
        offset: position.offset,
    }
}

/// Puts rows together by group, with the lag of each. Blocks.
fn measure((broker, ranges): (&Broker, &Ranges), rows: Vec<Progress>, state: &mut GroupsState) {
    let image = broker.metadata.image_owned();
    let until = Instant::now() + AGEING_TIME;
    let mut groups: BTreeMap<Text, GroupState> = BTreeMap::new();
    for row in rows {
        let group = groups.entry(row.group.clone()).or_insert_with(|| GroupState {
            group: row.group.to_string(),
            ..GroupState::default()
        });
        group.members = row.members;
        let Some(committed) = row.committed.as_ref().map(committed) else { continue };
        if !committed.is_there(&image) {
            continue;
        }
        let Some(one) = partition_state((broker, ranges), committed, until) else {
            state.rows_left_out += 1;
            continue;
        };
        state.ages_left_out += usize::from(one.lag_seconds.is_none());
        group.partitions.push(one);
    }
    state.groups = groups.into_values().collect();
}

/// A partition of a group, as its log or its leader tells; the latter knows no ages.
fn partition_state(
    (broker, ranges): (&Broker, &Ranges),
    committed: Committed,
    until: Instant,
) -> Option<GroupPartitionState> {
    let partition = committed.find(broker);
    let place = (committed.topic, committed.partition);
    let lag = match &partition {
        Some(partition) => Lag::of(partition, committed.offset, Isolation::ReadUncommitted),
        None => ranges.lag(&place, committed.offset)?,
    };
    let age = match partition {
        _ if lag.offsets() == 0 => Some(Duration::ZERO),
        Some(partition) if Instant::now() < until => {
            lag.age(&partition, broker.clock.now()).ok().flatten()
        }
        _ => None,
    };
    Some(GroupPartitionState {
        topic: place.0.to_string(),
        partition: place.1,
        current_offset: committed.offset,
        lag: lag.offsets(),
        lag_seconds: age.map(|age| age.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::{Offset, PartitionIndex, Uuid};

    use super::*;

    fn row(group: &str) -> Progress {
        let committed = Position {
            topic: "topic".into(),
            topic_id: Uuid::ZERO,
            partition: PartitionIndex(0),
            offset: Offset(0),
        };
        Progress { group: group.into(), members: 0, committed: Some(committed) }
    }

    /// Long names would make a page of gigabytes.
    #[test]
    fn long_names_leave_others_their_place() {
        let mut rows = Rows::default();
        let long = "x".repeat(32_000);
        let left_out = rows.take(vec![row(&long); 100]);
        assert!(left_out > 0 && left_out < 100, "{left_out}");
        assert!(rows.name_bytes <= MAX_NAME_BYTES);
        assert_eq!(rows.take(vec![row("g")]), 0, "a short one has room");
    }
}
