use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::queue::QueueService;

use super::Worker;

/// Admits waiting users where time alone has freed a slot.
pub(super) struct Admission(pub Arc<QueueService>);

#[async_trait]
impl Worker for Admission {
    fn name(&self) -> &'static str {
        "admission"
    }

    async fn step(&self) -> Result<bool> {
        let ticked = self.0.tick().await?;
        if ticked.admitted + ticked.dropped > 0 {
            tracing::debug!(admitted = ticked.admitted, dropped = ticked.dropped, "queue tick");
        }
        metrics::counter!("concert_queue_admitted_by_tick_total").increment(ticked.admitted);
        metrics::counter!("concert_queue_dropped_by_tick_total").increment(ticked.dropped);
        Ok(ticked.more)
    }
}
