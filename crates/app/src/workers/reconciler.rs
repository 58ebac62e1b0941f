use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::point::PointService;

use super::Worker;

/// Settles charges whose request died between the payment gateway and the store.
pub(super) struct Reconciler(Arc<PointService>);

impl Reconciler {
    /// Starts the counters that an alert looks at.
    pub(super) fn new(points: Arc<PointService>) -> Self {
        for result in ["approved", "declined", "waiting"] {
            count(result, 0);
        }
        Self(points)
    }
}

#[async_trait]
impl Worker for Reconciler {
    fn name(&self) -> &'static str {
        "reconciler"
    }

    async fn step(&self) -> Result<bool> {
        let done = self.0.reconcile().await?;
        count("approved", done.approved);
        count("declined", done.declined);
        count("waiting", done.waiting);
        if done.approved + done.declined > 0 {
            let (approved, declined) = (done.approved, done.declined);
            tracing::info!(approved, declined, "charges settled after their request had died");
        }
        if done.waiting > 0 {
            let waiting = done.waiting;
            tracing::warn!(waiting, "the gateway cannot tell what became of charges; they wait");
        }
        Ok(done.more())
    }
}

fn count(result: &'static str, charges: u32) {
    metrics::counter!("concert_charges_reconciled_total", "result" => result)
        .increment(u64::from(charges));
}
