//! `concert bench`: figures of this build on this machine.

mod bare;
mod books;
mod cache;
mod contest;
mod costs;
mod effort;
mod growth;
mod http;
mod indexes;
mod journey;
mod limits;
pub(super) mod load;
mod locks;
mod meter;
mod overload;
mod place;
pub mod report;
mod rows;
mod seed;
mod service;
mod sql;
mod world;

use anyhow::Result;
use clap::Subcommand;

/// What is measured.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert bench http --quick                           paths beside their limits, a first look
  concert bench http --out docs/benchmarks/http.json
  concert bench journey --clients 128                  whole journeys, and a storm
  concert bench growth --waiting 1000,1000000          the same with more of everything
  concert bench indexes --out docs/benchmarks/indexes.json
  concert bench cache --out docs/benchmarks/cache.json
  concert bench locks --out docs/benchmarks/locks.json
  concert bench report                                 docs/BENCHMARKS.md from the figures kept

Use a release build. Everything is made in places of its own and removed afterwards.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every path over HTTP, beside what the machine could do.
    Http(Box<http::Args>),
    /// Whole journeys from the queue to the consumed event, and a storm.
    Journey(Box<journey::Args>),
    /// More than the service can: what is answered, refused, and how late.
    Overload(Box<overload::Args>),
    /// Whether paths cost more with more users, seats, clients and instances.
    Growth(Box<growth::Args>),
    /// Queries at a million rows without an index, with the seed's and with ours.
    Indexes(Box<indexes::Args>),
    /// Lists from the database, from Redis and from the process.
    Cache(Box<cache::Args>),
    /// Six ways to sell a seat to one of many, on the same work.
    Locks(Box<locks::Args>),
    /// The limit of an answer over HTTP, for the other benches.
    #[command(hide = true)]
    Bare,
    /// Make the page and its plots from the figures that the parts have written.
    Report(report::Args),
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    match args.what {
        What::Http(args) => http::run(*args).await,
        What::Journey(args) => journey::run(*args).await,
        What::Overload(args) => overload::run(*args).await,
        What::Growth(args) => growth::run(*args).await,
        What::Indexes(args) => indexes::run(*args).await,
        What::Cache(args) => cache::run(*args).await,
        What::Locks(args) => locks::run(*args).await,
        What::Bare => bare::run().await,
        What::Report(args) => report::run(&args),
    }
}
