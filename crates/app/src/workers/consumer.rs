use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{
    CONSUMER_BATCH, Consumer, ConsumerStore, Effect, Membership, PAYMENT_TOPIC, PartitionLease,
    Progress, REQUEST_ID,
};
use concert_domain::ports::Services;
use concert_domain::{Error, Ports, Result};
use tracing::{Instrument, Span};

use super::Worker;
use super::sampler::Places;
use crate::config::Config;
use crate::telemetry::trace;

/// How long a partition waits for an instance that died: longer than a pass over all of them.
const LEASE: Duration = Duration::from_secs(15);

pub(super) fn consumer(
    config: &Config,
    ports: &Ports,
    services: &Services,
    owner: &str,
    places: Places,
) -> Consumer {
    let membership = Membership {
        group: config.kafka_group.clone(),
        topic: PAYMENT_TOPIC.to_owned(),
        partitions: ports.log.partitions(),
        owner: owner.to_owned(),
    };
    // Two passes must fit into a lease, however rarely they are made.
    let lease = LEASE.max(config.consume_interval * 3);
    let store = Arc::new(Outspoken { store: ports.consumers.clone(), places });
    Consumer::new(ports.log.clone(), store, services.queue.clone(), membership, lease)
}

/// Tells operators of every event that could not be handled (nobody looks for what nobody knows),
/// and where the consumer is.
struct Outspoken {
    store: Arc<dyn ConsumerStore>,
    places: Places,
}

impl Outspoken {
    async fn commit_counted(&self, progress: Progress) -> Result<()> {
        counted(self.store.commit(progress).await)
    }
}

fn counted(done: Result<()>) -> Result<()> {
    if let Err(Error::Conflict(_)) = done {
        metrics::counter!("concert_offset_conflicts_total").increment(1);
    }
    done
}

/// The span of one event's effect, with the name of the request that made the event, and a link to
/// that request's span.
fn span(progress: &Progress) -> Span {
    let request_id = progress.headers.get(REQUEST_ID);
    let (partition, offset) = (progress.lease.partition, progress.offset);
    let span =
        tracing::error_span!("consume", request_id, partition, offset, "otel.kind" = "consumer");
    if trace::is_exported() {
        trace::link(&span, &progress.headers);
    }
    span
}

#[async_trait]
impl ConsumerStore for Outspoken {
    async fn lease(&self, membership: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>> {
        let leases = self.store.lease(membership, ttl).await?;
        self.places.note(&leases);
        Ok(leases)
    }

    async fn leave(&self, membership: &Membership) -> Result<()> {
        self.store.leave(membership).await
    }

    async fn commit_all(&self, runs: Vec<Vec<Progress>>) -> Result<()> {
        // A span for each event, as long as the transaction that they share.
        let _spans: Vec<Span> = runs.iter().flatten().map(span).collect();
        counted(self.store.commit_all(runs).await)
    }

    async fn commit(&self, progress: Progress) -> Result<()> {
        let Effect::Dead { reason, .. } = &progress.effect else {
            let span = span(&progress);
            return self.commit_counted(progress).instrument(span).await;
        };
        let (reason, offset) = (reason.clone(), progress.offset);
        let (topic, partition) = (progress.membership.topic.clone(), progress.lease.partition);
        let span = span(&progress);
        self.commit_counted(progress).instrument(span.clone()).await?;
        let _in_span = span.enter();
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
        Ok(consumed >= CONSUMER_BATCH)
    }

    async fn stop(&self) -> Result<()> {
        Consumer::stop(self).await
    }
}
