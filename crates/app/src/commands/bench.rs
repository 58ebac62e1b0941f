//! `concert bench`: figures of this build on this machine.

mod http;
mod queue;
pub mod report;
mod table;

use anyhow::Result;
use clap::Subcommand;

/// What is measured; everything, if nothing is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert bench                                        both benchmarks with their defaults
  concert bench http --seconds 10 --clients 64
  concert bench http --url http://127.0.0.1:8080       against a service that runs already
  concert bench queue --waiting 1000000 --json
  concert bench report                                 docs/BENCHMARKS.md from the figures kept

Use a release build. Everything is made in a temporary folder that is removed afterwards, except
that `bench http` makes a concert with its buyers in the service that --url names, or in the
engines of the environment if DATABASE_URL is a MySQL server.")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Status, seats, join, hold and pay over HTTP, by clients that wait for each answer.
    Http(http::Args),
    /// Poll, join and admission in long queues, without HTTP.
    Queue(queue::Args),
    /// Make the page and its plots from the figures that the parts have written.
    Report(report::Args),
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    match args.what {
        Some(What::Http(args)) => http::run(args).await,
        Some(What::Queue(args)) => queue::run(args).await,
        Some(What::Report(args)) => report::run(&args),
        None => {
            http::run(http::Args::default()).await?;
            queue::run(queue::Args::default()).await
        }
    }
}
