use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::super::contest::closed;
use super::super::load::{Shots, Tally};
use super::super::sql::Sql;
use super::setup::Booking;

/// Longer than any burst.
const LONGEST: Duration = Duration::from_secs(30);

/// What came of a crowd that wanted one seat at once.
pub(super) struct Burst {
    /// From the first request to the last answer.
    pub millis: f64,
    pub clients: usize,
    pub winners: u64,
    /// Who were told that the seat is taken.
    pub losers: u64,
    /// Other answers.
    pub faults: String,
    /// Statements that MySQL was sent meanwhile, less what the idle service sends in that time.
    pub statements: Option<f64>,
}

/// Lets each of the crowd ask once, all at the same time.
pub(super) async fn burst(addr: SocketAddr, crowd: &[Booking], sql: Option<&Sql>) -> Result<Burst> {
    let before = count(sql).await?;
    let mut tally = gather(addr, crowd.iter().map(Booking::hold).collect()).await?;
    let between = count(sql).await?;
    // As long again with nobody there, for what the service does by itself.
    sleep(tally.took).await;
    let after = count(sql).await?;
    let losers = tally.refused.remove("409 SEAT_NOT_AVAILABLE").unwrap_or_default();
    Ok(Burst {
        millis: tally.took.as_secs_f64() * 1_000.0,
        clients: crowd.len(),
        winners: tally.good(),
        losers,
        faults: tally.faults(),
        statements: before.zip(between).zip(after).map(|((before, between), after)| {
            (between as f64 - before as f64) - (after as f64 - between as f64)
        }),
    })
}

/// Sends all of the requests at the same time, each over a connection of its own.
pub(super) async fn gather(addr: SocketAddr, requests: Vec<Vec<u8>>) -> Result<Tally> {
    let clients = requests.len();
    closed(vec![addr], clients, LONGEST, Arc::new(Shots::once(requests))).await
}

async fn count(sql: Option<&Sql>) -> Result<Option<u64>> {
    match sql {
        Some(sql) => sql.statements().await.map(Some),
        None => Ok(None),
    }
}
