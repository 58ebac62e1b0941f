use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::reservation::ReservationService;

use super::Worker;

/// Tidies holds that have ended unpaid. Their seats can be taken with or without it.
pub(super) struct Sweeper(pub Arc<ReservationService>);

#[async_trait]
impl Worker for Sweeper {
    fn name(&self) -> &'static str {
        "sweeper"
    }

    async fn step(&self) -> Result<bool> {
        let swept = self.0.sweep().await?;
        metrics::counter!("concert_holds_expired_total").increment(swept.freed.len() as u64);
        Ok(swept.more)
    }
}
