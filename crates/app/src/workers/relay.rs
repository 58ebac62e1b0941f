use async_trait::async_trait;
use concert_domain::event::{RELAY_BATCH, Relay};
use concert_domain::{Ports, Result};

use super::Worker;

pub(super) fn relay(ports: &Ports, owner: &str) -> Relay {
    Relay::new(ports.outbox.clone(), ports.log.clone(), owner.to_owned())
}

/// Takes recorded events to the event log.
#[async_trait]
impl Worker for Relay {
    fn name(&self) -> &'static str {
        "relay"
    }

    async fn step(&self) -> Result<bool> {
        let published = Relay::step(self).await?;
        metrics::counter!("concert_events_published_total").increment(published.into());
        // A small batch costs as many commits as a large one: the next one may gather.
        Ok(published >= RELAY_BATCH / 2)
    }

    async fn stop(&self) -> Result<()> {
        Relay::stop(self).await
    }
}
