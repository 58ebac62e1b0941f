use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, FromArgMatches};
use concert_app::{Config, composition, config};
use concert_domain::Ports;
use tempfile::TempDir;

use crate::background::in_background;
use crate::{Addresses, Database};

/// How long Redis may take to answer a test, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// A place of its own on MySQL, Redis and Kafka, empty: a database, and a prefix for keys and
/// topics.
pub struct FullSet {
    database: Database,
    redis: String,
    brokers: String,
    prefix: String,
    folder: TempDir,
}

impl FullSet {
    /// A place on the servers that all tests share.
    pub async fn shared() -> Self {
        Self::on(&Addresses::shared()).await
    }

    /// A place on these servers.
    pub async fn on(addresses: &Addresses) -> Self {
        let database = Database::on(&addresses.mysql).await;
        let (redis, brokers) = (addresses.redis.clone(), addresses.kafka.clone());
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { database, redis, brokers, prefix: fresh_prefix(), folder }
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The folder in which its processes run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a process of its own is told.
    pub fn variables(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("DATABASE_URL", self.database.url()),
            ("REDIS_URL", &self.redis),
            ("REDIS_KEY_PREFIX", &self.prefix),
            ("KAFKA_BROKERS", &self.brokers),
            ("KAFKA_TOPIC_PREFIX", &self.prefix),
        ]
    }

    /// The adapters, as a service has them that is told the same.
    pub async fn ports(&self) -> Ports {
        let flag = |(name, value): (&str, &str)| {
            [format!("--{}", name.to_lowercase().replace('_', "-")), value.to_owned()]
        };
        let flags = self.variables().into_iter().flat_map(flag);
        let command =
            config::Engines::augment_args(clap::Command::new("engines").no_binary_name(true));
        let matches = command.try_get_matches_from(flags).expect("a configuration");
        let engines = config::Engines::from_arg_matches(&matches).expect("a configuration");
        let config = Config { engines, ..Config::default() };
        // Boxed, or the compiler would carry all of its states into the type of every test.
        let opened =
            in_background(Box::pin(async move { composition::engine(&config).await })).await;
        opened.expect("the engines open")
    }

    /// Makes Redis lose everything.
    pub async fn flush_redis(&self) {
        let flushed = redis::cmd("FLUSHALL").exec_async(&mut self.connect_redis().await).await;
        flushed.expect("Redis answers");
    }

    /// The keys in Redis whose name, behind the prefix, contains this.
    pub async fn redis_keys(&self, part: &str) -> Vec<String> {
        let pattern = format!("{}*{part}*", self.prefix);
        let mut keys = redis::cmd("KEYS");
        let found = keys.arg(pattern).query_async(&mut self.connect_redis().await).await;
        found.expect("Redis answers")
    }

    /// All that its keys hold, one after the other.
    pub async fn redis_content(&self) -> Vec<u8> {
        let mut connection = self.connect_redis().await;
        let mut content = Vec::new();
        for key in self.redis_keys("").await {
            let kind: String =
                redis::cmd("TYPE").arg(&key).query_async(&mut connection).await.expect("a type");
            let mut read = match kind.as_str() {
                "string" => redis::cmd("GET"),
                "hash" => redis::cmd("HGETALL"),
                "zset" => redis::cmd("ZRANGE"),
                other => panic!("{key} is a {other}, which nobody reads here"),
            };
            read.arg(&key);
            if kind == "zset" {
                read.arg(0).arg(-1);
            }
            let found: redis::Value = read.query_async(&mut connection).await.expect("a value");
            add_text(&found, &mut content);
        }
        content
    }

    async fn connect_redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis.as_str()).expect("a URL");
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&patient).await;
        connection.expect("Redis answers")
    }
}

fn add_text(value: &redis::Value, content: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(bytes) => content.extend(bytes),
        redis::Value::Array(values) => values.iter().for_each(|value| add_text(value, content)),
        other => panic!("{other:?} is no text"),
    }
}

/// A prefix that no other test has, in this run or an earlier one on the same broker.
fn fresh_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    format!("t{now}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
