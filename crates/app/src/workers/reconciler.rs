use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::point::PointService;

use super::Worker;

/// Settles charges whose request died between the payment gateway and the store.
pub(super) struct Reconciler(pub Arc<PointService>);

#[async_trait]
impl Worker for Reconciler {
    fn name(&self) -> &'static str {
        "reconciler"
    }

    async fn step(&self) -> Result<bool> {
        let settled = self.0.reconcile().await?;
        if settled > 0 {
            tracing::info!(settled, "charges settled after their request had died");
        }
        // What is left waits for the gateway, so there is nothing to do at once.
        Ok(false)
    }
}
