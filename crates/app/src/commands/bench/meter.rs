//! What a path costs: processor time of the service, of its servers and of the load, what is sent to
//! the servers, and how much of the machine is in use meanwhile.

use std::time::Duration;

use anyhow::{Context, Result};

use super::load::cpu_of;
use super::place::Place;
use super::service::Service;
use super::sql::Sql;
use crate::config::ServerUrl;

/// The processes of the servers, if they run here: their processor time is told too.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Servers {
    /// Process of MySQL, to tell what it takes of the processors.
    #[arg(long, env = "MYSQL_PID", value_name = "PID")]
    mysql_pid: Option<u32>,
    /// Process of Redis.
    #[arg(long, env = "REDIS_PID", value_name = "PID")]
    redis_pid: Option<u32>,
    /// Process of Kafka.
    #[arg(long, env = "KAFKA_PID", value_name = "PID")]
    kafka_pid: Option<u32>,
}

/// Reads the counters of a process and of the servers that only it uses.
pub(super) struct Meter {
    pub process: u32,
    pub servers: Servers,
    pub sql: Option<Sql>,
    pub redis: Option<ServerUrl>,
}

/// Who takes processor time beside the service: MySQL, Redis, Kafka and this process, the load.
const OTHERS: usize = 4;

/// The counters at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    cpu: Duration,
    others: [Option<Duration>; OTHERS],
    statements: Option<f64>,
    commands: Option<f64>,
    machine: Option<Machine>,
}

/// Ticks of all processors since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Machine {
    idle: f64,
    all: f64,
}

/// What one request took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    /// Microseconds of the processor in the service.
    pub cpu: f64,
    /// The same in MySQL, Redis, Kafka and the load.
    pub others: [Option<f64>; OTHERS],
    pub statements: Option<f64>,
    pub commands: Option<f64>,
    /// The share of all processors that was in use, by whomever.
    pub busy: Option<f64>,
}

impl Meter {
    /// Of a service over what the place has.
    pub(super) fn of(service: &Service, place: &Place, servers: &Servers) -> Self {
        Self {
            process: service.process(),
            servers: servers.clone(),
            sql: place.sql(),
            redis: place.redis().cloned(),
        }
    }

    pub(super) async fn read(&self) -> Result<Reading> {
        let statements = match &self.sql {
            Some(sql) => Some(sql.statements().await? as f64),
            None => None,
        };
        let commands = match &self.redis {
            Some(url) => Some(commands(url).await?),
            None => None,
        };
        let cpu = cpu_of(self.process).unwrap_or_default();
        let Servers { mysql_pid, redis_pid, kafka_pid } = self.servers;
        let servers = [mysql_pid, redis_pid, kafka_pid].map(|pid| cpu_of(pid?));
        let [mysql, redis, kafka] = servers;
        let others = [mysql, redis, kafka, cpu_of("self")];
        let machine = std::fs::read_to_string("/proc/stat").ok();
        let machine = machine.as_deref().and_then(Machine::parse);
        Ok(Reading { cpu, others, statements, commands, machine })
    }
}

impl Reading {
    /// What each of so many requests took since an earlier reading.
    pub(super) fn since(self, earlier: Self, requests: u64) -> Cost {
        let each = requests.max(1) as f64;
        let micros = |now: Duration, before| now.saturating_sub(before).as_secs_f64() * 1e6 / each;
        let other = |who: usize| Some(micros(self.others[who]?, earlier.others[who]?));
        let more = |now: Option<f64>, before: Option<f64>| Some((now? - before?).max(0.0) / each);
        Cost {
            cpu: micros(self.cpu, earlier.cpu),
            others: std::array::from_fn(other),
            statements: more(self.statements, earlier.statements),
            commands: more(self.commands, earlier.commands),
            busy: self.machine.zip(earlier.machine).map(|(now, before)| now.busy_since(before)),
        }
    }
}

impl Machine {
    /// The first line of `/proc/stat`: user, nice, system, idle, waiting for a disk, and the rest
    /// (proc_stat(5)).
    fn parse(text: &str) -> Option<Self> {
        let fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let ticks: Vec<f64> = fields.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { idle: ticks.get(3)? + ticks.get(4)?, all: ticks.iter().sum() })
    }

    fn busy_since(self, earlier: Self) -> f64 {
        let all = (self.all - earlier.all).max(1.0);
        1.0 - ((self.idle - earlier.idle) / all).clamp(0.0, 1.0)
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
        let after = Reading {
            cpu: Duration::from_millis(2),
            others: [None, None, None, Some(Duration::from_millis(1))],
            statements: Some(160.0),
            commands: Some(1.0),
            machine: None,
        };
        let before = Reading { others: [Some(Duration::ZERO); OTHERS], ..before };
        let cost = after.since(before, 20);
        let wanted = Cost {
            cpu: 100.0,
            others: [None, None, None, Some(50.0)],
            statements: Some(3.0),
            commands: None,
            busy: None,
        };
        assert_eq!(cost, wanted);
        assert_eq!(before.since(before, 0).cpu, 0.0);
    }

    #[test]
    fn a_machine_is_busy_unless_it_idles_or_waits_for_a_disk() {
        let before = Machine::parse("cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1 1").unwrap();
        let after = Machine::parse("cpu  70 5 20 85 20 0 0 0 0 0").unwrap();
        assert_eq!((before.idle, before.all), (80.0, 100.0));
        assert_eq!(after.busy_since(before), 0.75);
        assert_eq!(before.busy_since(before), 1.0);
        assert!(Machine::parse("intr 5").is_none());
    }
}
