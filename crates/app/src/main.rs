//! The one binary. Exit status: 0 done, 1 failed (one sentence on the standard error stream says
//! why), 2 wrong configuration or command line.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use concert_app::cli::Cli;
use concert_app::config::{self, ConfigError};

const FAILED: u8 = 1;
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    // Before any thread exists, because it writes to the environment.
    if let Err(error) = config::load_env_file() {
        return fail(MISCONFIGURED, error);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<ConfigError>() => fail(MISCONFIGURED, error),
        Err(error) => fail(FAILED, format!("{error:#}")),
    }
}

#[tokio::main]
async fn run(cli: Cli) -> anyhow::Result<()> {
    let spans = concert_app::telemetry::start(&cli.log, cli.command.telemetry())?;
    let result = cli.command.run(&cli.log).await;
    spans.stop().await;
    result
}

fn refuse(error: &clap::Error) -> ExitCode {
    if let Some(error) = ConfigError::from_clap(error) {
        return fail(MISCONFIGURED, error);
    }
    // Help and version are answers; anything else is about how the command was written.
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    error.print().ok();
    if asked { ExitCode::SUCCESS } else { ExitCode::from(MISCONFIGURED) }
}

fn fail(status: u8, reason: impl std::fmt::Display) -> ExitCode {
    // Nobody is left to be told if even this cannot be written.
    writeln!(std::io::stderr(), "concert: {reason}").ok();
    ExitCode::from(status)
}
