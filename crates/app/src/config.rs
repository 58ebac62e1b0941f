//! Configuration: environment variables, each also a flag, read here and nowhere else.

mod audit;
mod auth;
mod browsers;
mod caching;
mod engines;
mod error;
mod gateway;
mod limits;
mod parse;
mod queue_tokens;
mod telemetry;
mod url;

pub use audit::Audit;
pub use auth::{Auth, Callers, JwtRules, KeySource, Secret};
pub use browsers::{Browsers, Origins};
pub use caching::Caching;
pub use engines::Engines;
pub use error::ConfigError;
pub use gateway::{Gateway, GatewayChoice};
pub use limits::{Limits, Proxies};
pub use parse::{AuthMode, LogFormat, Roles};
pub use queue_tokens::QueueTokens;
pub use telemetry::{Collector, Ratio, Telemetry};
pub use url::{DatabaseUrl, ServerUrl};

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use concert_domain::ports::Settings;
use concert_domain::queue::Rules;

/// What the service can be told. `Config::default()` is what it does when it is told nothing.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Configuration (every flag is also an environment variable)")]
pub struct Config {
    /// Listen address; port 0 picks a free port, and the bound address is logged.
    #[arg(long, env, value_name = "ADDRESS", default_value = "127.0.0.1:8080",
          value_parser = parse::address)]
    pub http_addr: SocketAddr,

    /// Threads that serve requests, 1 to 256 [default: one per core, at most 8].
    #[arg(long, env, value_name = "COUNT", value_parser = parse::threads)]
    pub http_workers: Option<usize>,

    /// Most connections at a time; 1 to 1000000.
    #[arg(long, env, value_name = "COUNT", default_value = "10000", value_parser = parse::limit)]
    pub http_max_connections: u32,

    /// Name under which the consumers of the event log keep their place.
    #[arg(long, env, value_name = "NAME", default_value = "concert", value_parser = parse::name)]
    pub kafka_group: String,

    /// What this process does: `api`, `worker` or both.
    #[arg(long, env, value_name = "ROLES", default_value = "api,worker",
          value_parser = parse::roles)]
    pub roles: Roles,

    /// Load the demo data when the store is empty; `true` or `false`.
    #[arg(long, env, value_name = "BOOL", default_value = "false", num_args = 0..=1,
          default_missing_value = "true", value_parser = parse::boolean)]
    pub seed_demo: bool,

    /// Bring the store to this program's version before serving; `true` or `false`.
    #[arg(long, env, value_name = "BOOL", default_value = "true", num_args = 0..=1,
          default_missing_value = "true", value_parser = parse::boolean)]
    pub migrate_on_start: bool,

    /// Most ACTIVE tokens per concert, 1 to 1000000; a concert's own policy overrides it.
    #[arg(long, env, value_name = "COUNT", default_value = "50", value_parser = parse::limit)]
    pub queue_active_limit: u32,

    /// How often waiting users are admitted; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "1s", value_parser = parse::duration)]
    pub queue_tick: Duration,

    /// An admitted user who makes no request for so long gives the slot back; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "60s", value_parser = parse::duration)]
    pub queue_claim_ttl: Duration,

    /// Longest stay of an ACTIVE token, from its admission; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "10m", value_parser = parse::duration)]
    pub queue_active_ttl: Duration,

    /// Longest life of a WAITING token; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "24h", value_parser = parse::duration)]
    pub queue_waiting_ttl: Duration,

    /// How long a seat stays TEMP_RESERVED; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "5m", value_parser = parse::duration)]
    pub hold_ttl: Duration,

    /// How often ended holds are tidied; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "1s", value_parser = parse::duration)]
    pub sweep_interval: Duration,

    /// Refunds are refused from so long before the show; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "24h", value_parser = parse::duration)]
    pub refund_cutoff: Duration,

    /// How often recorded events are taken to the event log; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "200ms", value_parser = parse::duration)]
    pub relay_interval: Duration,

    /// How often the event log is asked for new events; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "200ms", value_parser = parse::duration)]
    pub consume_interval: Duration,

    /// How often old keys, tokens, published events and audit lines are removed; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "10s", value_parser = parse::duration)]
    pub housekeeping_interval: Duration,

    /// How often charges are settled whose request died half way; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "10s", value_parser = parse::duration)]
    pub reconcile_interval: Duration,

    /// Longest time from the stop signal to the exit; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "10s", value_parser = parse::duration)]
    pub shutdown_grace: Duration,

    /// What the service tells of itself.
    #[command(flatten)]
    pub telemetry: Telemetry,

    /// How callers say who they are.
    #[command(flatten)]
    pub callers: Callers,

    /// What queue tokens are made with.
    #[command(flatten)]
    pub queue_tokens: QueueTokens,

    /// What browsers are told.
    #[command(flatten)]
    pub browsers: Browsers,

    /// Whether lists are kept.
    #[command(flatten)]
    pub caching: Caching,

    /// How long it is known what operators changed.
    #[command(flatten)]
    pub audit: Audit,

    /// How much is taken from whom, and at once.
    #[command(flatten)]
    pub limits: Limits,

    /// Who takes real money.
    #[command(flatten)]
    pub gateway: Gateway,

    /// Which engines keep what. The last one, because what follows would come under its heading.
    #[command(flatten)]
    pub engines: Engines,
}

impl Default for Config {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            http_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            http_workers: None,
            http_max_connections: 10_000,
            telemetry: Telemetry::default(),
            limits: Limits::default(),
            caching: Caching::default(),
            audit: Audit::default(),
            gateway: Gateway::default(),
            engines: Engines::default(),
            kafka_group: "concert".to_owned(),
            roles: Roles::default(),
            seed_demo: false,
            callers: Callers::default(),
            queue_tokens: QueueTokens::default(),
            browsers: Browsers::default(),
            migrate_on_start: true,
            queue_active_limit: 50,
            queue_tick: second,
            queue_claim_ttl: 60 * second,
            queue_active_ttl: 600 * second,
            queue_waiting_ttl: 24 * 3_600 * second,
            hold_ttl: 300 * second,
            sweep_interval: second,
            refund_cutoff: 24 * 3_600 * second,
            relay_interval: second / 5,
            consume_interval: second / 5,
            housekeeping_interval: 10 * second,
            reconcile_interval: 10 * second,
            shutdown_grace: 10 * second,
        }
    }
}

impl Config {
    /// What the use cases need of it.
    pub fn settings(&self) -> Settings {
        Settings {
            queue: Rules {
                active_limit: self.queue_active_limit,
                claim_ttl: self.queue_claim_ttl,
                active_ttl: self.queue_active_ttl,
                waiting_ttl: self.queue_waiting_ttl,
                remember_ttl: Rules::REMEMBER,
            },
            hold_ttl: self.hold_ttl,
            holds_per_user: self.limits.holds_per_user,
            refund_cutoff: self.refund_cutoff,
            charge_grace: self.gateway.gateway_grace,
        }
    }

    /// Refuses a delay that would leave no time to finish.
    pub fn check_drain(&self) -> Result<(), ConfigError> {
        let delay = self.limits.drain_delay;
        if delay < self.shutdown_grace {
            return Ok(());
        }
        Err(ConfigError {
            variable: "DRAIN_DELAY".to_owned(),
            value: Some(humantime::format_duration(delay).to_string()),
            allowed: format!(
                "it must be shorter than SHUTDOWN_GRACE, which is {}",
                humantime::format_duration(self.shutdown_grace)
            ),
        })
    }
}

/// How the process logs; every command takes these.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// Log lines for people or for machines: `pretty` or `json`.
    #[arg(long, env, global = true, value_name = "FORMAT", default_value = "pretty",
          value_parser = parse::log_format)]
    pub log_format: LogFormat,

    /// Which log lines are written, such as `info` or `warn,concert_app=debug`.
    #[arg(long, env, global = true, value_name = "FILTER", default_value = LogArgs::QUIET,
          value_parser = parse::log_filter)]
    pub rust_log: String,
}

impl LogArgs {
    /// The Kafka client tells of every connection, and of every try while a broker is down, many
    /// times a second; what comes of it is told by the adapter.
    const QUIET: &str = "info,rskafka=error";
}

/// Parses an IP address and a port, for flags of other commands.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    parse::address(text)
}

/// Parses a duration with a unit, for flags of other commands.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse::duration(text)
}

/// Adds the variables of a `.env` file in the working folder, if there is one, to the
/// environment; a variable that is set already stays. To be called before any thread is started.
pub fn load_env_file() -> Result<(), ConfigError> {
    load_env_file_at(Path::new(".env"))
}

fn load_env_file_at(path: &Path) -> Result<(), ConfigError> {
    let refuse = |value: String, allowed: &str| ConfigError {
        variable: path.display().to_string(),
        value: Some(value),
        allowed: allowed.to_owned(),
    };
    match dotenvy::from_path(path) {
        Ok(()) => Ok(()),
        Err(dotenvy::Error::LineParse(line, _)) => Err(refuse(
            url::without_password(&line),
            "every line must be NAME=value or a comment that starts with #",
        )),
        Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refuse(error.to_string(), "it must be a readable text file or absent")),
    }
}

#[cfg(test)]
mod tests;
