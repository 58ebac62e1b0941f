//! `concert bench growth`: does a path cost more when there is more of everything?

mod page;
mod paths;

use std::sync::Arc;

use anyhow::{Context, Result};
use indicatif::ProgressBar;

use super::contest::{Lane, Outcome, Runner, Supply, play};
use super::effort::Effort;
use super::meter::{Meter, Servers};
use super::place::Place;
use super::report::Environment;
use super::service::Service;
use super::world::{PATIENT, World};
use crate::config::Engines;
use paths::{Growing, Halls, Queues};

/// Who are asked beside each other.
const INSTANCES: usize = 3;
/// Clients while instances are compared.
const CLIENTS: usize = 128;
const LANES: usize = 30;

/// How much of everything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scripts/services run -- scripts/bench.sh growth            on MySQL, Redis and Kafka of its own
  concert bench growth --quick                               on the embedded engine, smaller
  concert bench growth --waiting 1000,1000000 --clients 16,128 --rounds 5

Status and join with a queue that grows, seats and hold with a table of seats that grows, all of them
with more and more clients, and with one instance and three (on MySQL, Redis and Kafka only).")]
pub(super) struct Args {
    /// How many users wait, from few to many [default: 1000,100000,1000000].
    #[arg(long, value_delimiter = ',', value_name = "COUNT,...",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    waiting: Vec<u32>,
    /// How many seats there are, from few to many [default: 1000,1000000]. Those that are held
    /// meanwhile come on top.
    #[arg(long, value_delimiter = ',', value_name = "COUNT,...",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    seats: Vec<u32>,
    /// Clients that each wait for an answer [default: 1,16,128,1000].
    #[arg(long, value_delimiter = ',', value_name = "COUNT,...",
          value_parser = clap::value_parser!(u16).range(1..=5_000))]
    clients: Vec<u16>,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    engines: Engines,
}

impl Args {
    fn waiting(&self) -> Vec<u32> {
        let sizes = || {
            self.effort.size(
                vec![1_000, 100_000, 1_000_000],
                vec![1_000, 100_000],
                vec![100, 1_000],
            )
        };
        if self.waiting.is_empty() { sizes() } else { self.waiting.clone() }
    }

    fn seats(&self) -> Vec<u32> {
        let sizes =
            || self.effort.size(vec![1_000, 1_000_000], vec![1_000, 100_000], vec![100, 500]);
        if self.seats.is_empty() { sizes() } else { self.seats.clone() }
    }

    fn clients(&self) -> Vec<usize> {
        let sizes = || self.effort.size(vec![1, 16, 128, 1_000], vec![1, 128], vec![1, 8]);
        let own = || self.clients.iter().map(|clients| usize::from(*clients)).collect();
        if self.clients.is_empty() { sizes() } else { own() }
    }

    /// Fewer than elsewhere, since there are so many points.
    fn rounds(&self) -> u32 {
        self.effort.rounds().min(3)
    }
}

/// One line of a plot: a path in one setting, by the number of clients.
struct Line {
    path: String,
    setting: String,
    points: Vec<(usize, Outcome)>,
}

/// What was found.
struct Figures {
    engines: &'static str,
    /// By waiting users, by seats, and by instances.
    waiting: Vec<Line>,
    seats: Vec<Line>,
    instances: Vec<Line>,
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
    let settings = args.waiting().len() + args.seats().len();
    let steps = settings * args.clients().len() * args.rounds() as usize * 2;
    let bench = Bench { args, place, bar: args.effort.bar("growth", steps + LANES) };
    let mut queues = Queues::default();
    let mut waiting = Vec::new();
    for count in args.waiting() {
        let paths = queues.grow_to(count, &bench.world().await?, args).await?;
        waiting.extend(bench.by_clients(&format!("{count} waiting"), paths).await?);
    }
    let mut halls = Halls::default();
    let mut seats = Vec::new();
    for count in args.seats() {
        let paths = halls.grow_to(count, &bench.world().await?, args).await?;
        seats.extend(bench.by_clients(&format!("{count} seats"), paths).await?);
    }
    let instances = if place.is_shared() {
        bench.by_instances(&mut queues, &mut halls).await?
    } else {
        Vec::new()
    };
    bench.bar.finish_and_clear();
    Ok(Figures { engines: place.engines(), waiting, seats, instances })
}

struct Bench<'a> {
    args: &'a Args,
    place: &'a Place,
    bar: ProgressBar,
}

impl Bench<'_> {
    /// To be dropped before a service is started: the embedded engine is for one process.
    async fn world(&self) -> Result<World> {
        Ok(World::new(self.place.ports().await?))
    }

    /// A line for each path.
    async fn by_clients(&self, setting: &str, paths: Vec<Growing>) -> Result<Vec<Line>> {
        let service = self.place.serve(&PATIENT).await?;
        let lanes = lanes(&paths, std::slice::from_ref(&service));
        let meter = Arc::new(Meter::of(&service, self.place, &self.args.servers));
        let mut lanes: Vec<_> = lanes.into_iter().map(|lane| lane.metered(&meter)).collect();
        let line = |path: &Growing| Line {
            path: path.name.clone(),
            setting: setting.to_owned(),
            points: Vec::new(),
        };
        let mut lines: Vec<_> = paths.iter().map(line).collect();
        for clients in self.args.clients() {
            for (line, outcome) in lines.iter_mut().zip(self.play(&mut lanes, clients).await?) {
                line.points.push((clients, outcome));
            }
        }
        service.stop().await?;
        Ok(lines)
    }

    /// One instance and then several, on the same data.
    async fn by_instances(&self, queues: &mut Queues, halls: &mut Halls) -> Result<Vec<Line>> {
        let clients = if self.args.effort.smoke() { 8 } else { CLIENTS };
        let mut lines: Vec<Line> = Vec::new();
        for count in [1, INSTANCES] {
            let world = self.world().await?;
            let mut paths = queues.again(&world, self.args).await?;
            paths.extend(halls.again(&world, self.args).await?);
            drop(world);
            let mut services = Vec::new();
            for _ in 0..count {
                services.push(self.place.serve(&PATIENT).await?);
            }
            let outcomes = self.play(&mut lanes(&paths, &services), clients).await?;
            for outcome in outcomes {
                match lines.iter_mut().find(|line| line.path == outcome.name) {
                    Some(line) => line.points.push((count, outcome)),
                    None => lines.push(Line {
                        path: outcome.name.clone(),
                        setting: format!("{clients} clients"),
                        points: vec![(count, outcome)],
                    }),
                }
            }
            for service in services {
                service.stop().await?;
            }
        }
        Ok(lines)
    }

    async fn play(&self, lanes: &mut [Lane], clients: usize) -> Result<Vec<Outcome>> {
        let (rounds, during) = (self.args.rounds(), self.args.effort.during());
        play(lanes, clients, rounds, during, &self.bar).await.context("growth")
    }
}

fn lanes(paths: &[Growing], services: &[Service]) -> Vec<Lane> {
    let addrs: Vec<_> = services.iter().map(|service| service.addr).collect();
    let lane = |path: &Growing| {
        let supply: Supply = path.supply.clone();
        Lane::new(path.name.clone(), Runner::Http(addrs.clone(), supply))
    };
    paths.iter().map(lane).collect()
}
