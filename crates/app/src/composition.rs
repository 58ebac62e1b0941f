//! The composition root: the only place that names adapters.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use concert_adapter_sqlite::{MemoryCache, MemoryLock, Sqlite, SystemClock};
use concert_domain::queue::{QueueToken, TokenSource};
use concert_domain::{Clock, Ports};

use crate::config::Config;
use crate::gateway::SandboxGateway;
use crate::topics::PrefixedLog;

/// Opens the engines that the configuration names. The store is brought to this program's version
/// first, or, if that is not wanted, refused when it is behind.
pub async fn engine(config: &Config) -> Result<Ports> {
    config.check_engines()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let store = open(config, clock.clone()).await?;
    if config.migrate_on_start {
        store.migrate().await.context("the store could not be migrated")?;
    } else {
        let behind = store.pending_migrations().await?;
        if behind > 0 {
            bail!("the store is {behind} migration(s) behind this program; run `concert migrate`");
        }
    }
    Ok(ports(config, store, clock))
}

/// Brings the store to this program's version; answers how many migrations that took.
pub async fn migrate(config: &Config) -> Result<usize> {
    config.check_engines()?;
    let store = open(config, Arc::new(SystemClock::default())).await?;
    store.migrate().await.context("the store could not be migrated")
}

async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Sqlite> {
    let path = config.database_url.path();
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("the folder {} of the store cannot be made", folder.display())
        })?;
    }
    Sqlite::open(path, clock)
        .await
        .with_context(|| format!("the store {} cannot be opened", path.display()))
}

/// Every port on the embedded engine. The lock and the cache may be lost, so they are in memory.
pub fn ports(config: &Config, store: Sqlite, clock: Arc<dyn Clock>) -> Ports {
    let store = Arc::new(store);
    Ports {
        ids: store.clone(),
        users: store.clone(),
        concerts: store.clone(),
        catalogue: store.clone(),
        reservations: store.clone(),
        payments: store.clone(),
        points: store.clone(),
        answers: store.clone(),
        outbox: store.clone(),
        consumers: store.clone(),
        seeds: store.clone(),
        queue: store.clone(),
        queue_seeds: store.clone(),
        lock: Arc::new(MemoryLock::new(clock.clone())),
        cache: Arc::new(MemoryCache::new(clock)),
        log: Arc::new(PrefixedLog::new(store.clone(), &config.kafka_topic_prefix)),
        gateway: Arc::new(SandboxGateway::default()),
        tokens: Arc::new(OsTokens),
        probes: vec![store],
    }
}

/// Queue tokens from the operating system's random generator.
#[derive(Debug, Clone, Copy, Default)]
struct OsTokens;

impl TokenSource for OsTokens {
    fn fresh(&self) -> QueueToken {
        QueueToken::from_bytes(random())
    }
}

/// A name that no other running process has, for leases and memberships.
pub fn instance_name() -> String {
    let bytes: [u8; 8] = random();
    format!("{}-{:016x}", std::process::id(), u64::from_be_bytes(bytes))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without random numbers a token could be guessed: better no service than that.
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the operating system gives no random numbers: {error}");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use concert_domain::event::{Record, partition_of};

    use super::*;
    use crate::config::DatabaseUrl;

    fn config(path: &Path) -> Config {
        Config { database_url: DatabaseUrl::Sqlite(path.to_owned()), ..Config::default() }
    }

    #[test]
    fn tokens_and_names_differ() {
        assert_ne!(OsTokens.fresh(), OsTokens.fresh());
        assert_ne!(instance_name(), instance_name());
    }

    #[tokio::test]
    async fn a_store_that_is_behind_is_refused_until_it_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            migrate_on_start: false,
            ..config(&folder.path().join("a new folder/concert.db"))
        };
        let refusal = engine(&config).await.err().unwrap().to_string();
        assert!(refusal.contains("`concert migrate`"), "{refusal}");
        assert!(migrate(&config).await.unwrap() > 0);
        assert_eq!(migrate(&config).await.unwrap(), 0);
        assert!(engine(&config).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = engine(&config(folder.path())).await.err().unwrap();
        let path = folder.path().display().to_string();
        assert!(format!("{refusal:#}").contains(&path), "{refusal:#}");
    }

    #[tokio::test]
    async fn services_with_different_topic_prefixes_do_not_meet_in_one_log() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder.path().join("concert.db"));
        let other = Config { kafka_topic_prefix: "other".to_owned(), ..config.clone() };
        let [ours, again, theirs] = [
            engine(&config).await.unwrap().log,
            engine(&config).await.unwrap().log,
            engine(&other).await.unwrap().log,
        ];
        let record = Record { key: "1".to_owned(), value: b"{}".to_vec() };
        ours.append("t", &[record]).await.unwrap();
        let partition = partition_of("1", ours.partitions());
        assert_eq!(again.end("t", partition).await, Ok(1));
        assert_eq!(again.read("t", partition, 0, 10).await.unwrap().len(), 1);
        assert_eq!(theirs.end("t", partition).await, Ok(0));
    }
}
