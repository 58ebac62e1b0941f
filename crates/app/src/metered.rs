//! Ports that count what goes through them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use concert_domain::cache::{Cache, Generation, Lookup, Value};
use concert_domain::event::Origin;
use concert_domain::lock::{Lock, Locked, Turn};
use concert_domain::point::{ChargeIntent, GatewayVerdict, PaymentGateway};
use concert_domain::{Error, Result};
use metrics::Counter;

use crate::telemetry;

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

    fn seen_holder(&self, name: &str) -> Option<String> {
        self.0.seen_holder(name)
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
    cache: Arc<dyn Cache>,
    at_hand: Counter,
    hit: Counter,
    miss: Counter,
    error: Counter,
}

impl MeteredCache {
    /// Over a cache. The tier is what a look-up that is not answered at hand asks: `process` or
    /// `redis`.
    pub fn new(tier: &'static str, cache: Arc<dyn Cache>) -> Self {
        // So that the counters below are those that are shown.
        telemetry::metrics();
        let count = |tier: &'static str, result: &'static str| metrics::counter!("concert_cache_lookups_total", "tier" => tier, "result" => result);
        Self {
            cache,
            at_hand: count("process", "hit"),
            hit: count(tier, "hit"),
            miss: count(tier, "miss"),
            error: count(tier, "error"),
        }
    }
}

#[async_trait]
impl Cache for MeteredCache {
    fn peek(&self, name: &str, form: &str) -> Option<Value> {
        let found = self.cache.peek(name, form);
        if found.is_some() {
            self.at_hand.increment(1);
        }
        found
    }

    async fn get(&self, name: &str, form: &str) -> Result<Lookup> {
        let found = self.cache.get(name, form).await;
        let count = match &found {
            Ok(Lookup { value: Some(_), .. }) => &self.hit,
            Ok(_) => &self.miss,
            Err(_) => &self.error,
        };
        count.increment(1);
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

/// A gateway whose calls are counted by what came of them.
pub struct MeteredGateway(pub Arc<dyn PaymentGateway>);

#[async_trait]
impl PaymentGateway for MeteredGateway {
    async fn charge(&self, intent: &ChargeIntent, origin: &Origin) -> Result<GatewayVerdict> {
        let call = self.0.charge(intent, origin);
        timed("charge", call, |verdict| word(*verdict)).await
    }

    async fn outcome(&self, intent: &ChargeIntent) -> Result<Option<GatewayVerdict>> {
        timed("outcome", self.0.outcome(intent), |outcome| outcome.map_or("unknown", word)).await
    }

    async fn void(&self, intent: &ChargeIntent) -> Result<()> {
        timed("void", self.0.void(intent), |()| "voided").await
    }
}

fn word(verdict: GatewayVerdict) -> &'static str {
    match verdict {
        GatewayVerdict::Approved => "approved",
        GatewayVerdict::Declined => "declined",
    }
}

async fn timed<T>(
    call: &'static str,
    work: impl Future<Output = Result<T>>,
    named: impl FnOnce(&T) -> &'static str,
) -> Result<T> {
    let begun = Instant::now();
    let end = work.await;
    let result = match &end {
        Ok(value) => named(value),
        Err(Error::GatewayTimedOut) => "timed_out",
        Err(_) => "failed",
    };
    metrics::counter!("concert_gateway_calls_total", "call" => call, "result" => result)
        .increment(1);
    metrics::histogram!("concert_gateway_call_duration_seconds", "call" => call)
        .record(begun.elapsed().as_secs_f64());
    end
}
