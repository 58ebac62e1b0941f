//! Ports that count what goes through them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::cache::{Cache, Generation, Lookup};
use concert_domain::lock::{Lock, Locked};

/// A lock whose tries are counted: how often the shield turned somebody away.
pub struct MeteredLock(pub Arc<dyn Lock>);

#[async_trait]
impl Lock for MeteredLock {
    async fn acquire(&self, name: &str, owner: &str, lease: Duration) -> Result<Locked> {
        let locked = self.0.acquire(name, owner, lease).await;
        let result = match &locked {
            Ok(Locked::Acquired) => "acquired",
            Ok(Locked::HeldBy(_)) => "held",
            Err(_) => "error",
        };
        metrics::counter!("concert_lock_attempts_total", "result" => result).increment(1);
        locked
    }

    async fn renew(&self, name: &str, owner: &str, lease: Duration) -> Result<bool> {
        self.0.renew(name, owner, lease).await
    }

    async fn keep(&self, name: &str, owner: &str, lease: Duration) {
        self.0.keep(name, owner, lease).await;
    }

    async fn release(&self, name: &str, owner: &str) -> Result<()> {
        self.0.release(name, owner).await
    }
}

/// A cache whose look-ups are counted under the name of its tier.
pub struct MeteredCache {
    /// `process`, `redis` or `store`.
    pub tier: &'static str,
    /// The cache itself.
    pub cache: Arc<dyn Cache>,
}

#[async_trait]
impl Cache for MeteredCache {
    async fn get(&self, name: &str) -> Result<Lookup> {
        let found = self.cache.get(name).await;
        let result = match &found {
            Ok(Lookup { value: Some(_), .. }) => "hit",
            Ok(_) => "miss",
            Err(_) => "error",
        };
        let labels = [("tier", self.tier), ("result", result)];
        metrics::counter!("concert_cache_lookups_total", &labels).increment(1);
        found
    }

    async fn put(
        &self,
        name: &str,
        noted: Generation,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<bool> {
        self.cache.put(name, noted, value, ttl).await
    }

    async fn bump(&self, names: &[String]) -> Result<()> {
        self.cache.bump(names).await
    }
}
