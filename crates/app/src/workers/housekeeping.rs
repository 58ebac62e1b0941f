use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::audit::AuditLog;
use concert_domain::event::Outbox;
use concert_domain::ports::Services;
use concert_domain::queue::QueueService;
use concert_domain::{IdempotencyStore, Ports, Result};

use super::Worker;

/// How long a published event stays in the outbox, for whoever wants to look back.
const KEEP_PUBLISHED: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How many rows of a kind one step removes: small, so that nobody waits for it.
const BATCH: u32 = 500;

/// Removes what nobody needs any more, in small batches.
pub(super) struct Housekeeping {
    answers: Arc<dyn IdempotencyStore>,
    queue: Arc<QueueService>,
    outbox: Arc<dyn Outbox>,
    audit: Arc<dyn AuditLog>,
    keep_audit: Duration,
}

impl Housekeeping {
    pub(super) fn new(ports: &Ports, services: &Services, keep_audit: Duration) -> Self {
        Self {
            answers: ports.answers.clone(),
            queue: services.queue.clone(),
            outbox: ports.outbox.clone(),
            audit: ports.audit.clone(),
            keep_audit,
        }
    }
}

#[async_trait]
impl Worker for Housekeeping {
    fn name(&self) -> &'static str {
        "housekeeping"
    }

    async fn step(&self) -> Result<bool> {
        let removed = [
            self.answers.purge(BATCH).await?,
            self.queue.purge(BATCH).await?,
            self.outbox.purge(KEEP_PUBLISHED, BATCH).await?,
            self.audit.purge(self.keep_audit, BATCH).await?,
        ];
        Ok(removed.contains(&BATCH))
    }
}
