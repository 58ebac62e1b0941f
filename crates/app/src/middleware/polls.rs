use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who polls so many times as often as it was told to polls far too early.
const TOLERATED: u64 = 10;
/// So many polls may come at once.
const BURST: u64 = 20;
const SHARDS: usize = 16;
/// The most pollers that are remembered; a newcomer beyond it is let pass.
const MOST: usize = 262_144;

/// When each poller of this process may ask again. Times are milliseconds since the start.
pub(super) struct Polls {
    started: Instant,
    shards: [Mutex<HashMap<u64, Poller>>; SHARDS],
}

struct Poller {
    /// When what has been asked so far would be over at the tolerated pace.
    due: u64,
    pace: u64,
}

impl Polls {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// How long this poller must wait, if it is far too early.
    pub(super) fn early(&self, poller: u64) -> Option<Duration> {
        early(self.shard(poller).get(&poller)?, self.now())
    }

    /// Notes a poll, and when the next one was asked for.
    pub(super) fn told(&self, poller: u64, poll_after: Duration) {
        let (now, pace) = (self.now(), poll_after.as_millis() as u64 / TOLERATED);
        let mut shard = self.shard(poller);
        if shard.len() >= MOST / SHARDS && !shard.contains_key(&poller) {
            return;
        }
        let known = shard.entry(poller).or_insert(Poller { due: now, pace });
        *known = Poller { due: known.due.max(now) + pace, pace };
    }

    /// Forgets those who may ask as they like.
    pub(super) fn upkeep(&self) {
        let now = self.now();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, poller| poller.due > now);
        }
    }

    fn shard(&self, poller: u64) -> MutexGuard<'_, HashMap<u64, Poller>> {
        self.shards[poller as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

fn early(poller: &Poller, now: u64) -> Option<Duration> {
    let ahead = poller.due.saturating_sub(now + BURST * poller.pace);
    (ahead > 0).then(|| Duration::from_millis(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_polls_as_told_never_waits_and_who_hammers_does() {
        let poller = |due| Poller { due, pace: 100 };
        assert_eq!(early(&poller(0), 5), None);
        assert_eq!(early(&poller(2_000), 0), None);
        assert_eq!(early(&poller(2_100), 0), Some(Duration::from_millis(100)));

        let polls = Polls::new();
        for _ in 0..=BURST {
            polls.told(7, Duration::from_secs(3_600));
        }
        assert!(polls.early(7).is_some());
        assert_eq!(polls.early(8), None);
        polls.told(8, Duration::ZERO);
        polls.upkeep();
        assert_eq!(polls.shard(8).len(), 0);
        assert!(polls.early(7).is_some());
    }
}
