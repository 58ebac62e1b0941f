//! `concert bench cache`: what a list costs from the database, from Redis, from the process, and
//! when it need not be sent at all.

mod page;
mod subject;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use concert_adapter_redis::Redis;
use concert_domain::cache::{Cache, NEAR_FOR, NoCache};
use concert_domain::{ConcertId, Ports};
use tokio::time::sleep;

use super::super::seed::{Hall, Size, load};
use super::effort::Effort;
use super::limits::BareGet;
use super::load::Wire;
use super::place::Place;
use super::report::{Environment, median};
use super::service::Service;
use super::world::{Guest, PATIENT, World};
use crate::config::{DatabaseUrl, Engines};
use subject::{Reader, Subject};

/// Readings of one kind in a round, of which the middle one counts.
const READINGS: usize = 15;
/// Readings from the process itself, which are too quick to be timed one by one.
const NEAR_READINGS: u32 = 200;
/// Questions before a process counts as one that has been at work.
const EXERCISES: usize = 20;
/// A concert as most are, beside those of the million seats: so many halls of so many seats.
const USUAL: (u32, u32) = (5, 2_000);

/// How much there is to be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scripts/services run -- scripts/bench.sh cache             on MySQL, Redis and Kafka of its own
  concert bench cache --quick                                with fewer seats, a first look
  concert bench cache --seats 1000000 --out docs/benchmarks/cache.json

Reads lists of schedules with their free seats, and lists of seats, as the service does: from MySQL
with the cache switched off, from MySQL into the cache, from Redis by a process that has never seen
them, confirmed by Redis, from the process's own memory, and over HTTP with and without a body.

Needs MySQL and Redis. Works in a database and under keys of its own, which are removed at the end.")]
pub(super) struct Args {
    /// Seats in the database, half as many reservations [default: 1000000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    seats: Option<u32>,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    engines: Engines,
}

/// What one list took, in milliseconds; a figure for each round.
#[derive(Default)]
struct Line {
    what: String,
    kind: Kind,
    bytes: usize,
    uncached: Vec<f64>,
    missed: Vec<f64>,
    redis: Vec<f64>,
    /// The limit: the same bytes, by the client alone.
    bare: Vec<f64>,
    confirmed: Vec<f64>,
    near: Vec<f64>,
    whole: Vec<f64>,
    unchanged: Vec<f64>,
}

/// What is promised of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// What the seed's page tells of.
    #[default]
    Schedules,
    Seats,
}

pub(super) async fn run(args: Args) -> Result<()> {
    if matches!(args.engines.database_url, DatabaseUrl::Sqlite(_)) {
        bail!(
            "bench cache needs a MySQL server: --database-url mysql://USER:PASSWORD@HOST:PORT/DB"
        );
    }
    let redis = args.engines.redis().context("bench cache needs Redis: --redis-url redis://...")?;
    let url = redis.expose().to_owned();
    let place = Place::new(&args.engines).await?;
    let measured = measure(&args, &place, &url).await;
    let cleared = place.clear().await;
    let environment = Environment::of(&args.engines).await;
    args.effort.finish(page::section(args.seats(), &measured?, environment))?;
    cleared
}

impl Args {
    fn seats(&self) -> u32 {
        self.seats.unwrap_or_else(|| self.effort.size(1_000_000, 100_000, 2_000))
    }
}

async fn measure(args: &Args, place: &Place, redis: &str) -> Result<Vec<Line>> {
    let ports = place.ports().await?;
    let world = World::new(ports.clone());
    let subjects = subjects(args, &ports, &world).await?;
    if let Some(sql) = place.sql() {
        sql.run("ANALYZE TABLE seats, schedules, reservations").await?;
    }
    let bench = Bench {
        service: place.serve(&PATIENT).await?,
        redis: (redis.to_owned(), format!("{}:", place.prefix())),
        ports,
        asked: AtomicUsize::new(0),
    };
    let bar = args.effort.bar("lists", subjects.len() * args.effort.rounds() as usize);
    let mut lines = Vec::new();
    for (subject, guest) in subjects {
        let mut line = Line { what: subject.what(), kind: subject.kind(), ..Line::default() };
        for _ in 0..args.effort.rounds() {
            bench.round(&subject, &guest, &mut line).await.with_context(|| subject.what())?;
            bar.inc(1);
        }
        lines.push(line);
    }
    bar.finish_and_clear();
    bench.service.stop().await?;
    Ok(lines)
}

/// The lists, each with somebody who may read it.
async fn subjects(args: &Args, ports: &Ports, world: &World) -> Result<Vec<(Subject, Guest)>> {
    let seats = args.seats();
    let hold_for = Duration::from_secs(24 * 3_600);
    let size = Size { seed: 1, seats, tokens: 0, reservations: seats / 2, hold_for };
    let loaded = load(ports, size, &super::world::patient()).await?;
    let usual = world.concert().await?;
    world.halls(usual, USUAL.0, USUAL.1.min(seats)).await?;
    let first = *loaded.concerts.first().context("a concert")?;
    let (reader, usual_reader) = (reader(world, first).await?, reader(world, usual).await?);
    let own: Vec<_> = loaded.halls.iter().filter(|hall| hall.concert == first).collect();
    let title = format!("schedules, {} halls of {}", USUAL.0, USUAL.1.min(seats));
    let mut subjects = vec![(Subject::schedules(title, usual), usual_reader)];
    let all: u32 = own.iter().map(|hall| hall.seats).sum();
    let title = format!("schedules, {} halls with {all} seats", own.len());
    subjects.push((Subject::schedules(title, first), reader.clone()));
    for wanted in [50, 2_000, 50_000] {
        let near = |hall: &&&Hall| hall.seats.abs_diff(wanted);
        let hall = own.iter().min_by_key(near).context("a hall")?;
        let title = format!("seats, hall of {}", hall.seats);
        if !subjects.iter().any(|(known, _)| known.what() == title) {
            subjects.push((Subject::seats(title, hall), reader.clone()));
        }
    }
    Ok(subjects)
}

async fn reader(world: &World, concert: ConcertId) -> Result<Guest> {
    world.admitted(concert, 1).await?.pop().context("a reader")
}

/// Whom the lists are read from.
struct Bench {
    service: Service,
    /// URL and prefix.
    redis: (String, String),
    ports: Ports,
    /// Names that were asked for and that do not exist.
    asked: AtomicUsize,
}

impl Bench {
    async fn round(&self, subject: &Subject, guest: &Guest, line: &mut Line) -> Result<()> {
        let uncached = Reader::over(&self.ports, Arc::new(NoCache));
        line.uncached.push(middle(READINGS, async || uncached.timed(subject).await).await?);

        let cache = Arc::new(self.process().await?);
        let reader = Reader::over(&self.ports, cache.clone());
        let missed = async || {
            cache.bump(&[subject.name()]).await?;
            reader.timed(subject).await
        };
        line.missed.push(middle(READINGS, missed).await?);

        // Every reading by a process that has never seen the list.
        let from_redis = async || {
            let cache = Arc::new(self.process().await?);
            self.exercise(&cache).await?;
            Reader::over(&self.ports, cache).timed(subject).await
        };
        line.redis.push(middle(READINGS, from_redis).await?);

        let confirmed = async || {
            sleep(NEAR_FOR + Duration::from_millis(1)).await;
            reader.timed(subject).await
        };
        line.confirmed.push(middle(5, confirmed).await?);

        reader.timed(subject).await?;
        let begun = Instant::now();
        for _ in 0..NEAR_READINGS {
            line.bytes = reader.read(subject).await?.body().len();
        }
        line.near.push(millis(begun.elapsed()) / f64::from(NEAR_READINGS));
        let mut bare = BareGet::of(&self.redis.0, line.bytes).await?;
        line.bare.push(middle(READINGS, async || bare.timed().await).await?);
        bare.clear().await?;
        self.over_http(subject, guest, line).await
    }

    /// The same answers over one connection, as a client sees them.
    async fn over_http(&self, subject: &Subject, guest: &Guest, line: &mut Line) -> Result<()> {
        let mut wire = Wire::open(self.service.addr).await?;
        let whole = subject.request(guest, "");
        let tag = {
            let answer = wire.exchange(&whole).await?;
            (answer.status == 200).then_some(()).context("the list over HTTP")?;
            answer.header("etag").map(str::to_owned)
        };
        line.whole.push(answered(&mut wire, &whole, 200).await?);
        // Schedules have none: a hold anywhere in the concert makes the list another one.
        if let Some(tag) = tag {
            let unchanged = subject.request(guest, &format!("if-none-match: {tag}\r\n"));
            line.unchanged.push(answered(&mut wire, &unchanged, 304).await?);
        }
        Ok(())
    }

    /// Uses the connections as those of a process that serves have been used. Nobody else asks for
    /// these names: a second one would wait for the first to fill them.
    async fn exercise(&self, cache: &Redis) -> Result<()> {
        for _ in 0..EXERCISES {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            cache.get(&format!("bench:{number}"), "none").await?;
        }
        Ok(())
    }

    /// The cache as a process has it that has just been started.
    async fn process(&self) -> Result<Redis> {
        let (url, prefix) = &self.redis;
        Ok(Redis::connect(url, prefix).await?)
    }
}

/// The middle of so many readings of one request.
async fn answered(wire: &mut Wire, request: &[u8], status: u16) -> Result<f64> {
    let mut times = Vec::with_capacity(READINGS);
    for _ in 0..READINGS {
        let begun = Instant::now();
        let told = wire.exchange(request).await?.status;
        times.push(millis(begun.elapsed()));
        (told == status).then_some(()).with_context(|| format!("{told} instead of {status}"))?;
    }
    Ok(median(&times))
}

/// The middle of so many readings.
async fn middle(readings: usize, mut read: impl AsyncFnMut() -> Result<Duration>) -> Result<f64> {
    let mut times = Vec::with_capacity(readings);
    for _ in 0..readings {
        times.push(millis(read().await?));
    }
    Ok(median(&times))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
