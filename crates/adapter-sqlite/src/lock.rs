use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::lock::{Lock, Locked};
use concert_domain::{Clock, Result, Timestamp};

/// Locks of one process, in memory. Losing them loses nothing: they only shield the store.
pub struct MemoryLock {
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<String, Lease>>,
}

struct Lease {
    owner: String,
    until: Timestamp,
}

/// When so many names are held, those whose lease is over are dropped first.
const SWEEP_FROM: usize = 10_000;

impl MemoryLock {
    /// Nothing is held.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Lock for MemoryLock {
    async fn acquire(&self, name: &str, owner: &str, lease: Duration) -> Result<Locked> {
        let now = self.clock.now();
        let mut held = self.held();
        if let Some(other) = held.get(name).filter(|lease| lease.until > now) {
            return Ok(Locked::HeldBy(other.owner.clone()));
        }
        if held.len() >= SWEEP_FROM {
            held.retain(|_, lease| lease.until > now);
        }
        let lease = Lease { owner: owner.to_owned(), until: now.plus(lease) };
        held.insert(name.to_owned(), lease);
        Ok(Locked::Acquired)
    }

    async fn renew(&self, name: &str, owner: &str, lease: Duration) -> Result<bool> {
        let now = self.clock.now();
        let mut held = self.held();
        let own = held.get_mut(name).filter(|held| held.owner == owner && held.until > now);
        Ok(own.map(|own| own.until = now.plus(lease)).is_some())
    }

    async fn keep(&self, name: &str, owner: &str, lease: Duration) {
        loop {
            tokio::time::sleep(lease / 3).await;
            if self.renew(name, owner, lease).await == Ok(false) {
                return;
            }
        }
    }

    async fn release(&self, name: &str, owner: &str) -> Result<()> {
        let mut held = self.held();
        if held.get(name).is_some_and(|lease| lease.owner == owner) {
            held.remove(name);
        }
        Ok(())
    }
}
