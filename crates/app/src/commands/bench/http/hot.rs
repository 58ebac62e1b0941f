use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::super::contest::closed;
use super::super::load::Shots;
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
    let shots = Arc::new(Shots::once(crowd.iter().map(Booking::hold).collect()));
    let before = count(sql).await?;
    let mut tally = closed(vec![addr], crowd.len(), LONGEST, shots).await?;
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

async fn count(sql: Option<&Sql>) -> Result<Option<u64>> {
    match sql {
        Some(sql) => sql.statements().await.map(Some),
        None => Ok(None),
    }
}
