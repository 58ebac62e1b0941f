//! `concert openapi`.

use anyhow::Result;

use super::say;

/// Nothing to be told.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert openapi > openapi.json
  concert openapi | head

A running service has the same document at /openapi.json and an explorer at /docs.")]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args) -> Result<()> {
    say(serde_json::to_string_pretty(&crate::openapi::document())?)
}
