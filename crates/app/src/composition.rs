//! The composition root: the only place that names adapters.

mod open;
mod random;

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use concert_adapter_gateway::{HttpGateway, Options, SandboxGateway};
use concert_adapter_redis::Redis;
use concert_adapter_sqlite::{MemoryCache, MemoryLock, Sqlite, SystemClock};
use concert_domain::audit::AuditLog;
use concert_domain::budget::{Budgets, Unshared};
use concert_domain::cache::Cache;
use concert_domain::concert::{ConcertReader, ConcertWriter};
use concert_domain::event::{ConsumerStore, EventLog, Outbox};
use concert_domain::health::Probe;
use concert_domain::lock::Lock;
use concert_domain::payment::PaymentStore;
use concert_domain::point::{PaymentGateway, PointStore};
use concert_domain::queue::{PolicyStore, QueueStore, SealKey, SealKeys};
use concert_domain::reservation::ReservationStore;
use concert_domain::seed::{QueueSeeds, SeedStore};
use concert_domain::user::UserStore;
use concert_domain::{Clock, IdBlocks, IdempotencyStore, Ports};

use crate::config::{Config, DatabaseUrl, Engines, GatewayChoice};
use crate::metered::{MeteredCache, MeteredGateway, MeteredLock};
use crate::topics::PrefixedLog;
use open::EmbeddedFile;
pub use random::instance_name;

/// Opens the engines that the configuration names. The stores are brought to this program's
/// version first, or, if that is not wanted, refused when they are behind.
///
/// Must be called on the runtime that ends last: connections live there.
pub async fn engine(config: &Config) -> Result<Ports> {
    let (engines, migrate) = (&config.engines, config.migrate_on_start);
    tell(engines);
    let gateway = gateway(config)?;
    let file = EmbeddedFile::new(engines.file(), clock(), migrate);
    let own_key = config.queue_tokens.seal_key()?;
    let mut ports = match &engines.database_url {
        DatabaseUrl::Sqlite(_) => {
            let store = file.open().await?;
            assemble(store, Rest::open(engines, &file).await?, gateway)
        }
        DatabaseUrl::Mysql(url) => {
            let mysql = open::mysql(url, engines.database_pool, migrate).await?;
            let mut rest = Rest::open(engines, &file).await?;
            if engines.uses_file() {
                warn_of_one_instance(engines);
                rest.probes.push(Arc::new(open::Beside(file.open().await?)));
            }
            assemble(Arc::new(mysql), rest, gateway)
        }
    };
    if let Some(key) = own_key {
        ports.seal_keys = Arc::new(GivenKey(key));
    }
    Ok(ports)
}

/// Every port on the embedded engine, with the sandbox for a gateway. The lock and the cache may be
/// lost, so they are in memory.
pub fn ports(config: &Config, store: Sqlite, clock: Arc<dyn Clock>) -> Ports {
    let store = Arc::new(store);
    let log = PrefixedLog::new(store.clone(), &config.engines.kafka_topic_prefix);
    let queues = Queues::embedded(store.clone(), clock);
    let rest = Rest { queues, log: Arc::new(log), probes: Vec::new() };
    assemble(store, rest, Arc::new(SandboxGateway::default()))
}

/// The outbox alone, for a look at it. The store is refused if it is behind this program.
pub async fn outbox(engines: &Engines) -> Result<Arc<dyn Outbox>> {
    Ok(match &engines.database_url {
        DatabaseUrl::Sqlite(path) => EmbeddedFile::new(path, clock(), false).open().await?,
        DatabaseUrl::Mysql(url) => Arc::new(open::mysql(url, 1, false).await?),
    })
}

/// Brings the stores to this program's version; answers which, and how many steps each took.
pub async fn migrate(engines: &Engines) -> Result<Vec<(String, usize)>> {
    let mut done = Vec::new();
    if let DatabaseUrl::Mysql(url) = &engines.database_url {
        let mysql = open::connect_mysql(url, 1).await?;
        done.push((url.to_string(), open::migrate(&mysql).await?));
    }
    if engines.uses_file() {
        let (path, clock) = (engines.file(), clock());
        let store = open::open_file(path, clock).await?;
        done.push((path.display().to_string(), open::migrate(&store).await?));
    }
    Ok(done)
}

fn gateway(config: &Config) -> Result<Arc<dyn PaymentGateway>> {
    match config.gateway()? {
        GatewayChoice::Sandbox => {
            if !config.http_addr.ip().is_loopback() {
                tracing::warn!(
                    "the payment gateway is a sandbox: whoever asks gets points for nothing"
                );
            }
            Ok(Arc::new(SandboxGateway::default()))
        }
        GatewayChoice::Bridge { url, secret, timeout } => {
            let secret = secret.as_bytes().to_vec();
            // Without the scheme: the line with the service's own address is looked for by it.
            let gateway = url.split_once("://").map_or(url.as_str(), |(_, place)| place);
            tracing::info!(gateway, "charges go through a gateway");
            Ok(Arc::new(HttpGateway::new(Options { url, secret, deadline: timeout })?))
        }
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

fn tell(engines: &Engines) {
    let file = format!("sqlite:{}", engines.file().display());
    tracing::info!(
        database = %engines.database_url,
        queue = engines.redis().map_or_else(|| file.clone(), ToString::to_string),
        event_log = engines.kafka().unwrap_or(&file),
        "engines"
    );
}

fn warn_of_one_instance(engines: &Engines) {
    let (what, missing) = match (engines.redis(), engines.kafka()) {
        (None, None) => ("the queue and the event log are", "REDIS_URL and KAFKA_BROKERS"),
        (None, _) => ("the queue is", "REDIS_URL"),
        (_, _) => ("the event log is", "KAFKA_BROKERS"),
    };
    let file = engines.file().display();
    tracing::warn!(
        "{what} kept in the file {file}, which no other machine sees: run this one instance only, \
         or set {missing}"
    );
}

/// The key that the configuration gives.
struct GivenKey(SealKey);

#[async_trait]
impl SealKeys for GivenKey {
    async fn seal_key(&self, _fresh: SealKey) -> concert_domain::Result<SealKey> {
        Ok(self.0.clone())
    }
}

/// What is beside the database.
struct Rest {
    queues: Queues,
    log: Arc<dyn EventLog>,
    probes: Vec<Arc<dyn Probe>>,
}

impl Rest {
    async fn open(engines: &Engines, file: &EmbeddedFile) -> Result<Self> {
        let mut probes: Vec<Arc<dyn Probe>> = Vec::new();
        let queues = match engines.redis() {
            Some(url) => {
                let redis = Arc::new(open::redis(url, &engines.redis_key_prefix).await?);
                probes.push(redis.clone());
                Queues::redis(redis)
            }
            None => Queues::embedded(file.open().await?, clock()),
        };
        let log: Arc<dyn EventLog> = match engines.kafka() {
            Some(brokers) => {
                let kafka = Arc::new(open::kafka(brokers, &engines.kafka_topic_prefix).await?);
                probes.push(kafka.clone());
                kafka
            }
            None => Arc::new(PrefixedLog::new(file.open().await?, &engines.kafka_topic_prefix)),
        };
        Ok(Self { queues, log, probes })
    }
}

/// The queue, and what goes with it.
struct Queues {
    store: Arc<dyn QueueStore>,
    seeds: Arc<dyn QueueSeeds>,
    lock: Arc<dyn Lock>,
    cache: Arc<dyn Cache>,
    budgets: Arc<dyn Budgets>,
    /// How metrics call what the cache is.
    tier: &'static str,
}

impl Queues {
    fn redis(redis: Arc<Redis>) -> Self {
        Self {
            store: redis.clone(),
            seeds: redis.clone(),
            lock: redis.clone(),
            budgets: redis.clone(),
            cache: redis,
            tier: "redis",
        }
    }

    fn embedded(store: Arc<Sqlite>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store: store.clone(),
            seeds: store,
            lock: Arc::new(MemoryLock::new(clock.clone())),
            cache: Arc::new(MemoryCache::new(clock)),
            // Whoever keeps the queue in a file is one instance.
            budgets: Arc::new(Unshared),
            tier: "process",
        }
    }
}

/// What a database serves.
trait Database:
    IdBlocks
    + UserStore
    + ConcertReader
    + ConcertWriter
    + ReservationStore
    + PaymentStore
    + PointStore
    + IdempotencyStore
    + PolicyStore
    + AuditLog
    + Outbox
    + ConsumerStore
    + SeedStore
    + SealKeys
    + Probe
    + 'static
{
}

impl Database for Sqlite {}
impl Database for concert_adapter_mysql::Mysql {}

fn assemble<D: Database>(database: Arc<D>, rest: Rest, gateway: Arc<dyn PaymentGateway>) -> Ports {
    let Rest { queues, log, mut probes } = rest;
    probes.insert(0, database.clone());
    Ports {
        ids: database.clone(),
        users: database.clone(),
        concerts: database.clone(),
        catalogue: database.clone(),
        reservations: database.clone(),
        payments: database.clone(),
        points: database.clone(),
        answers: database.clone(),
        policies: database.clone(),
        audit: database.clone(),
        outbox: database.clone(),
        consumers: database.clone(),
        seeds: database.clone(),
        seal_keys: database,
        queue: queues.store,
        queue_seeds: queues.seeds,
        lock: Arc::new(MeteredLock(queues.lock)),
        budgets: queues.budgets,
        cache: Arc::new(MeteredCache::new(queues.tier, queues.cache)),
        log,
        gateway: Arc::new(MeteredGateway(gateway)),
        tokens: Arc::new(random::OsTokens),
        probes,
    }
}

#[cfg(test)]
mod tests;
