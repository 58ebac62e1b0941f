use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::lock::{Lock, Locked};
use concert_domain::{Clock, Result, Timestamp};

/// Locks of one process, in memory. Losing them loses nothing: they only shield the store.
pub struct MemoryLock {
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    leases: HashMap<String, Lease>,
    /// How many there were after the last sweep.
    swept: usize,
}

struct Lease {
    owner: String,
    until: Timestamp,
}

/// When so many names are held, and twice as many as after the last time, those whose lease is
/// over are dropped.
const SWEEP_FROM: usize = 10_000;

impl MemoryLock {
    /// Nothing is held.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Lock for MemoryLock {
    async fn acquire(&self, name: &str, owner: &str, lease: Duration) -> Result<Locked> {
        let now = self.clock.now();
        let mut held = self.held();
        if let Some(other) = held.leases.get(name).filter(|lease| lease.until > now) {
            return Ok(Locked::HeldBy(other.owner.clone()));
        }
        if held.leases.len() >= SWEEP_FROM.max(2 * held.swept) {
            held.leases.retain(|_, lease| lease.until > now);
            held.swept = held.leases.len();
        }
        let lease = Lease { owner: owner.to_owned(), until: now.plus(lease) };
        held.leases.insert(name.to_owned(), lease);
        Ok(Locked::Acquired)
    }

    async fn renew(&self, name: &str, owner: &str, lease: Duration) -> Result<bool> {
        let now = self.clock.now();
        let mut held = self.held();
        let own = held.leases.get_mut(name).filter(|held| held.owner == owner && held.until > now);
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
        if held.leases.get(name).is_some_and(|lease| lease.owner == owner) {
            held.leases.remove(name);
        }
        Ok(())
    }

    async fn holder(&self, name: &str) -> Result<Option<String>> {
        let (now, held) = (self.clock.now(), self.held());
        let lease = held.leases.get(name).filter(|lease| lease.until > now);
        Ok(lease.map(|lease| lease.owner.clone()))
    }

    async fn clear(&self, name: &str) -> Result<()> {
        self.held().leases.remove(name);
        Ok(())
    }
}
