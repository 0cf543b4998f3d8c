//! What a measurement found.

use std::io::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::meter::Meter;
use super::usage::Usage;
use crate::cli::output::{CliError, shown_bytes, shown_count, write_json};
use crate::cli::table::Table;

/// The percentiles that are told.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// What was measured.
#[derive(Debug)]
pub struct Report {
    /// What was counted: records or requests.
    what: &'static str,
    /// What the waits are.
    wait: &'static str,
    count: u64,
    bytes: u64,
    failed: u64,
    elapsed: Duration,
    waits: Histogram<u64>,
    broker: Option<BrokerUsage>,
}

/// What the broker's process needed.
#[derive(Clone, Copy, Debug)]
struct BrokerUsage {
    cpu_seconds: f64,
    rss_bytes: u64,
}

impl Report {
    /// What a meter has counted between two looks at the broker's process.
    pub fn new(
        (what, wait): (&'static str, &'static str),
        meter: &Meter,
        elapsed: Duration,
        (before, after): (Option<Usage>, Option<Usage>),
    ) -> Self {
        let broker = before.zip(after).map(|(before, after)| BrokerUsage {
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            rss_bytes: after.rss_bytes,
        });
        Self {
            what,
            wait,
            count: meter.count(),
            bytes: meter.bytes(),
            failed: meter.failures(),
            elapsed,
            waits: meter.waits(),
            broker,
        }
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn cpu_us_each(&self, broker: &BrokerUsage) -> f64 {
        broker.cpu_seconds * 1e6 / self.count.max(1) as f64
    }

    fn cpu_seconds_per_gib(&self, broker: &BrokerUsage) -> f64 {
        broker.cpu_seconds * f64::from(1 << 30) / self.bytes.max(1) as f64
    }

    /// For people.
    pub fn write(&self, out: &mut impl Write) -> Result<(), CliError> {
        let rate = shown_count(self.per_second(self.count) as i64);
        let bytes = shown_bytes(self.per_second(self.bytes) as i64);
        writeln!(
            out,
            "{} {} in {:.2} s: {rate}/s, {bytes}/s",
            shown_count(self.count as i64),
            self.what,
            self.elapsed.as_secs_f64()
        )?;
        if self.failed > 0 {
            writeln!(out, "{} failed", shown_count(self.failed as i64))?;
        }
        if !self.waits.is_empty() {
            let mut table = Table::new(&[self.wait, ">ms"]);
            for (name, quantile) in QUANTILES {
                let ms = self.waits.value_at_quantile(quantile) as f64 / 1e3;
                table.row([name.to_owned(), format!("{ms:.3}")]);
            }
            table.row(["max".to_owned(), format!("{:.3}", self.waits.max() as f64 / 1e3)]);
            writeln!(out)?;
            table.write("", out)?;
        }
        if let Some(broker) = &self.broker {
            writeln!(out)?;
            writeln!(
                out,
                "broker: {:.2} CPU-s, {:.1} µs for one of the {}, {:.2} CPU-s/GiB, {} resident",
                broker.cpu_seconds,
                self.cpu_us_each(broker),
                self.what,
                self.cpu_seconds_per_gib(broker),
                shown_bytes(broker.rss_bytes as i64)
            )?;
        }
        Ok(())
    }

    /// For machines.
    pub fn write_json(&self, out: &mut impl Write) -> Result<(), CliError> {
        let mut told = json!({
            "counted": self.what,
            "count": self.count,
            "bytes": self.bytes,
            "failed": self.failed,
            "seconds": self.elapsed.as_secs_f64(),
            "per_second": self.per_second(self.count),
            "bytes_per_second": self.per_second(self.bytes),
        });
        if !self.waits.is_empty() {
            let us = |quantile| json!(self.waits.value_at_quantile(quantile));
            let mut waits: serde_json::Map<String, Value> = QUANTILES
                .iter()
                .map(|(name, quantile)| (name.to_string(), us(*quantile)))
                .collect();
            waits.insert("max".to_owned(), json!(self.waits.max()));
            waits.insert("mean".to_owned(), json!(self.waits.mean()));
            told["latency_us"] = Value::Object(waits);
        }
        if let Some(broker) = &self.broker {
            told["broker"] = json!({
                "cpu_seconds": broker.cpu_seconds,
                "cpu_us_each": self.cpu_us_each(broker),
                "cpu_seconds_per_gib": self.cpu_seconds_per_gib(broker),
                "rss_bytes": broker.rss_bytes,
            });
        }
        Ok(write_json(&told, out)?)
    }
}
