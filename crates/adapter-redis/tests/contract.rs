//! The laws of the queue and of filling it, of the lock and the cache, and the use cases over them,
//! tried on Redis. The other ports are those of the embedded engine.
// Test code: a broken law is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_adapter_redis::Redis;
use concert_adapter_sqlite::{Sqlite, SystemClock};
use concert_domain::Ports;
use concert_testkit::{Harness, ScriptedGateway, SequentialTokens};
use tempfile::TempDir;

/// Redis under a prefix of its own, beside an embedded engine over a folder of its own.
struct OverRedis {
    folder: TempDir,
    prefix: String,
    engine: Option<Sqlite>,
    redis: Redis,
    tokens: Arc<SequentialTokens>,
    gateway: Arc<ScriptedGateway>,
}

async fn open(folder: &TempDir) -> Sqlite {
    let clock = Arc::new(SystemClock::default());
    let engine = Sqlite::open(&folder.path().join("concert.db"), clock).await.unwrap();
    engine.migrate().await.unwrap();
    engine
}

#[async_trait]
impl Harness for OverRedis {
    async fn start() -> Self {
        let (folder, prefix) = (TempDir::new().unwrap(), common::own_prefix());
        Self {
            engine: Some(open(&folder).await),
            redis: common::shared(&prefix).await,
            tokens: Arc::default(),
            gateway: Arc::default(),
            folder,
            prefix,
        }
    }

    fn ports(&self) -> Ports {
        let (engine, redis) =
            (Arc::new(self.engine.clone().unwrap()), Arc::new(self.redis.clone()));
        Ports {
            ids: engine.clone(),
            users: engine.clone(),
            concerts: engine.clone(),
            catalogue: engine.clone(),
            reservations: engine.clone(),
            payments: engine.clone(),
            points: engine.clone(),
            answers: engine.clone(),
            policies: engine.clone(),
            audit: engine.clone(),
            outbox: engine.clone(),
            consumers: engine.clone(),
            seeds: engine.clone(),
            seal_keys: engine.clone(),
            log: engine,
            queue: redis.clone(),
            queue_seeds: redis.clone(),
            lock: redis.clone(),
            budgets: redis.clone(),
            cache: redis,
            gateway: self.gateway.clone(),
            tokens: self.tokens.clone(),
            probes: Vec::new(),
        }
    }

    fn can_jump(&self) -> bool {
        false
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The server goes on; this process starts anew and remembers nothing.
    async fn restart(&mut self) {
        self.engine = None;
        self.engine = Some(open(&self.folder).await);
        self.redis = common::shared(&self.prefix).await;
    }
}

concert_testkit::queue_contract!(OverRedis);
concert_testkit::queue_time_contract!(OverRedis);
concert_testkit::seed_contract!(OverRedis);
concert_testkit::lock_contract!(OverRedis);
concert_testkit::budget_contract!(OverRedis);
concert_testkit::cache_contract!(OverRedis);
concert_testkit::booking_contract!(OverRedis);
concert_testkit::events_contract!(OverRedis);
