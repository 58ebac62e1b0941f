//! `concert bench journey`: whole journeys, and a storm.

mod buyer;
mod page;
mod play;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::books::{self, Effects};
use super::effort::Effort;
use super::meter::{Cost, Meter, Reading, Servers};
use super::place::Place;
use super::report::{Environment, median};
use super::service::{Memory, Service};
use super::world::World;
use crate::config::Engines;
use buyer::Wish;
use play::{Storm, Told, all_at_once, in_turn};

/// More journeys in a second than any machine here makes; so many seats are there.
const JOURNEYS_A_SECOND: u32 = 2_000;
/// Seats to a hall, as in the demo data.
const HALL: u32 = 50;
const CONCERTS: u32 = 10;
/// Who may be inside of a concert at a time.
const INSIDE: u32 = 200;
/// How many times more come in a storm than can be served.
const STORM: f64 = 10.0;
/// Connections that the comers of a storm share.
const CONNECTIONS: usize = 256;
/// Claims are short, so that whoever waits is told to poll every second or two.
const VARIABLES: [(&str, &str); 2] = [("QUEUE_CLAIM_TTL", "4s"), ("QUEUE_TICK", "100ms")];

/// How hard and how long.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scripts/services run -- scripts/bench.sh journey           on MySQL, Redis and Kafka of its own
  concert bench journey --quick                              on the embedded engine, a first look
  concert bench journey --clients 64 --rounds 3 --seconds 10

A journey: join the queue, poll as told until admitted, look at the seats, hold one, charge, pay, see
the slot freed; and its event has been consumed. Journeys with one concert and with ten take turns.
Then a storm: ten times as many come as can be served, and whoever is admitted must finish. After
every run the books are checked.")]
pub(super) struct Args {
    /// Clients who make one journey after the other.
    #[arg(long, default_value_t = 128, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    engines: Engines,
}

/// One run of journeys.
struct Run {
    told: Told,
    /// From the first join until the last event had its effect.
    consumed: Duration,
    /// What each journey took.
    cost: Cost,
}

impl Run {
    fn paid_per_second(&self) -> f64 {
        self.told.paid as f64 / self.told.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn whole_per_second(&self) -> f64 {
        self.told.paid as f64 / self.consumed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// What was found.
struct Figures {
    engines: &'static str,
    clients: usize,
    /// With one concert, and with ten.
    runs: [Vec<Run>; 2],
    storm: (Storm, Run),
    memory: Option<Memory>,
    /// How many payments the books were checked for, how often.
    checked: (i64, usize),
    by_tables: bool,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let place = Place::new(&args.engines).await?;
    let figures = measure(&args, &place).await;
    let cleared = place.clear().await;
    let environment = Environment::of(&args.engines).await;
    args.effort.finish(page::section(&figures?, &args.effort, environment))?;
    cleared
}

async fn measure(args: &Args, place: &Place) -> Result<Figures> {
    let effort = &args.effort;
    let rounds = effort.rounds() as usize;
    let world = World::new(place.ports().await?);
    let each = effort.supply(JOURNEYS_A_SECOND * effort.size(3, 2, 1));
    let mut wishes = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        wishes[0].push(seats(&world, 1, each).await?);
        wishes[1].push(seats(&world, CONCERTS, each).await?);
    }
    // A storm lasts longer than a run, but sells no faster.
    let stormed = seats(&world, 1, each * 6).await?;
    let first_user = world.users(rounds as u32 * 2 * each).await?.start;
    let comers = world.users(1_000_000).await?.start;
    drop(world);
    let service = place.serve(&VARIABLES).await?;
    let meter = Meter::of(&service, place, &args.servers);
    let effects = match place.sql() {
        Some(sql) => Effects::Table(sql),
        None => Effects::Ranking(service.addr),
    };
    let mut bench =
        Bench { args, place, service, meter, effects, sold: 0, checks: 0, next_user: first_user };
    let bar = effort.bar("journeys", rounds * 2 + 1);
    let mut runs = [Vec::new(), Vec::new()];
    for [one, ten] in (0..rounds).map(|_| wishes.each_mut().map(Vec::pop)) {
        for (runs, wishes) in runs.iter_mut().zip([one, ten]) {
            bar.set_message("journeys");
            runs.push(bench.journeys(wishes.context("seats for a run")?).await?);
            bar.inc(1);
        }
    }
    bar.set_message("storm");
    let rates: Vec<_> = runs[0].iter().map(Run::paid_per_second).collect();
    let storm = bench.storm(median(&rates), stormed, comers).await?;
    bar.finish_and_clear();
    let memory = bench.service.memory();
    let (engines, clients) = (place.engines(), args.clients.into());
    let checked = (bench.sold, bench.checks);
    bench.service.stop().await?;
    let by_tables = place.sql().is_some();
    Ok(Figures { engines, clients, runs, storm, memory, checked, by_tables })
}

/// Seats of so many concerts in turn, each with the admission that all have.
async fn seats(world: &World, concerts: u32, count: u32) -> Result<Vec<Wish>> {
    let each = count.div_ceil(concerts);
    let mut by_concert = Vec::new();
    for _ in 0..concerts {
        let concert = world.concert().await?;
        world.limit(concert, INSIDE).await?;
        let halls = world.halls(concert, each.div_ceil(HALL), HALL).await?;
        let wishes: Vec<_> = halls
            .iter()
            .flat_map(|hall| {
                let (concert, schedule) = (concert.get(), hall.schedule.get());
                hall.seats.clone().map(move |seat| Wish { concert, schedule, seat })
            })
            .collect();
        by_concert.push(wishes);
    }
    let count = by_concert.iter().map(Vec::len).max().unwrap_or_default();
    let turn = |number| by_concert.iter().filter_map(move |wishes: &Vec<Wish>| wishes.get(number));
    Ok((0..count).flat_map(turn).copied().collect())
}

struct Bench<'a> {
    args: &'a Args,
    place: &'a Place,
    service: Service,
    meter: Meter,
    effects: Effects,
    /// Payments so far.
    sold: i64,
    checks: usize,
    next_user: i64,
}

impl Bench<'_> {
    async fn journeys(&mut self, wishes: Vec<Wish>) -> Result<Run> {
        let effort = &self.args.effort;
        let during = effort.during() * effort.size(3, 2, 1);
        let (begun, before) = (Instant::now(), self.meter.read().await?);
        let first = self.next_user;
        self.next_user += wishes.len() as i64;
        let clients = self.args.clients.into();
        let told = in_turn(self.service.addr, clients, during, first, wishes).await?;
        self.close(told, begun, before).await
    }

    async fn storm(
        &mut self,
        capacity: f64,
        wishes: Vec<Wish>,
        first_user: i64,
    ) -> Result<(Storm, Run)> {
        let effort = &self.args.effort;
        let seconds = effort.size(3, 2, 1) as f64 * effort.during().as_secs_f64();
        let storm = Storm {
            arrivals_per_second: STORM * capacity.clamp(1.0, 2_000.0),
            during: Duration::from_secs_f64(seconds),
            patience: Duration::from_secs_f64(seconds * 3.0),
            connections: CONNECTIONS,
        };
        let concert = wishes.first().context("a seat")?.concert;
        let (begun, before) = (Instant::now(), self.meter.read().await?);
        let told = all_at_once(self.service.addr, storm, concert, first_user, wishes).await?;
        let run = self.close(told, begun, before).await?;
        Ok((storm, run))
    }

    /// Waits for the events, and checks the books.
    async fn close(&mut self, told: Told, begun: Instant, before: Reading) -> Result<Run> {
        let cost = self.meter.read().await?.since(before, told.paid);
        self.sold += told.paid as i64;
        self.effects.wait_for(self.sold).await?;
        let consumed = begun.elapsed();
        if let Some(sql) = self.place.sql() {
            let faults = books::read(&sql, self.sold).await?.faults();
            anyhow::ensure!(faults.is_empty(), "the books are wrong: {}", faults.join("; "));
        }
        self.checks += 1;
        Ok(Run { told, consumed, cost })
    }
}
