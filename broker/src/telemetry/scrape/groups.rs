//! How far groups are, under the names of `kafka_exporter`; it has none for lags in seconds.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::{EncodeGaugeValue, EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::MetricType;

use super::{Page, Scrape};
use crate::telemetry::state::{GroupPartitionState, GroupState};

impl Scrape {
    pub(super) fn groups(&self, page: &mut Page<'_>) -> fmt::Result {
        let state = &self.state.groups;
        let of_groups = |page: &mut Page<'_>| {
            let name = "kafka_consumergroup_members";
            let rows = state.groups.iter().map(|group| (Labels::of(group), group.members));
            page.rows(name, "Members of a group", rows)?;
            let name = "kafka_consumergroup_max_lag_seconds";
            let help = "Greatest age of the oldest record that a group has not read";
            let rows = state.groups.iter().filter_map(|group| {
                let seconds = group.partitions.iter().filter_map(|one| one.lag_seconds);
                Some((Labels::of(group), seconds.reduce(f64::max)?))
            });
            page.rows(name, help, rows)
        };
        of_groups(page)?;
        self.sums_of_groups(page)?;
        self.partitions_of_groups(page)?;
        for (name, help, value) in [
            ("rows", "Groups and their partitions not told one by one", state.rows_left_out),
            (
                "coordinators",
                "Coordinators that did not answer in time",
                state.coordinators_left_out,
            ),
            ("lag_seconds", "Lags whose seconds are not known", state.ages_left_out),
        ] {
            page.gauge(&format!("milena_consumergroup_{name}_left_out"), help, value)?;
        }
        Ok(())
    }

    fn sums_of_groups(&self, page: &mut Page<'_>) -> fmt::Result {
        type Figure = fn(&GroupPartitionState) -> i64;
        let families: [(&str, &str, Figure); 2] = [
            ("current_offset_sum", "Next offsets of a group in a topic", |one| {
                one.current_offset.0
            }),
            ("lag_sum", "Offsets that a group has not read in a topic", |one| one.lag),
        ];
        for (name, help, figure) in families {
            let rows = self.state.groups.groups.iter().flat_map(|group| {
                let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
                for one in &group.partitions {
                    let sum = sums.entry(&one.topic).or_default();
                    *sum = sum.saturating_add(figure(one));
                }
                sums.into_iter().map(|(topic, sum)| (Labels::of(group).topic(topic), sum))
            });
            page.rows(&format!("kafka_consumergroup_{name}"), help, rows)?;
        }
        Ok(())
    }

    fn partitions_of_groups(&self, page: &mut Page<'_>) -> fmt::Result {
        let partitions = || {
            self.state.groups.groups.iter().flat_map(|group| {
                let labels = |one| Labels::of(group).partition(one);
                group.partitions.iter().map(move |one| (labels(one), one))
            })
        };
        page.rows(
            "kafka_consumergroup_current_offset",
            "The offset that a group reads next",
            partitions().map(|(labels, one)| (labels, one.current_offset.0)),
        )?;
        page.rows(
            "kafka_consumergroup_lag",
            "Offsets up to the high watermark that a group has not read",
            partitions().map(|(labels, one)| (labels, one.lag)),
        )?;
        page.rows(
            "kafka_consumergroup_lag_seconds",
            "Age of the oldest record that a group has not read, by its timestamp",
            partitions().filter_map(|(labels, one)| Some((labels, one.lag_seconds?))),
        )
    }
}

impl Page<'_> {
    /// A family of gauges.
    fn rows<'l>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (Labels<'l>, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Gauge)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// What a row is about.
#[derive(Clone, Copy, Debug)]
struct Labels<'a> {
    group: &'a str,
    topic: Option<&'a str>,
    partition: Option<i32>,
}

impl<'a> Labels<'a> {
    fn of(group: &'a GroupState) -> Self {
        Self { group: &group.group, topic: None, partition: None }
    }

    fn topic(self, topic: &'a str) -> Self {
        Self { topic: Some(topic), ..self }
    }

    fn partition(self, one: &'a GroupPartitionState) -> Self {
        Self { partition: Some(one.partition.0), ..self.topic(&one.topic) }
    }
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        ("consumergroup", self.group).encode(encoder.encode_label())?;
        if let Some(topic) = self.topic {
            ("topic", topic).encode(encoder.encode_label())?;
        }
        if let Some(partition) = self.partition {
            ("partition", partition).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}
