//! Every law of the ports, tried on a MySQL server. The ports that it does not serve are the
//! embedded engine's.
// Test code: a broken law is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::Database;
use concert_adapter_mysql::{Mysql, Options};
use concert_adapter_sqlite::{MemoryCache, MemoryLock, Sqlite, SystemClock};
use concert_domain::budget::Unshared;
use concert_domain::cache::Cache;
use concert_domain::lock::Lock;
use concert_domain::seed::SeedStore;
use concert_domain::{Clock, Ports};
use concert_testkit::{Harness, ScriptedGateway, SequentialTokens};
use tempfile::TempDir;

/// An engine over a database of its own, whose clock is the server's.
struct Server {
    engine: Option<Mysql>,
    beside: Sqlite,
    cache: Arc<dyn Cache>,
    lock: Arc<dyn Lock>,
    tokens: Arc<SequentialTokens>,
    gateway: Arc<ScriptedGateway>,
    database: Database,
    _folder: TempDir,
}

async fn open(database: &Database) -> Mysql {
    let engine = Mysql::connect(&database.url, Options::default()).await.unwrap();
    engine.migrate().await.unwrap();
    engine
}

impl Server {
    fn engine(&self) -> Mysql {
        self.engine.clone().unwrap()
    }
}

#[async_trait]
impl Harness for Server {
    const CASES: u32 = 4;

    async fn start() -> Self {
        let (database, folder) = (Database::create().await, TempDir::new().unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let beside = Sqlite::open(&folder.path().join("beside.db"), clock.clone()).await.unwrap();
        beside.migrate().await.unwrap();
        Self {
            engine: Some(open(&database).await),
            beside,
            cache: Arc::new(MemoryCache::new(clock.clone())),
            lock: Arc::new(MemoryLock::new(clock)),
            tokens: Arc::default(),
            gateway: Arc::default(),
            database,
            _folder: folder,
        }
    }

    fn ports(&self) -> Ports {
        let (engine, beside) = (Arc::new(self.engine()), Arc::new(self.beside.clone()));
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
            seal_keys: engine,
            queue: beside.clone(),
            queue_seeds: beside.clone(),
            log: beside,
            lock: self.lock.clone(),
            budgets: Arc::new(Unshared),
            cache: self.cache.clone(),
            gateway: self.gateway.clone(),
            tokens: self.tokens.clone(),
            probes: Vec::new(),
        }
    }

    fn can_jump(&self) -> bool {
        false
    }

    async fn pass(&self, time: Duration) {
        let engine = self.engine();
        let end = engine.now().await.unwrap().plus(time);
        loop {
            let left = end.since(engine.now().await.unwrap());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    async fn restart(&mut self) {
        self.engine = None;
        self.engine = Some(open(&self.database).await);
    }
}

concert_testkit::ids_contract!(Server);
concert_testkit::user_contract!(Server);
concert_testkit::concert_contract!(Server);
concert_testkit::ranking_contract!(Server);
concert_testkit::reservation_contract!(Server);
concert_testkit::payment_contract!(Server);
concert_testkit::point_contract!(Server);
concert_testkit::charge_contract!(Server);
concert_testkit::money_contract!(Server);
concert_testkit::idempotency_contract!(Server);
concert_testkit::policy_contract!(Server);
concert_testkit::audit_contract!(Server);
concert_testkit::edits_contract!(Server);
concert_testkit::outbox_contract!(Server);
concert_testkit::consumer_contract!(Server);
concert_testkit::seal_contract!(Server);
concert_testkit::seed_contract!(Server);
concert_testkit::booking_contract!(Server);
concert_testkit::events_contract!(Server);
