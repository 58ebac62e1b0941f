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
        Ok(ticked.more)
    }
}
