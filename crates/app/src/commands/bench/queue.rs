//! `concert bench queue`: does the cost of a poll, a join or a tick grow with the queue?

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use concert_domain::concert::Concert;
use concert_domain::queue::{Join, QueueStore, QueueToken, Rules};
use concert_domain::seed::Dataset;
use concert_domain::{ConcertId, IdKind, Ports, UserId};
use serde_json::json;

use super::super::say;
use super::table::{Row, Times, render};
use crate::composition;
use crate::config::{Config, Engines};

/// Calls of each kind.
const CALLS: u32 = 1_000;
/// Ticks of each kind.
const TICKS: u32 = 200;
/// How many are admitted by one tick that has room: so few that the short queue lasts.
const ROOM: u32 = 5;
/// Users to a transaction while the queue is filled.
const CHUNK: u32 = 50_000;
/// The queue for comparison.
const SHORT: u32 = 1_000;

/// How long the queue is.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many users wait; a queue of 1,000 is measured beside it.
    #[arg(long, default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    waiting: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { waiting: 1_000_000, json: false }
    }
}

struct Figures {
    waiting: u32,
    filled_in: Duration,
    rows: Vec<Row>,
    resident_mib: Option<u64>,
    file_mib: u64,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let mut all = Vec::new();
    for waiting in [SHORT, args.waiting] {
        let figures = measure(waiting).await?;
        if !args.json {
            say(report(&figures))?;
        }
        all.push(figures);
    }
    if args.json {
        return say(json!({ "queues": all.iter().map(json_of).collect::<Vec<_>>() }));
    }
    say("Compare the two tables: a column that does not grow does not depend on the queue.")
}

async fn measure(waiting: u32) -> Result<Figures> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let path = folder.path().join("queue.db");
    let config = Config { engines: Engines::embedded(&path), ..Config::default() };
    let ports = composition::engine(&config).await?;
    let concert = make_concert(&ports).await?;
    let started = Instant::now();
    let rules = config.settings().queue;
    fill(&ports, concert, waiting, &rules).await?;
    let filled_in = started.elapsed();

    let queue = &*ports.queue;
    queue.tick(concert, &rules).await?;
    let (join, tokens) = joins(&ports, concert, &rules).await?;
    let poll = polls(queue, &tokens, &rules).await?;
    let idle = ticks(queue, concert, rules, 0).await?;
    let admitting = ticks(queue, concert, rules, ROOM).await?;
    Ok(Figures {
        waiting,
        filled_in,
        rows: vec![
            row("poll", poll),
            row("join", join),
            row("tick, full", idle),
            row("tick, admits", admitting),
        ],
        resident_mib: resident_mib(),
        file_mib: size_of(&path) / (1 << 20),
    })
}

async fn make_concert(ports: &Ports) -> Result<ConcertId> {
    let id = ports.ids.take(IdKind::Concert, 1).await?.first.try_into()?;
    let concert = Concert { id, title: "A long queue".to_owned(), description: None, version: 1 };
    ports.seeds.load(Dataset { concerts: vec![concert], ..Dataset::default() }).await?;
    Ok(id)
}

async fn fill(ports: &Ports, concert: ConcertId, waiting: u32, rules: &Rules) -> Result<()> {
    for from in (0..waiting).step_by(CHUNK as usize) {
        let users = i64::from(from) + 1..=i64::from(waiting.min(from + CHUNK));
        let waiting = users.map(|user| Ok((UserId::try_from(user)?, ports.tokens.fresh())));
        let waiting = waiting.collect::<Result<_>>()?;
        ports.queue_seeds.fill_queue(concert, waiting, rules).await?;
    }
    Ok(())
}

/// Users at the tail join; their tokens are polled afterwards.
async fn joins(
    ports: &Ports,
    concert: ConcertId,
    rules: &Rules,
) -> Result<(Measured, Vec<QueueToken>)> {
    let mut tokens = Vec::new();
    let mut measured = Measured::start()?;
    for n in 0..CALLS {
        // Above every user that the queue was filled with.
        let user = UserId::try_from(1_000_000_000 + i64::from(n))?;
        let token = ports.tokens.fresh();
        let join = Join { concert, user, token: token.clone() };
        measured.call(ports.queue.join(join, rules)).await?;
        tokens.push(token);
    }
    Ok((measured, tokens))
}

async fn polls(queue: &dyn QueueStore, tokens: &[QueueToken], rules: &Rules) -> Result<Measured> {
    let mut measured = Measured::start()?;
    for token in tokens {
        measured.call(queue.poll(token, rules)).await?;
    }
    Ok(measured)
}

/// Ticks that find so much more room each.
async fn ticks(
    queue: &dyn QueueStore,
    concert: ConcertId,
    mut rules: Rules,
    room: u32,
) -> Result<Measured> {
    let mut measured = Measured::start()?;
    for _ in 0..TICKS {
        rules.active_limit += room;
        measured.call(queue.tick(concert, &rules)).await?;
    }
    Ok(measured)
}

/// Calls one after the other.
struct Measured {
    times: Times,
    during: Duration,
}

impl Measured {
    fn start() -> Result<Self> {
        Ok(Self { times: Times::new()?, during: Duration::ZERO })
    }

    async fn call<T>(
        &mut self,
        call: impl Future<Output = concert_domain::Result<T>>,
    ) -> Result<()> {
        let started = Instant::now();
        call.await?;
        let took = started.elapsed();
        self.times.record(took);
        self.during += took;
        Ok(())
    }
}

fn row(what: &'static str, Measured { times, during }: Measured) -> Row {
    Row { what, times, during }
}

fn report(figures: &Figures) -> String {
    let resident = figures.resident_mib.map_or_else(|| "?".to_owned(), |mib| mib.to_string());
    format!(
        "{} waiting (filled in {:.1} s; process {resident} MiB resident, store {} MiB)\n{}\n",
        figures.waiting,
        figures.filled_in.as_secs_f64(),
        figures.file_mib,
        render(&figures.rows)
    )
}

fn json_of(figures: &Figures) -> serde_json::Value {
    json!({
        "waiting": figures.waiting,
        "fillSeconds": figures.filled_in.as_secs_f64(),
        "residentMib": figures.resident_mib,
        "storeMib": figures.file_mib,
        "calls": figures.rows.iter().map(Row::json).collect::<Vec<_>>(),
    })
}

/// The resident memory of this process, where the system tells it.
fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1_024)
}

/// The size of the store with its log.
fn size_of(path: &Path) -> u64 {
    let log = path.with_extension("db-wal");
    [path, &log].iter().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_short_queue_is_measured_without_a_failure() {
        let figures = measure(200).await.unwrap();
        assert!(figures.rows.iter().all(|row| row.times.count() > 0 && row.times.errors == 0));
        assert!(figures.file_mib < 100);
    }
}
