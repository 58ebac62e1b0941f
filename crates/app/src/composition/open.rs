//! Opening one engine each: bounded waits, and refusals that name what was configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use concert_adapter_kafka::Kafka;
use concert_adapter_mysql::{Mysql, Options};
use concert_adapter_redis::Redis;
use concert_adapter_sqlite::Sqlite;
use concert_domain::Clock;
use concert_domain::health::Probe;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::config::{ConfigError, ServerUrl};

/// How long a start waits for a database that does not answer yet.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);

/// How many partitions a topic has, here as in the embedded engine. Keys are spread by it, so it
/// never changes.
const PARTITIONS: u32 = 8;

/// A store whose schema has versions.
#[async_trait]
pub(super) trait Schema: Send + Sync {
    async fn migrate(&self) -> concert_domain::Result<usize>;
    async fn behind(&self) -> concert_domain::Result<usize>;
}

#[async_trait]
impl Schema for Sqlite {
    async fn migrate(&self) -> concert_domain::Result<usize> {
        Sqlite::migrate(self).await
    }

    async fn behind(&self) -> concert_domain::Result<usize> {
        self.pending_migrations().await
    }
}

#[async_trait]
impl Schema for Mysql {
    async fn migrate(&self) -> concert_domain::Result<usize> {
        Mysql::migrate(self).await
    }

    async fn behind(&self) -> concert_domain::Result<usize> {
        self.pending_migrations().await
    }
}

pub(super) async fn migrate(store: &dyn Schema) -> Result<usize> {
    store.migrate().await.context("the store could not be migrated")
}

/// Makes sure that the store has this program's version.
async fn ready(store: &dyn Schema, wanted: bool) -> Result<()> {
    if wanted {
        return migrate(store).await.map(drop);
    }
    let behind = store.behind().await?;
    if behind > 0 {
        bail!("the store is {behind} migration(s) behind this program; run `concert migrate`");
    }
    Ok(())
}

/// The file of the embedded engine, opened by whoever needs it first.
pub(super) struct EmbeddedFile {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    migrate: bool,
    store: OnceCell<Arc<Sqlite>>,
}

impl EmbeddedFile {
    pub(super) fn new(path: &Path, clock: Arc<dyn Clock>, migrate: bool) -> Self {
        Self { path: path.to_owned(), clock, migrate, store: OnceCell::new() }
    }

    pub(super) async fn open(&self) -> Result<Arc<Sqlite>> {
        let open = async || {
            let store = open_file(&self.path, self.clock.clone()).await?;
            ready(&store, self.migrate).await?;
            anyhow::Ok(Arc::new(store))
        };
        self.store.get_or_try_init(open).await.cloned()
    }
}

pub(super) async fn open_file(path: &Path, clock: Arc<dyn Clock>) -> Result<Sqlite> {
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("the folder {} of the store cannot be made", folder.display())
        })?;
    }
    Sqlite::open(path, clock)
        .await
        .with_context(|| format!("the store {} cannot be opened", path.display()))
}

/// The probe of an embedded engine that is not the database.
pub(super) struct Beside(pub Arc<Sqlite>);

#[async_trait]
impl Probe for Beside {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn check(&self) -> concert_domain::Result<()> {
        self.0.check().await
    }
}

pub(super) async fn mysql(url: &ServerUrl, connections: usize, migrate: bool) -> Result<Mysql> {
    let mysql = connect_mysql(url, connections).await?;
    ready(&mysql, migrate).await?;
    Ok(mysql)
}

pub(super) async fn connect_mysql(url: &ServerUrl, connections: usize) -> Result<Mysql> {
    let end = Instant::now() + PATIENCE;
    loop {
        match Mysql::connect(url.expose(), Options { connections }).await {
            Err(_) if Instant::now() + PAUSE < end => sleep(PAUSE).await,
            connected => {
                return connected.with_context(|| {
                    let seconds = PATIENCE.as_secs();
                    format!("DATABASE_URL is \"{url}\", but no connection could be made within {seconds} s")
                });
            }
        }
    }
}

/// A server that does not answer now is no refusal: it is tried again for ever.
pub(super) async fn redis(url: &ServerUrl, prefix: &str) -> Result<Redis> {
    let connected = Redis::connect(url.expose(), &format!("{prefix}:")).await;
    let redis = connected.map_err(|error| ConfigError {
        variable: "REDIS_URL".to_owned(),
        value: Some(url.to_string()),
        allowed: format!("it is {error}"),
    })?;
    if redis.check().await.is_err() {
        tracing::warn!(
            "Redis does not answer at {url}; routes of the queue answer 503 until it does"
        );
    }
    Ok(redis)
}

/// As with Redis; only a topic that is not made for this service is refused.
pub(super) async fn kafka(brokers: &str, prefix: &str) -> Result<Kafka> {
    Ok(Kafka::connect(brokers, prefix, PARTITIONS).await?)
}
