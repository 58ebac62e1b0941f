//! `concert seed`.

mod bulk;

use std::time::Duration;

use anyhow::Result;
use clap::ArgGroup;

use super::say;
use crate::config::{self, Config, Engines};
use crate::{composition, demo};

/// What is loaded, and into which store.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").required(true).multiple(true)
        .args(["demo", "seats", "tokens", "reservations"]),
    after_help = "\
Examples:
  concert seed --demo
  concert seed --seats 100000
  concert seed --seats 100000 --reservations 20000 --tokens 1000000
  concert seed --tokens 1000000 --database-url sqlite:var/big.db

Rows made by --seats, --tokens and --reservations belong to one new concert, whose number is
printed. Every run makes another one."
)]
pub struct Args {
    /// Load the demo data; does nothing if the store has a concert.
    #[arg(long)]
    demo: bool,
    /// Make a concert with so many seats, up to 50,000 to a schedule.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    seats: Option<u32>,
    /// Put so many waiting users into the concert's queue.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    tokens: Option<u32>,
    /// Hold so many of the seats, one user each, as requests would; makes the seats they need.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    reservations: Option<u32>,
    /// How long the seats of --reservations stay held.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = config::duration)]
    hold_for: Duration,
    #[command(flatten)]
    engines: Engines,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let config = Config { engines: args.engines, ..Config::default() };
    let ports = composition::engine(&config).await?;
    if args.demo {
        if demo::load_if_empty(&*ports.seeds).await? {
            say("Loaded ten concerts with three schedules of fifty seats, and users 1 to 100.")?;
        } else {
            say("The store has concerts already; the demo data was left out.")?;
        }
    }
    let wanted = bulk::Wanted {
        seats: args.seats.unwrap_or(0).max(args.reservations.unwrap_or(0)),
        tokens: args.tokens.unwrap_or(0),
        reservations: args.reservations.unwrap_or(0),
        hold_for: args.hold_for,
        rules: config.settings().queue,
    };
    if wanted.anything() {
        let concert = bulk::load(&ports, &wanted).await?;
        say(format_args!(
            "Concert {concert} has {} seats, {} waiting users and {} held seats.",
            wanted.seats, wanted.tokens, wanted.reservations
        ))?;
    }
    say("Next: concert serve")
}
