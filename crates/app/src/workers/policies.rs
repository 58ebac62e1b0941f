use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::queue::QueueService;

use super::Worker;

/// Learns what the policies of queues are now. Every process does, also one that only serves
/// requests: a change that was made elsewhere holds here within a tick.
pub(super) struct Policies(pub Arc<QueueService>);

#[async_trait]
impl Worker for Policies {
    fn name(&self) -> &'static str {
        "policies"
    }

    async fn step(&self) -> Result<bool> {
        self.0.refresh_policies().await?;
        Ok(false)
    }
}
