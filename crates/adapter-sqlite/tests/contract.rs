//! Every law of the ports, tried on the embedded engine.
// Test code: a broken law is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_adapter_sqlite::{ManualClock, MemoryCache, MemoryLock, Sqlite};
use concert_domain::budget::Unshared;
use concert_domain::cache::Cache;
use concert_domain::lock::Lock;
use concert_domain::{Ports, Timestamp};
use concert_testkit::{Harness, ScriptedGateway, SequentialTokens};
use tempfile::TempDir;

/// An engine over a folder of its own, whose clock moves only when told.
struct Embedded {
    folder: TempDir,
    clock: Arc<ManualClock>,
    engine: Option<Sqlite>,
    // A lost process loses them together with everybody who noted a generation or holds a lock;
    // a restart here closes the file only, and the law's own tasks live on.
    cache: Arc<dyn Cache>,
    lock: Arc<dyn Lock>,
    tokens: Arc<SequentialTokens>,
    gateway: Arc<ScriptedGateway>,
}

async fn open(folder: &TempDir, clock: &Arc<ManualClock>) -> Sqlite {
    let engine = Sqlite::open(&folder.path().join("concert.db"), clock.clone()).await.unwrap();
    engine.migrate().await.unwrap();
    engine
}

#[async_trait]
impl Harness for Embedded {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_777_629_600_000)));
        Self {
            engine: Some(open(&folder, &clock).await),
            cache: Arc::new(MemoryCache::new(clock.clone())),
            lock: Arc::new(MemoryLock::new(clock.clone())),
            tokens: Arc::default(),
            gateway: Arc::default(),
            folder,
            clock,
        }
    }

    fn ports(&self) -> Ports {
        let engine = Arc::new(self.engine.clone().unwrap());
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
            queue_seeds: engine.clone(),
            log: engine,
            lock: self.lock.clone(),
            budgets: Arc::new(Unshared),
            cache: self.cache.clone(),
            gateway: self.gateway.clone(),
            tokens: self.tokens.clone(),
            probes: Vec::new(),
        }
    }

    fn can_jump(&self) -> bool {
        true
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn restart(&mut self) {
        self.engine = None;
        self.engine = Some(open(&self.folder, &self.clock).await);
    }
}

concert_testkit::all_contracts!(Embedded);
