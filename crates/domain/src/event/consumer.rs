use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{
    ConsumerStore, Effect, Event, EventLog, Headers, LogEntry, Membership, PAYMENT_COMPLETED,
    PAYMENT_REFUNDED, PartitionLease, PaymentData, Progress,
};
use crate::queue::QueueService;
use crate::{Error, ErrorKind, Result};

/// How often an event is tried before it becomes a dead letter. A dependency that is down is no
/// try: the consumer waits for it.
pub const MAX_TRIES: u32 = 5;

/// How many records one pass reads from a partition.
const BATCH: u32 = 200;

/// Reads payment events and applies their effects, each exactly once: the slot in the queue is
/// freed (harmless to repeat), then the sales figures and the offset move in one transaction.
pub struct Consumer {
    log: Arc<dyn EventLog>,
    store: Arc<dyn ConsumerStore>,
    queue: Arc<QueueService>,
    membership: Membership,
    lease_ttl: Duration,
    tries: Mutex<HashMap<(u32, i64), u32>>,
}

impl Consumer {
    /// A consumer; the membership's owner is a name that no other running instance has.
    pub fn new(
        log: Arc<dyn EventLog>,
        store: Arc<dyn ConsumerStore>,
        queue: Arc<QueueService>,
        membership: Membership,
        lease_ttl: Duration,
    ) -> Self {
        Self { log, store, queue, membership, lease_ttl, tries: Mutex::default() }
    }

    /// Consumes a batch from every partition that this instance has; answers how many events had
    /// their effect. One partition's failure does not keep the others waiting; the first failure
    /// is reported after all were tried.
    pub async fn step(&self) -> Result<u32> {
        let mut consumed = 0;
        let mut failure = None;
        for lease in self.store.lease(&self.membership, self.lease_ttl).await? {
            let (done, result) = self.consume_partition(lease).await;
            consumed += done;
            failure = failure.or(result.err());
        }
        failure.map_or(Ok(consumed), Err)
    }

    /// Gives the partitions back.
    pub async fn stop(&self) -> Result<()> {
        self.store.leave(&self.membership).await
    }

    async fn consume_partition(&self, mut lease: PartitionLease) -> (u32, Result<()>) {
        let topic = &self.membership.topic;
        let entries = match self.log.read(topic, lease.partition, lease.next_offset, BATCH).await {
            Ok(entries) => entries,
            Err(error) => return (0, Err(error)),
        };
        let mut done = 0;
        for entry in entries {
            let offset = entry.offset;
            if let Err(error) = self.consume(lease, entry).await {
                return (done, Err(error));
            }
            lease.next_offset = offset + 1;
            done += 1;
        }
        (done, Ok(()))
    }

    async fn consume(&self, lease: PartitionLease, entry: LogEntry) -> Result<()> {
        let offset = entry.offset;
        let place = (lease.partition, offset);
        let handled = match self.handle(lease, &entry).await {
            Err(error) if self.gives_up(place, &error) => {
                let headers = entry.record.headers.clone();
                let effect = Effect::Dead { record: entry.record, reason: reason_of(&error) };
                self.commit(lease, offset, headers, None, effect).await
            }
            other => other,
        };
        if handled.is_ok() {
            self.lock_tries().remove(&place);
        }
        handled
    }

    async fn handle(&self, lease: PartitionLease, entry: &LogEntry) -> Result<()> {
        let (event, data) = understand(&entry.record.value)?;
        if let Some(place) = data.queue_place {
            self.queue.finish(place).await?;
        }
        let effect = effect_of(&event, &data)?;
        let headers = entry.record.headers.clone();
        self.commit(lease, entry.offset, headers, Some(event.id), effect).await
    }

    async fn commit(
        &self,
        lease: PartitionLease,
        offset: i64,
        headers: Headers,
        event: Option<String>,
        effect: Effect,
    ) -> Result<()> {
        let membership = self.membership.clone();
        self.store.commit(Progress { membership, lease, offset, event, effect, headers }).await
    }

    /// Counts a failed try, and tells whether it was the last. Lost ownership and absent
    /// dependencies are not the event's fault; what cannot be understood now never will be.
    fn gives_up(&self, place: (u32, i64), error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Conflict => false,
            ErrorKind::BadInput => true,
            _ => {
                let mut tries = self.lock_tries();
                let count = tries.entry(place).or_default();
                *count += 1;
                *count >= MAX_TRIES
            }
        }
    }

    fn lock_tries(&self) -> std::sync::MutexGuard<'_, HashMap<(u32, i64), u32>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn understand(bytes: &[u8]) -> Result<(Event, PaymentData)> {
    let refuse = |what: String| Error::invalid("event", what);
    let event: Event =
        serde_json::from_slice(bytes).map_err(|e| refuse(format!("not an event: {e}")))?;
    if event.version != 1 {
        return Err(refuse(format!("version {} of {} is unknown", event.version, event.kind)));
    }
    let data = serde_json::from_value(event.data.clone())
        .map_err(|e| refuse(format!("data of {}: {e}", event.kind)))?;
    Ok((event, data))
}

/// The reason as an operator reads it; a field error is spelled out.
fn reason_of(error: &Error) -> String {
    match error {
        Error::Invalid(fields) => {
            let messages: Vec<_> = fields.iter().map(|field| field.message.as_str()).collect();
            messages.join("; ")
        }
        other => other.to_string(),
    }
}

fn effect_of(event: &Event, data: &PaymentData) -> Result<Effect> {
    let (concert, amount) = (data.concert_id, data.amount);
    match event.kind.as_str() {
        PAYMENT_COMPLETED => Ok(Effect::Sold { concert, amount, at: event.occurred_at }),
        PAYMENT_REFUNDED => Ok(Effect::Refunded { concert, amount }),
        other => Err(Error::invalid("event", format!("type {other} is unknown"))),
    }
}
