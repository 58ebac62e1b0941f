//! The laws of the event log, tried on Kafka; the other ports are the embedded engine's.
// Test code: a broken law is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_adapter_kafka::Kafka;
use concert_adapter_sqlite::{ManualClock, MemoryCache, MemoryLock, Sqlite};
use concert_domain::budget::Unshared;
use concert_domain::{Ports, Timestamp};
use concert_testkit::{Harness, ScriptedGateway, SequentialTokens};
use tempfile::TempDir;

struct OverKafka {
    clock: Arc<ManualClock>,
    engine: Arc<Sqlite>,
    prefix: String,
    log: Arc<Kafka>,
    _folder: TempDir,
}

#[async_trait]
impl Harness for OverKafka {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_777_629_600_000)));
        let engine = Sqlite::open(&folder.path().join("concert.db"), clock.clone()).await.unwrap();
        engine.migrate().await.unwrap();
        let prefix = support::fresh_prefix();
        let log = Arc::new(support::open(&support::brokers(), &prefix).await);
        Self { clock, engine: Arc::new(engine), prefix, log, _folder: folder }
    }

    fn ports(&self) -> Ports {
        let engine = self.engine.clone();
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
            queue: engine.clone(),
            queue_seeds: engine,
            log: self.log.clone(),
            lock: Arc::new(MemoryLock::new(self.clock.clone())),
            budgets: Arc::new(Unshared),
            cache: Arc::new(MemoryCache::new(self.clock.clone())),
            gateway: Arc::new(ScriptedGateway::default()),
            tokens: Arc::new(SequentialTokens::default()),
            probes: vec![self.log.clone()],
        }
    }

    fn can_jump(&self) -> bool {
        true
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn restart(&mut self) {
        self.log = Arc::new(support::open(&support::brokers(), &self.prefix).await);
    }
}

concert_testkit::log_contract!(OverKafka);
// From the sale to its effect, with the relay and the consumer around this log.
concert_testkit::events_contract!(OverKafka);
