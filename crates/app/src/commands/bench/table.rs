use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// How long calls of one kind took, and how many failed.
pub(super) struct Times {
    micros: Histogram<u64>,
    pub(super) errors: u64,
}

impl Times {
    pub(super) fn new() -> Result<Self> {
        // Three digits, up to an hour: no call is longer.
        Ok(Self { micros: Histogram::new_with_bounds(1, 3_600_000_000, 3)?, errors: 0 })
    }

    pub(super) fn record(&mut self, took: Duration) {
        self.micros.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.micros.add(&other.micros)?;
        self.errors += other.errors;
        Ok(())
    }

    pub(super) fn count(&self) -> u64 {
        self.micros.len()
    }

    pub(super) fn millis(&self, quantile: f64) -> f64 {
        self.micros.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// One line of a table of calls.
pub(super) struct Row {
    pub what: &'static str,
    pub times: Times,
    /// For how long calls of this kind were made.
    pub during: Duration,
}

impl Row {
    fn per_second(&self) -> f64 {
        self.times.count() as f64 / self.during.as_secs_f64()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "what": self.what,
            "count": self.times.count(),
            "perSecond": self.per_second(),
            "p50Millis": self.times.millis(0.50),
            "p99Millis": self.times.millis(0.99),
            "errors": self.times.errors,
        })
    }
}

/// The rows for people.
pub(super) fn render(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<14} {:>10} {:>12} {:>10} {:>10} {:>8}",
        "", "count", "per second", "p50 ms", "p99 ms", "errors"
    );
    for row in rows {
        let times = &row.times;
        text.push_str(&format!(
            "\n{:<14} {:>10} {:>12.0} {:>10.3} {:>10.3} {:>8}",
            row.what,
            times.count(),
            row.per_second(),
            times.millis(0.50),
            times.millis(0.99),
            times.errors
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_quantiles_come_from_the_records() {
        let mut times = Times::new().unwrap();
        (1..=100).for_each(|millis| times.record(Duration::from_millis(millis)));
        let row = Row { what: "call", times, during: Duration::from_secs(2) };
        let json = row.json();
        assert_eq!((&json["count"], &json["perSecond"]), (&json!(100), &json!(50.0)));
        assert!((49.0..51.5).contains(&json["p50Millis"].as_f64().unwrap()));
        assert!(render(&[row]).contains("call"));
    }
}
