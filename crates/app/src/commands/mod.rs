//! What each subcommand does.

pub mod bench;
pub mod health;
pub mod migrate;
pub mod openapi;
pub mod outbox;
pub mod seed;
pub mod serve;
pub mod token;

use std::io::{ErrorKind, Write};

use anyhow::Result;

/// Writes a line to the standard output stream. A reader that has seen enough (`| head`) is no
/// failure.
fn say(line: impl std::fmt::Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
