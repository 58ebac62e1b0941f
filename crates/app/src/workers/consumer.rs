use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{
    Consumer, ConsumerStore, Effect, Membership, PAYMENT_TOPIC, PartitionLease, Progress,
};
use concert_domain::ports::Services;
use concert_domain::{Ports, Result};

use super::Worker;
use crate::config::Config;

/// How long a partition waits for an instance that died: longer than a pass over all of them.
const LEASE: Duration = Duration::from_secs(15);

pub(super) fn consumer(
    config: &Config,
    ports: &Ports,
    services: &Services,
    owner: &str,
) -> Consumer {
    let membership = Membership {
        group: config.kafka_group.clone(),
        topic: PAYMENT_TOPIC.to_owned(),
        partitions: ports.log.partitions(),
        owner: owner.to_owned(),
    };
    // Two passes must fit into a lease, however rarely they are made.
    let lease = LEASE.max(config.consume_interval * 3);
    let store = Arc::new(Outspoken(ports.consumers.clone()));
    Consumer::new(ports.log.clone(), store, services.queue.clone(), membership, lease)
}

/// Tells operators of every event that could not be handled: nobody looks for what nobody knows.
struct Outspoken(Arc<dyn ConsumerStore>);

#[async_trait]
impl ConsumerStore for Outspoken {
    async fn lease(&self, membership: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>> {
        self.0.lease(membership, ttl).await
    }

    async fn leave(&self, membership: &Membership) -> Result<()> {
        self.0.leave(membership).await
    }

    async fn commit(&self, progress: Progress) -> Result<()> {
        let Effect::Dead { reason, .. } = &progress.effect else {
            return self.0.commit(progress).await;
        };
        let (reason, offset) = (reason.clone(), progress.offset);
        let (topic, partition) = (progress.membership.topic.clone(), progress.lease.partition);
        self.0.commit(progress).await?;
        tracing::warn!(topic, partition, offset, reason, "an event is now a dead letter");
        metrics::counter!("concert_events_dead_total").increment(1);
        Ok(())
    }
}

/// Gives payment events their effects.
#[async_trait]
impl Worker for Consumer {
    fn name(&self) -> &'static str {
        "consumer"
    }

    async fn step(&self) -> Result<bool> {
        let consumed = Consumer::step(self).await?;
        metrics::counter!("concert_events_consumed_total").increment(consumed.into());
        Ok(consumed > 0)
    }

    async fn stop(&self) -> Result<()> {
        Consumer::stop(self).await
    }
}
