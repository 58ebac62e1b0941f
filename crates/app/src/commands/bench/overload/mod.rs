//! `concert bench overload`: what the service does with more than it can.

mod page;
mod traffic;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::effort::Effort;
use super::load::{Load, Pace, Tally, run as play};
use super::place::Place;
use super::report::{Environment, median};
use super::service::{Memory, Service};
use super::world::{PATIENT, World};
use crate::config::Engines;
use traffic::Traffic;

/// How much comes, of what was answered when clients waited for their answers.
const FACTORS: [f64; 4] = [0.5, 1.0, 2.0, 3.0];
/// Clients while that is found out.
const CLIENTS: usize = 64;

/// How hard and how long.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scripts/services run -- scripts/bench.sh overload          on MySQL, Redis and Kafka of its own
  concert bench overload --quick                             on the embedded engine, a first look
  concert bench overload --seconds 10 --connections 2000

First clients who wait for their answers make a mix of payments, holds, reads, polls and joins: what
they get is called the capacity. Then the same mix comes by a schedule, whether or not it is answered,
at half of that, as much, twice and three times as much. Good answers, refusals and latencies are
counted for each kind; a latency counts from the time when the request was due.")]
pub(super) struct Args {
    /// Connections, and so the most requests under way.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=5_000))]
    connections: u16,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    engines: Engines,
}

/// One load of the mix: what came of each kind.
struct Step {
    factor: f64,
    /// Requests that were due in a second.
    offered: f64,
    kinds: Vec<Tally>,
}

impl Step {
    /// Good answers in a second, of all kinds.
    fn goodput(&self) -> f64 {
        self.kinds.iter().map(Tally::per_second).sum()
    }
}

/// What was found.
struct Figures {
    engines: &'static str,
    /// Good answers in a second while clients waited for them.
    capacity: f64,
    /// All rounds of all factors.
    steps: Vec<Step>,
    memory: Option<Memory>,
    /// Processor time of the service by the time that passed, at the highest load.
    busy: f64,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let place = Place::new(&args.engines).await?;
    let figures = measure(&args, &place).await;
    let cleared = place.clear().await;
    let environment = Environment::of(&args.engines).await;
    args.effort.finish(page::section(&figures?, environment))?;
    cleared
}

async fn measure(args: &Args, place: &Place) -> Result<Figures> {
    let effort = &args.effort;
    let rounds = effort.rounds().min(3);
    let during = effort.during() * effort.size(3, 2, 1);
    // A round for each factor, and those in which the capacity is found.
    let runs = rounds * (FACTORS.len() as u32 + 1);
    let world = World::new(place.ports().await?);
    let traffic = Traffic::new(&world, effort, during, runs).await?;
    drop(world);
    let service = place.serve(&PATIENT).await?;
    let bar = effort.bar("overload", runs as usize);
    let mut bench = Bench { args, service, traffic, during };
    let mut found = Vec::new();
    for _ in 0..rounds {
        bar.set_message("capacity");
        let step = bench.step(Pace::Closed, CLIENTS, 0.0).await?;
        found.push(step.goodput());
        bar.inc(1);
    }
    let capacity = median(&found);
    let (mut steps, mut busy) = (Vec::new(), 0.0);
    for _ in 0..rounds {
        for factor in FACTORS {
            bar.set_message(format!("{factor} x the capacity"));
            let (begun, before) = (Instant::now(), bench.service.cpu());
            let pace = Pace::Open((capacity * factor).max(1.0));
            steps.push(bench.step(pace, args.connections.into(), factor).await?);
            let cpu = bench.service.cpu().saturating_sub(before);
            busy = cpu.as_secs_f64() / begun.elapsed().as_secs_f64();
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let memory = bench.service.memory();
    bench.service.stop().await?;
    Ok(Figures { engines: place.engines(), capacity, steps, memory, busy })
}

struct Bench<'a> {
    args: &'a Args,
    service: Service,
    traffic: Traffic,
    during: Duration,
}

impl Bench<'_> {
    async fn step(&mut self, pace: Pace, clients: usize, factor: f64) -> Result<Step> {
        let clients = clients.min(self.args.connections.into());
        let classes = self.traffic.next(self.service.addr).await?;
        let load = Load { addrs: vec![self.service.addr], clients, pace, during: self.during };
        let kinds = play(load, classes).await.with_context(|| format!("{factor} x"))?;
        let offered = match pace {
            Pace::Closed => kinds.iter().map(Tally::per_second).sum(),
            Pace::Open(per_second) => per_second,
        };
        Ok(Step { factor, offered, kinds })
    }
}
