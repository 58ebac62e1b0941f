//! Ports that count what goes through them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::cache::{Cache, Generation, Lookup, Value};
use concert_domain::lock::{Lock, Locked, Turn};

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

    async fn holder(&self, name: &str) -> Result<Option<String>> {
        self.0.holder(name).await
    }

    async fn clear(&self, name: &str) -> Result<()> {
        self.0.clear(name).await
    }

    async fn turn(&self, name: &str) -> Result<Turn> {
        self.0.turn(name).await
    }
}

/// A cache whose look-ups are counted by tier.
pub struct MeteredCache {
    /// What a look-up that is not answered at hand asks: `process` or `redis`.
    pub tier: &'static str,
    /// The cache itself.
    pub cache: Arc<dyn Cache>,
}

#[async_trait]
impl Cache for MeteredCache {
    fn peek(&self, name: &str, form: &str) -> Option<Value> {
        let found = self.cache.peek(name, form);
        if found.is_some() {
            count("process", "hit");
        }
        found
    }

    async fn get(&self, name: &str, form: &str) -> Result<Lookup> {
        let found = self.cache.get(name, form).await;
        let result = match &found {
            Ok(Lookup { value: Some(_), .. }) => "hit",
            Ok(_) => "miss",
            Err(_) => "error",
        };
        count(self.tier, result);
        found
    }

    async fn put(
        &self,
        name: &str,
        form: &str,
        noted: Generation,
        value: Value,
        ttl: Duration,
    ) -> Result<bool> {
        self.cache.put(name, form, noted, value, ttl).await
    }

    async fn bump(&self, names: &[String]) -> Result<()> {
        self.cache.bump(names).await
    }
}

fn count(tier: &'static str, result: &'static str) {
    metrics::counter!("concert_cache_lookups_total", "tier" => tier, "result" => result)
        .increment(1);
}
