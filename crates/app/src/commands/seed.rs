//! `concert seed`.

mod bulk;
mod plan;

pub(super) use bulk::load;
pub(super) use plan::{Hall, Size};

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
  concert seed --seats 1000000 --tokens 1000000 --reservations 500000
  concert seed --seats 100000 --reservations 20000 --seed 2
  concert seed --tokens 1000000 --database-url sqlite:var/big.db

Rows made by --seats, --tokens and --reservations are spread over concerts with halls of 50 to
50,000 seats. Of the reservations some 40 in 100 are paid, with payments, ledger lines and sales
figures that agree; the others are held, held and past their time, expired or cancelled.

The same command again goes on where one before it was stopped, and does nothing if that had
ended: what there is to be follows from the numbers and the seed. Another --seed makes another
set of concerts beside it."
)]
pub struct Args {
    /// Load the demo data; does nothing if the store has a concert.
    #[arg(long)]
    demo: bool,
    /// Make so many seats, up to 50,000 to a schedule.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    seats: Option<u32>,
    /// Put so many waiting users into the queues of the concerts, most into that of the first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    tokens: Option<u32>,
    /// Make so many reservations, each of another seat; makes the seats they need.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    reservations: Option<u32>,
    /// Which of the many possible sets of rows.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long the last of the held seats stays held.
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
    let size = plan::Size {
        seed: args.seed,
        seats: args.seats.unwrap_or(0).max(args.reservations.unwrap_or(0)),
        tokens: args.tokens.unwrap_or(0),
        reservations: args.reservations.unwrap_or(0),
        hold_for: args.hold_for,
    };
    if size.seats > 0 || size.tokens > 0 {
        let loaded = bulk::load(&ports, size, &config.settings().queue).await?;
        tell(size, &loaded)?;
    }
    say("Next: concert serve")
}

fn tell(size: plan::Size, loaded: &bulk::Loaded) -> Result<()> {
    let first = loaded.concerts.first().map(ToString::to_string).unwrap_or_default();
    let verb = if loaded.already { "had all before" } else { "are there" };
    say(format_args!(
        "{} concerts from number {first} on {verb}: {} schedules, {} seats, {} reservations, {} \
         waiting users.",
        loaded.concerts.len(),
        loaded.halls.len(),
        size.seats,
        size.reservations,
        size.tokens
    ))
}
