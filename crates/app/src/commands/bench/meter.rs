//! What a path costs: processor time of the service, and what it sends to its servers.

use std::time::Duration;

use anyhow::{Context, Result};

use super::load::cpu_of;
use super::sql::Sql;
use crate::config::ServerUrl;

/// Reads the counters of a process and of the servers that only it uses.
pub(super) struct Meter {
    pub process: u32,
    pub sql: Option<Sql>,
    pub redis: Option<ServerUrl>,
}

/// The counters at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    cpu: Duration,
    statements: Option<f64>,
    commands: Option<f64>,
}

/// What one request took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    /// Microseconds of the processor.
    pub cpu: f64,
    pub statements: Option<f64>,
    pub commands: Option<f64>,
}

impl Meter {
    pub(super) async fn read(&self) -> Result<Reading> {
        let statements = match &self.sql {
            Some(sql) => Some(sql.statements().await? as f64),
            None => None,
        };
        let commands = match &self.redis {
            Some(url) => Some(commands(url).await?),
            None => None,
        };
        Ok(Reading { cpu: cpu_of(self.process).unwrap_or_default(), statements, commands })
    }
}

impl Reading {
    /// What each of so many requests took since an earlier reading.
    pub(super) fn since(self, earlier: Self, requests: u64) -> Cost {
        let each = requests.max(1) as f64;
        let more = |now: Option<f64>, before: Option<f64>| Some((now? - before?).max(0.0) / each);
        Cost {
            cpu: self.cpu.saturating_sub(earlier.cpu).as_secs_f64() * 1e6 / each,
            statements: more(self.statements, earlier.statements),
            commands: more(self.commands, earlier.commands),
        }
    }
}

/// How many commands the server has run, those of scripts included.
async fn commands(url: &ServerUrl) -> Result<f64> {
    let client = redis::Client::open(url.expose()).context("REDIS_URL")?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let told: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await?;
    let line = told.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.and_then(|count| count.trim().parse().ok()).context("a counter of Redis")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_what_was_added_by_each_request() {
        let before = Reading { statements: Some(100.0), ..Reading::default() };
        let after =
            Reading { cpu: Duration::from_millis(2), statements: Some(160.0), commands: Some(1.0) };
        let cost = after.since(before, 20);
        assert_eq!(cost, Cost { cpu: 100.0, statements: Some(3.0), commands: None });
        assert_eq!(before.since(before, 0).cpu, 0.0);
    }
}
