use std::time::Duration;

use crate::Timestamp;

/// Over about how long the pace is averaged.
const MEMORY: Duration = Duration::from_secs(60);

/// How fast a queue has been admitting: an exponential average over about a minute, which falls
/// while nobody is admitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    per_second: f64,
    at: Timestamp,
}

impl Pace {
    /// A queue that has admitted nobody.
    pub const NONE: Self = Self { per_second: 0.0, at: Timestamp::MIN };

    /// From what a store kept; a number that is no rate counts as none.
    pub fn new(per_second: f64, at: Timestamp) -> Self {
        let per_second = if per_second.is_finite() { per_second.max(0.0) } else { 0.0 };
        Self { per_second, at }
    }

    /// Admissions a second at the instant of [`Pace::at`].
    pub fn per_second(self) -> f64 {
        self.per_second
    }

    /// When the average was last brought up to date.
    pub fn at(self) -> Timestamp {
        self.at
    }

    /// The average after so many admissions at once (0: only time has passed).
    #[must_use]
    pub fn after(self, now: Timestamp, admitted: u64) -> Self {
        let memory = MEMORY.as_secs_f64();
        let faded = self.per_second * (-now.since(self.at).as_secs_f64() / memory).exp();
        Self { per_second: faded + admitted as f64 / memory, at: now.max(self.at) }
    }

    /// How long the given place will wait at this pace, at most `at_most`.
    pub fn wait_for(self, rank: u64, at_most: Duration) -> Duration {
        let seconds = rank as f64 / self.per_second;
        if seconds < at_most.as_secs_f64() { Duration::from_secs_f64(seconds) } else { at_most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Timestamp {
        Timestamp::MIN.plus(Duration::from_secs(n))
    }

    #[test]
    fn a_steady_flow_is_seen_as_it_is() {
        let pace = (1..=600).fold(Pace::NONE, |pace, n| pace.after(second(n), 10));
        assert!((9.0..11.0).contains(&pace.per_second()), "{pace:?}");
        let wait = pace.wait_for(100, Duration::from_secs(3_600)).as_secs();
        assert!((9..=11).contains(&wait), "{wait}");
    }

    #[test]
    fn a_standstill_makes_the_wait_longer_up_to_the_bound() {
        let bound = Duration::from_secs(3_600);
        let moving = Pace::NONE.after(second(1), 60);
        let stopped = moving.after(second(120), 0);
        assert!(stopped.wait_for(10, bound) > moving.wait_for(10, bound));
        assert_eq!(Pace::NONE.wait_for(1, bound), bound);
        assert_eq!(Pace::new(f64::NAN, second(1)).wait_for(1, bound), bound);
    }
}
