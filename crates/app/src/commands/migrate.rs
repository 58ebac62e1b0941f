//! `concert migrate`.

use anyhow::Result;

use super::say;
use crate::composition;
use crate::config::Engines;

/// Which stores are brought to this program's version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert migrate
  concert migrate --database-url sqlite:/srv/concert/concert.db
  DATABASE_URL=mysql://concert:PASSWORD@db:3306/concert concert migrate

Safe to repeat, and safe while the service runs. `concert serve` does it by itself unless
MIGRATE_ON_START=false.")]
pub struct Args {
    #[command(flatten)]
    engines: Engines,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    for (store, steps) in composition::migrate(&args.engines).await? {
        match steps {
            0 => say(format_args!("{store} is up to date."))?,
            _ => say(format_args!("{store} was brought up to date in {steps} step(s)."))?,
        }
    }
    say("Next: concert serve")
}
