use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

/// More kinds of refusals than this are counted as one.
const KINDS: usize = 50;

/// What came of the requests of one kind.
#[derive(Debug, Clone)]
pub(in super::super) struct Tally {
    micros: Histogram<u64>,
    /// Answers that were refusals, by status and code.
    pub refused: BTreeMap<String, u64>,
    /// Requests whose connection broke.
    pub broken: u64,
    /// Requests that were due and never sent, since all connections were busy.
    pub missed: u64,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Time of the generator's thread on the processor, of all kinds together.
    pub cpu: Duration,
}

impl Tally {
    pub(in super::super) fn new() -> Result<Self> {
        Ok(Self {
            // Three digits, up to an hour: no call is longer.
            micros: Histogram::new_with_bounds(1, 3_600_000_000, 3)?,
            refused: BTreeMap::new(),
            broken: 0,
            missed: 0,
            took: Duration::ZERO,
            cpu: Duration::ZERO,
        })
    }

    /// Counts one answer; only a good one has a latency.
    pub(in super::super) fn record(&mut self, status: u16, body: &[u8], took: Duration) {
        if (200..400).contains(&status) {
            self.micros.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            return;
        }
        let kind = format!("{status} {}", code_of(body).unwrap_or("without a code"));
        let full = self.refused.len() >= KINDS && !self.refused.contains_key(&kind);
        *self.refused.entry(if full { "others".to_owned() } else { kind }).or_default() += 1;
    }

    /// Adds what another part of the same run counted.
    pub(in super::super) fn add(&mut self, other: &Self) -> Result<()> {
        self.micros.add(&other.micros)?;
        for (kind, count) in &other.refused {
            *self.refused.entry(kind.clone()).or_default() += count;
        }
        self.broken += other.broken;
        self.missed += other.missed;
        self.took = self.took.max(other.took);
        self.cpu += other.cpu;
        Ok(())
    }

    /// How many answers were good.
    pub(in super::super) fn good(&self) -> u64 {
        self.micros.len()
    }

    /// How many answers were refusals.
    pub(in super::super) fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// How many refusals have this status.
    pub(in super::super) fn refused_with(&self, status: u16) -> u64 {
        let status = format!("{status} ");
        let with = self.refused.iter().filter(|(kind, _)| kind.starts_with(&status));
        with.map(|(_, count)| count).sum()
    }

    /// How many requests were sent, answered or not.
    pub(in super::super) fn sent(&self) -> u64 {
        self.good() + self.refusals() + self.broken
    }

    /// Good answers in a second.
    pub(in super::super) fn per_second(&self) -> f64 {
        let seconds = self.took.as_secs_f64();
        if seconds > 0.0 { self.good() as f64 / seconds } else { 0.0 }
    }

    /// The latency below which this share of the good answers lies.
    pub(in super::super) fn millis(&self, quantile: f64) -> f64 {
        self.micros.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// One line about what was not good, for people; empty if all was.
    pub(in super::super) fn faults(&self) -> String {
        let mut parts: Vec<_> =
            self.refused.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
        if self.broken > 0 {
            parts.push(format!("{} x connection broken", self.broken));
        }
        if self.missed > 0 {
            parts.push(format!("{} never sent", self.missed));
        }
        parts.join(", ")
    }
}

/// The code of a problem, found without reading all of it.
fn code_of(body: &[u8]) -> Option<&str> {
    const MARK: &[u8] = b"\"code\":\"";
    let start = body.windows(MARK.len()).position(|part| part == MARK)? + MARK.len();
    let length = body[start..].iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&body[start..start + length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_answers_have_latencies_and_refusals_have_codes() {
        let mut tally = Tally::new().unwrap();
        (1..=100).for_each(|millis| tally.record(200, b"{}", Duration::from_millis(millis)));
        let problem = br#"{"status":409,"code":"SEAT_NOT_AVAILABLE","instance":"/"}"#;
        tally.record(409, problem, Duration::ZERO);
        tally.record(502, b"<html>", Duration::ZERO);
        tally.took = Duration::from_secs(2);
        assert_eq!((tally.good(), tally.refusals(), tally.sent()), (100, 2, 102));
        assert_eq!(tally.per_second(), 50.0);
        assert!((49.0..51.5).contains(&tally.millis(0.5)));
        assert_eq!(tally.faults(), "1 x 409 SEAT_NOT_AVAILABLE, 1 x 502 without a code");
        assert_eq!((tally.refused_with(409), tally.refused_with(40)), (1, 0));
    }

    #[test]
    fn parts_of_a_run_add_up() {
        let mut whole = Tally::new().unwrap();
        for (count, took) in [(3, 2), (5, 1)] {
            let mut part = Tally::new().unwrap();
            (0..count).for_each(|_| part.record(201, b"", Duration::from_millis(1)));
            part.record(503, br#"{"code":"SERVICE_UNAVAILABLE"}"#, Duration::ZERO);
            (part.took, part.missed) = (Duration::from_secs(took), 1);
            whole.add(&part).unwrap();
        }
        assert_eq!((whole.good(), whole.refusals(), whole.missed), (8, 2, 2));
        assert_eq!(whole.took, Duration::from_secs(2));
    }

    #[test]
    fn the_kinds_of_refusals_are_bounded() {
        let mut tally = Tally::new().unwrap();
        for kind in 0..1_000 {
            let problem = format!("{{\"code\":\"K{kind}\"}}");
            tally.record(400, problem.as_bytes(), Duration::ZERO);
        }
        assert!(tally.refused.len() <= KINDS + 1);
        assert_eq!(tally.refusals(), 1_000);
    }
}
