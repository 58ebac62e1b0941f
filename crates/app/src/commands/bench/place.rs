use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use concert_domain::Ports;
use tempfile::TempDir;

use super::service::Service;
use super::sql::Sql;
use crate::composition;
use crate::config::{Config, DatabaseUrl, Engines, ServerUrl};

/// How many keys are looked at in one step while they are taken away.
const STEP: usize = 1_000;

/// Where a bench keeps its data: a database, keys and topics of its own on the servers that are
/// configured, or a file in a temporary folder. Taken away by [`Place::clear`], but for the topics.
pub(super) struct Place {
    engines: Engines,
    folder: TempDir,
    /// The database that was named, from which ours was made.
    home: Option<Sql>,
}

impl Place {
    pub(super) async fn new(engines: &Engines) -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let DatabaseUrl::Mysql(url) = &engines.database_url else {
            let engines = Engines::embedded(&folder.path().join("bench.db"));
            return Ok(Self { engines, folder, home: None });
        };
        let name = fresh_name();
        let home = Sql::new(url.expose());
        home.run(&format!("CREATE DATABASE {name}"))
            .await
            .with_context(|| format!("a database of its own, {name}, is needed at {url}"))?;
        let engines = Engines {
            database_url: beside(url, &name)?,
            redis_key_prefix: name.clone(),
            kafka_topic_prefix: name,
            embedded_path: folder.path().join("beside.db"),
            ..engines.clone()
        };
        Ok(Self { engines, folder, home: Some(home) })
    }

    /// What keeps what, in words.
    pub(super) fn engines(&self) -> &'static str {
        match (self.home.is_some(), self.redis().is_some(), self.engines.kafka().is_some()) {
            (true, true, true) => "MySQL, Redis and Kafka",
            (true, true, false) => "MySQL and Redis",
            (true, false, true) => "MySQL and Kafka",
            (true, false, false) => "MySQL and the embedded engine",
            (false, ..) => "the embedded engine",
        }
    }

    /// Whether several instances may work here side by side.
    pub(super) fn is_shared(&self) -> bool {
        !self.engines.uses_file()
    }

    /// The adapters, as the service has them. To be dropped before the service starts if the
    /// embedded engine keeps something: it is for one process.
    pub(super) async fn ports(&self) -> Result<Ports> {
        let config = Config { engines: self.engines.clone(), ..Config::default() };
        composition::engine(&config).await
    }

    /// Our database, if it is on a server.
    pub(super) fn sql(&self) -> Option<Sql> {
        match &self.engines.database_url {
            DatabaseUrl::Mysql(url) => Some(Sql::new(url.expose())),
            DatabaseUrl::Sqlite(_) => None,
        }
    }

    /// How many connections the service has to its database.
    pub(super) fn pool(&self) -> usize {
        self.engines.database_pool
    }

    /// The Redis server, if there is one.
    pub(super) fn redis(&self) -> Option<&ServerUrl> {
        self.engines.redis()
    }

    /// What our keys in Redis begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.engines.redis_key_prefix
    }

    /// The service as a process of its own, on this data.
    pub(super) async fn serve(&self, variables: &[(&str, &str)]) -> Result<Service> {
        let engines = &self.engines;
        let database = match &engines.database_url {
            DatabaseUrl::Mysql(url) => url.expose().to_owned(),
            sqlite => sqlite.to_string(),
        };
        let mut all = vec![
            ("DATABASE_URL", database),
            ("DATABASE_POOL", engines.database_pool.to_string()),
            ("REDIS_URL", self.redis().map_or("", ServerUrl::expose).to_owned()),
            ("REDIS_KEY_PREFIX", engines.redis_key_prefix.clone()),
            ("KAFKA_BROKERS", engines.kafka().unwrap_or_default().to_owned()),
            ("KAFKA_TOPIC_PREFIX", engines.kafka_topic_prefix.clone()),
            ("EMBEDDED_PATH", engines.embedded_path.display().to_string()),
        ];
        all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Service::serve(self.folder.path(), &all).await
    }

    /// Takes the data away.
    pub(super) async fn clear(self) -> Result<()> {
        let Some(home) = &self.home else { return Ok(()) };
        home.run(&format!("DROP DATABASE {}", self.engines.redis_key_prefix)).await?;
        if let Some(url) = self.redis() {
            remove_keys(url, &self.engines.redis_key_prefix).await?;
        }
        Ok(())
    }
}

/// Takes every key away that begins with this, a step at a time.
pub(super) async fn remove_keys(url: &ServerUrl, prefix: &str) -> Result<()> {
    let client = redis::Client::open(url.expose()).context("REDIS_URL")?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut cursor = 0u64;
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}:*"))
            .arg("COUNT")
            .arg(STEP)
            .query_async(&mut connection)
            .await?;
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).exec_async(&mut connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// The database of this name on the same server.
fn beside(url: &ServerUrl, name: &str) -> Result<DatabaseUrl> {
    let (rest, options) = match url.expose().split_once('?') {
        Some((rest, options)) => (rest, format!("?{options}")),
        None => (url.expose(), String::new()),
    };
    let (server, _) = rest.rsplit_once('/').context("DATABASE_URL names a database")?;
    format!("{server}/{name}{options}").parse().map_err(anyhow::Error::msg)
}

/// A name that no other run has, here or on another machine that uses the same servers.
pub(super) fn fresh_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("concert_bench_{}_{}", now.as_millis(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_beside_another_keeps_the_rest_of_the_address() {
        let url = |text: &str| match text.parse() {
            Ok(DatabaseUrl::Mysql(url)) => url,
            other => panic!("{other:?}"),
        };
        for (given, expected) in [
            ("mysql://a:b@h:1/concert", "mysql://a:b@h:1/new"),
            ("mysql://a:b@h:1/concert?require_ssl=true", "mysql://a:b@h:1/new?require_ssl=true"),
        ] {
            assert_eq!(beside(&url(given), "new").unwrap(), DatabaseUrl::Mysql(url(expected)));
        }
    }

    #[tokio::test]
    async fn the_embedded_engine_is_used_in_a_folder_of_its_own() {
        let own = Engines::default();
        let place = Place::new(&own).await.unwrap();
        assert_eq!(place.engines(), "the embedded engine");
        assert!(place.sql().is_none() && place.redis().is_none());
        assert_ne!(place.engines.file(), own.file());
        place.clear().await.unwrap();
    }
}
