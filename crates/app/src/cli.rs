//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{bench, health, migrate, openapi, outbox, seed, serve, token};
use crate::config::{LogArgs, Telemetry};

/// A concert seat reservation service in one binary.
///
/// `concert serve` needs nothing beside it: the embedded engine keeps everything in one file.
#[derive(Debug, Parser)]
#[command(name = "concert", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How the process logs.
    #[command(flatten)]
    pub log: LogArgs,
}

const EXAMPLES: &str = "\
Examples:
  concert serve --seed-demo          serve the API with demo data on http://127.0.0.1:8080
  concert serve --help               every setting, its default and its range
  concert seed --demo                load the demo data into an empty store
  concert outbox dead                events that could not be handled, and why

Settings are read from flags, then the environment, then a .env file in the working folder.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API and run the workers.
    Serve(Box<serve::Args>),
    /// Bring the store to this program's version.
    Migrate(migrate::Args),
    /// Load the demo data, or masses of rows for measuring.
    Seed(seed::Args),
    /// Print the OpenAPI document.
    Openapi(openapi::Args),
    /// Look at events on their way, and bring dead letters back.
    Outbox(outbox::Args),
    /// Ask a running service whether it can serve.
    Health(health::Args),
    /// Make a bearer token for trying things out.
    Token(token::Args),
    /// Measure the service.
    Bench(bench::Args),
}

impl Command {
    /// What the command tells of itself, and to whom.
    pub fn telemetry(&self) -> Option<&Telemetry> {
        match self {
            Self::Serve(args) => Some(args.telemetry()),
            _ => None,
        }
    }

    /// Runs the command to its end.
    pub async fn run(self, log: &LogArgs) -> anyhow::Result<()> {
        match self {
            Self::Serve(args) => serve::run(*args, log).await,
            Self::Migrate(args) => migrate::run(args).await,
            Self::Seed(args) => seed::run(args).await,
            Self::Openapi(args) => openapi::run(&args),
            Self::Outbox(args) => outbox::run(args).await,
            Self::Health(args) => health::run(args).await,
            Self::Token(args) => token::run(&args),
            Self::Bench(args) => bench::run(args).await,
        }
    }
}
