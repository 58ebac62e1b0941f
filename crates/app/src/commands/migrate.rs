//! `concert migrate`.

use anyhow::Result;

use super::say;
use crate::composition;
use crate::config::StoreArgs;

/// Which store is brought to this program's version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert migrate
  concert migrate --database-url sqlite:/srv/concert/concert.db

Safe to repeat, and safe while the service runs. `concert serve` does it by itself unless
MIGRATE_ON_START=false.")]
pub struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let config = args.store.config();
    let path = config.database_url.path();
    match composition::migrate(&config).await? {
        0 => say(format_args!("{} is up to date.", path.display())),
        steps => say(format_args!(
            "{} was brought up to date in {steps} step(s). Next: concert serve",
            path.display()
        )),
    }
}
