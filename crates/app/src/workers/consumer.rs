use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{Consumer, Membership, PAYMENT_TOPIC};
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
    let (log, store, queue) = (&ports.log, &ports.consumers, &services.queue);
    Consumer::new(log.clone(), store.clone(), queue.clone(), membership, lease)
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
