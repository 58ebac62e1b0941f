use std::path::{Path, PathBuf};

use super::{DatabaseUrl, ServerUrl, parse, url};

/// Which engines keep what; every command that works on them takes these.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Engines (every flag is also an environment variable)")]
pub struct Engines {
    /// The store: `sqlite:PATH`, the embedded engine, whose folder is made if it is missing, or
    /// `mysql://USER:PASSWORD@HOST:PORT/DATABASE`.
    #[arg(long, env, global = true, value_name = "URL", default_value = DatabaseUrl::DEFAULT,
          hide_env_values = true, value_parser = parse::database_url)]
    pub database_url: DatabaseUrl,

    /// Most connections of this process to MySQL, 1 to 64.
    #[arg(long, env, global = true, value_name = "COUNT", default_value = "24",
          value_parser = parse::connections)]
    pub database_pool: usize,

    /// Queue, lock and cache: `redis://HOST:PORT`; unset: the embedded engine.
    #[arg(long, env, global = true, value_name = "URL", hide_env_values = true,
          value_parser = ServerUrl::redis)]
    pub redis_url: Option<ServerUrl>,

    /// First part of every key in Redis.
    #[arg(long, env, global = true, value_name = "NAME", default_value = "concert",
          value_parser = parse::name)]
    pub redis_key_prefix: String,

    /// The event log: the brokers of a Kafka cluster; unset: the embedded engine.
    #[arg(long, env, global = true, value_name = "HOST:PORT,...", value_parser = url::brokers)]
    pub kafka_brokers: Option<String>,

    /// First part of the name of every topic of the event log, whichever engine keeps it.
    #[arg(long, env, global = true, value_name = "NAME", default_value = "concert",
          value_parser = parse::name)]
    pub kafka_topic_prefix: String,

    /// The file of what is left to the embedded engine beside MySQL: the queue without REDIS_URL,
    /// the event log without KAFKA_BROKERS. One instance only.
    #[arg(long, env, global = true, value_name = "PATH", default_value = Engines::BESIDE)]
    pub embedded_path: PathBuf,
}

impl Default for Engines {
    fn default() -> Self {
        Self {
            database_url: DatabaseUrl::default(),
            database_pool: 24,
            redis_url: None,
            redis_key_prefix: "concert".to_owned(),
            kafka_brokers: None,
            kafka_topic_prefix: "concert".to_owned(),
            embedded_path: PathBuf::from(Self::BESIDE),
        }
    }
}

impl Engines {
    /// Not the file of `DATABASE_URL`: an event log that another database has filled would be
    /// consumed as if it were this one's.
    const BESIDE: &str = "var/embedded.db";

    /// Only the embedded engine, in this file.
    pub fn embedded(path: &Path) -> Self {
        Self { database_url: DatabaseUrl::Sqlite(path.to_owned()), ..Self::default() }
    }

    /// The Redis server, if there is one.
    pub fn redis(&self) -> Option<&ServerUrl> {
        self.redis_url.as_ref().filter(|url| !url.is_empty())
    }

    /// The Kafka brokers, if there are any.
    pub fn kafka(&self) -> Option<&str> {
        self.kafka_brokers.as_deref().filter(|brokers| !brokers.is_empty())
    }

    /// The file of the embedded engine.
    pub fn file(&self) -> &Path {
        match &self.database_url {
            DatabaseUrl::Sqlite(path) => path,
            DatabaseUrl::Mysql(_) => &self.embedded_path,
        }
    }

    /// Whether the embedded engine keeps anything.
    pub fn uses_file(&self) -> bool {
        matches!(self.database_url, DatabaseUrl::Sqlite(_))
            || self.redis().is_none()
            || self.kafka().is_none()
    }
}
