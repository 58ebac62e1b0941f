//! Bumps that could not be made. Until they are, this process takes no copy of these names.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::Redis;

/// So many names are kept at the most; what is more is left to the time to live.
const MOST: usize = 100_000;
/// So many are tried at once.
const BATCH: usize = 100;
/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(crate) struct Owed {
    /// By name how often it came to be owed.
    names: Mutex<BTreeMap<String, u64>>,
    /// Spares the look into the set while nothing is owed.
    any: AtomicBool,
}

/// A bump under way. Dropped unpaid, it is owed.
pub(super) struct Debt<'a> {
    redis: &'a Redis,
    names: &'a [String],
    paid: bool,
}

impl Debt<'_> {
    pub fn paid(mut self) {
        self.paid = true;
    }
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        if !self.paid {
            self.redis.owed.add(self.redis, self.names);
        }
    }
}

impl Owed {
    pub(super) fn debt<'a>(&self, redis: &'a Redis, names: &'a [String]) -> Debt<'a> {
        Debt { redis, names, paid: false }
    }

    /// Whether a change of this name has not been announced.
    pub fn has(&self, name: &str) -> bool {
        self.any.load(Ordering::SeqCst) && self.names().contains_key(name)
    }

    /// Who finds nothing owed before starts the task that pays.
    fn add(&self, redis: &Redis, names: &[String]) {
        let mut owed = self.names();
        let first = owed.is_empty();
        for name in names {
            if owed.len() < MOST || owed.contains_key(name) {
                *owed.entry(name.clone()).or_default() += 1;
            }
        }
        if first && !owed.is_empty() {
            self.any.store(true, Ordering::SeqCst);
            let paying = redis.clone();
            redis.on_runtime(async move { paying.pay().await });
        }
    }

    fn some(&self) -> Vec<(String, u64)> {
        self.names().iter().take(BATCH).map(|(name, times)| (name.clone(), *times)).collect()
    }

    /// Forgets what was paid and has not come to be owed again since; answers whether nothing is
    /// left.
    fn forgive(&self, paid: &[(String, u64)]) -> bool {
        let mut owed = self.names();
        for (name, times) in paid {
            if owed.get(name) == Some(times) {
                owed.remove(name);
            }
        }
        if owed.is_empty() {
            self.any.store(false, Ordering::SeqCst);
        }
        owed.is_empty()
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Redis {
    /// Tries again and again. A name that is bumped once too often costs one read of the store.
    async fn pay(self) {
        let (owed, near) = (Arc::clone(&self.owed), Arc::clone(&self.near));
        loop {
            let some = owed.some();
            let names: Vec<_> = some.iter().map(|(name, _)| name.clone()).collect();
            if self.bump_now(&names).await.is_ok() {
                near.forget(&names);
                if owed.forgive(&some) {
                    return;
                }
            } else {
                sleep(PAUSE).await;
            }
        }
    }
}
