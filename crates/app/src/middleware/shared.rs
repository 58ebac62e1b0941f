use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use concert_domain::budget::{Budgets, Quota};

/// One part in so many of a budget may be used in a process before the others are asked.
const LOTS: u32 = 10;
/// So many names are counted at a time; what comes beyond asks at every request.
const MOST: usize = 100_000;

/// Budgets of all instances together.
///
/// A process asks for a lot when it has used one, and for nothing before: who comes once or twice
/// costs no round trip. So `n` instances grant at most `n` lots more than the budget. Who was
/// refused is refused here until the time that was told; a store that does not answer grants, and
/// the budgets of the process hold.
pub(super) struct Shared {
    budgets: Arc<dyn Budgets>,
    used: Mutex<HashMap<String, Used>>,
}

struct Used {
    units: u32,
    last: Instant,
    /// Nothing is left before.
    dry_until: Option<Instant>,
    /// After so long without use the bucket is full, and this may be forgotten.
    full_after: Duration,
}

impl Shared {
    pub(super) fn new(budgets: Arc<dyn Budgets>) -> Self {
        Self { budgets, used: Mutex::default() }
    }

    /// Takes one unit; how long to wait if there is none.
    pub(super) async fn take(&self, name: &str, quota: Quota) -> Option<Duration> {
        let lot = match self.use_one(name, quota) {
            Ok(0) => return None,
            Ok(lot) => lot,
            Err(wait) => return Some(wait),
        };
        let wait = match self.budgets.take(name, lot, quota).await {
            Ok(wait) => wait?,
            Err(error) => {
                tracing::debug!(%error, "budgets are counted by each process alone");
                return None;
            }
        };
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = all.get_mut(name) {
            used.dry_until = Some(Instant::now() + wait);
        }
        Some(wait)
    }

    /// Counts one more unit; answers how many the others are to be told of now.
    fn use_one(&self, name: &str, quota: Quota) -> Result<u32, Duration> {
        let (now, lot) = (Instant::now(), (quota.burst / LOTS).max(1));
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(name) {
            if all.len() >= MOST {
                return Ok(1);
            }
            let full_after = quota.refill * quota.burst;
            let unused = Used { units: 0, last: now, dry_until: None, full_after };
            all.insert(name.to_owned(), unused);
        }
        let Some(used) = all.get_mut(name) else { return Ok(1) };
        used.last = now;
        if let Some(wait) = used.dry_until.and_then(|until| until.checked_duration_since(now)) {
            return Err(wait);
        }
        used.units += 1;
        if used.units < lot {
            return Ok(0);
        }
        used.units = 0;
        Ok(lot)
    }

    /// Forgets who has not come for so long that its bucket is full.
    pub(super) fn upkeep(&self) {
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, used| used.last.elapsed() < used.full_after);
        all.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use concert_domain::{Error, Result};

    use super::*;

    /// Has so many units, and counts how often it is asked.
    #[derive(Default)]
    struct Store {
        left: AtomicU32,
        asked: AtomicU32,
        down: bool,
    }

    #[async_trait]
    impl Budgets for Store {
        async fn take(&self, _: &str, units: u32, quota: Quota) -> Result<Option<Duration>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.down {
                return Err(Error::unavailable("the store"));
            }
            let less = |left: u32| left.checked_sub(units);
            let took = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
            Ok(took.err().map(|_| quota.refill))
        }
    }

    const QUOTA: Quota = Quota { burst: 100, refill: Duration::from_secs(3_600) };

    async fn granted(shared: &Shared, calls: u32) -> u32 {
        let mut granted = 0;
        for _ in 0..calls {
            granted += u32::from(shared.take("a", QUOTA).await.is_none());
        }
        granted
    }

    #[tokio::test]
    async fn instances_together_grant_the_budget_and_at_most_a_lot_each() {
        let store = Arc::new(Store { left: 100.into(), ..Store::default() });
        let (one, two) = (Shared::new(store.clone()), Shared::new(store.clone()));
        let mut sum = 0;
        for _ in 0..300 {
            sum += granted(&one, 1).await + granted(&two, 1).await;
        }
        assert!((100..=100 + 2 * 9).contains(&sum), "{sum}");
        let asked = store.asked.load(Ordering::SeqCst);
        assert!(asked <= 12, "who is refused asks nobody: {asked}");
    }

    #[tokio::test]
    async fn who_comes_seldom_costs_no_round_trip() {
        let store = Arc::new(Store::default());
        assert_eq!(granted(&Shared::new(store.clone()), 9).await, 9);
        assert_eq!(store.asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_grants() {
        let shared = Shared::new(Arc::new(Store { down: true, ..Store::default() }));
        assert_eq!(granted(&shared, 300).await, 300);
    }

    #[tokio::test]
    async fn what_is_full_again_is_forgotten() {
        let shared = Shared::new(Arc::new(Store::default()));
        let soon = Quota { burst: 20, refill: Duration::from_nanos(1) };
        shared.take("soon", soon).await;
        shared.take("late", QUOTA).await;
        while shared.used.lock().unwrap()["soon"].last.elapsed() < soon.refill * soon.burst {
            tokio::task::yield_now().await;
        }
        shared.upkeep();
        let used = shared.used.lock().unwrap();
        assert!(used.contains_key("late") && !used.contains_key("soon"));
    }
}
