//! The rate limit, in whole microseconds.
//!
//! An admission uses up `1 / rate` of a second, and `rate_at` is the instant up to which time has
//! been used up. Time that nobody used is kept for one second, so in `t` seconds there is `t + 1`
//! seconds of time to use. Costs are rounded up and fractions of an admission stay unused time:
//! no rounding ever admits one too many, and none is lost from step to step.

use concert_domain::Timestamp;

const SECOND: i64 = 1_000_000;

/// How many may be admitted now.
pub(super) fn allowed(rate_at: i64, now: Timestamp, per_second: u32) -> i64 {
    (micros(now) - start(rate_at, now)).max(0) * i64::from(per_second) / SECOND
}

/// Up to when time is used after so many admissions.
pub(super) fn used(rate_at: i64, now: Timestamp, per_second: u32, admitted: i64) -> i64 {
    let per_second = i64::from(per_second);
    let cost = (admitted * SECOND + per_second - 1) / per_second;
    start(rate_at, now) + cost
}

fn start(rate_at: i64, now: Timestamp) -> i64 {
    rate_at.max(micros(now) - SECOND)
}

fn micros(at: Timestamp) -> i64 {
    at.as_millis() * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps every `tick` milliseconds with always somebody waiting: the instants of admissions.
    fn run(per_second: u32, tick: usize, until: i64) -> Vec<(i64, i64)> {
        let mut rate_at = 0;
        let mut admissions = Vec::new();
        for millis in (10_000..=10_000 + until).step_by(tick) {
            let now = Timestamp::from_millis(millis);
            let count = allowed(rate_at, now, per_second);
            if count > 0 {
                rate_at = used(rate_at, now, per_second, count);
                admissions.push((millis, count));
            }
        }
        admissions
    }

    #[test]
    fn no_period_has_more_than_the_rate_and_one_second_of_burst() {
        for rate in [1, 3, 7, 999, 1_001, 1_000_000] {
            for tick in [1, 7, 100, 1_300] {
                let admissions = run(rate, tick, 3_000);
                for (first, (from, _)) in admissions.iter().enumerate() {
                    let mut sum = 0;
                    for (at, count) in &admissions[first..] {
                        sum += count;
                        let most = i64::from(rate) * (at - from + 1_000);
                        assert!(sum * 1_000 <= most, "{rate}/s: {sum} in {} ms", at - from);
                    }
                }
            }
        }
    }

    #[test]
    fn what_the_rate_gives_is_really_admitted() {
        for (rate, tick) in [(1, 100), (3, 10), (7, 1), (50, 100), (1_000_000, 1)] {
            let sum: i64 = run(rate, tick, 20_000).iter().map(|(_, count)| count).sum();
            let least = i64::from(rate) * 21 - 1;
            assert!(sum * 100 >= least * 99, "{rate}/s every {tick} ms: {sum}");
        }
    }

    #[test]
    fn a_slow_rate_admits_on_the_second() {
        let at: Vec<i64> = run(1, 100, 3_000).iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [10_000, 11_000, 12_000, 13_000]);
    }

    #[test]
    fn a_clock_behind_the_used_time_admits_nobody() {
        assert_eq!(allowed(i64::MAX / 4, Timestamp::from_millis(5), 1_000_000), 0);
    }
}
