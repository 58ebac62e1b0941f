use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{
    ConsumerStore, Effect, Event, EventLog, LogEntry, Membership, PAYMENT_COMPLETED,
    PAYMENT_REFUNDED, PartitionLease, PaymentData, Progress,
};
use crate::concurrent::all_at_once;
use crate::queue::{QueueService, TokenDigest};
use crate::{ConcertId, Error, ErrorKind, Result};

/// How often an event is tried before it becomes a dead letter. A dependency that is down is no
/// try: the consumer waits for it.
pub const MAX_TRIES: u32 = 5;

/// How many records one pass reads from a partition.
pub const BATCH: u32 = 200;

/// How many places in queues are freed at once.
const AT_ONCE: usize = 64;

/// Reads payment events and applies their effects, each exactly once: the slot in the queue is
/// freed (harmless to repeat), then the sales figures and the offset move in one transaction. Events
/// share transactions as long as nothing is wrong with one of them.
pub struct Consumer {
    log: Arc<dyn EventLog>,
    store: Arc<dyn ConsumerStore>,
    queue: Arc<QueueService>,
    membership: Membership,
    lease_ttl: Duration,
    tries: Mutex<HashMap<(u32, i64), u32>>,
}

/// What was read of one partition.
struct Batch {
    lease: PartitionLease,
    entries: Vec<LogEntry>,
}

impl Batch {
    /// Leaves out the first ones, which have had their effect.
    fn skip(&mut self, count: usize) {
        if let Some(last) = self.entries.drain(..count).next_back() {
            self.lease.next_offset = last.offset + 1;
        }
    }
}

/// An event that was understood: what it does to the books, and the place whose slot it frees.
struct Step {
    progress: Progress,
    place: Option<(ConcertId, TokenDigest)>,
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
    /// their effect: [`BATCH`] or more if there may be more to do at once. One partition's failure
    /// does not keep the others waiting; the first failure is reported after all were tried.
    pub async fn step(&self) -> Result<u32> {
        let leases = self.store.lease(&self.membership, self.lease_ttl).await?;
        let mut batches = Vec::new();
        let mut failure = None;
        for read in all_at_once(leases.into_iter().map(|lease| self.read(lease))).await {
            match read {
                Ok(batch) => batches.push(batch),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let mut consumed = self.consume_together(&mut batches).await?;
        for (done, result) in all_at_once(batches.iter().map(|b| self.consume_batch(b))).await {
            consumed += done;
            failure = failure.or(result.err());
        }
        failure.map_or(Ok(u32::try_from(consumed).unwrap_or(u32::MAX)), Err)
    }

    async fn read(&self, lease: PartitionLease) -> Result<Batch> {
        let (topic, partition) = (&self.membership.topic, lease.partition);
        let entries = self.log.read(topic, partition, lease.next_offset, BATCH).await?;
        Ok(Batch { lease, entries })
    }

    /// What can be understood at the head of all partitions has its effect in one transaction.
    /// If that fails, though nothing is down, each partition is left to itself.
    async fn consume_together(&self, batches: &mut [Batch]) -> Result<usize> {
        let runs: Vec<_> = batches.iter().map(|b| self.run_of(b.lease, &b.entries)).collect();
        let lengths: Vec<_> = runs.iter().map(Vec::len).collect();
        let count = lengths.iter().sum();
        if count < 2 {
            return Ok(0);
        }
        match self.consume_runs(runs).await {
            Ok(()) => {
                batches.iter_mut().zip(lengths).for_each(|(batch, length)| batch.skip(length));
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
            Err(_) => Ok(0),
        }
    }

    /// Gives the partitions back.
    pub async fn stop(&self) -> Result<()> {
        self.store.leave(&self.membership).await
    }

    async fn consume_batch(&self, batch: &Batch) -> (usize, Result<()>) {
        let (mut lease, entries) = (batch.lease, &batch.entries);
        let mut done = 0;
        let mut together = true;
        let mut result = Ok(());
        while let Some(left) = entries.get(done..).filter(|left| !left.is_empty()) {
            let run = if together { self.run_of(lease, left) } else { Vec::new() };
            let count = run.len().max(1);
            result = match run.len() {
                0 | 1 => self.consume(lease, &left[0]).await,
                _ => self.consume_runs(vec![run]).await,
            };
            match &result {
                Ok(()) => {}
                // One of them cannot be handled: which one, each by itself will show.
                Err(error) if count > 1 && !passes_by_itself(error) => {
                    together = false;
                    continue;
                }
                Err(_) => break,
            }
            lease.next_offset = left[count - 1].offset + 1;
            done += count;
        }
        (done, result)
    }

    /// The steps of the events from the first on that can be understood.
    fn run_of(&self, mut lease: PartitionLease, entries: &[LogEntry]) -> Vec<Step> {
        let mut run = Vec::new();
        for entry in entries {
            let Ok(step) = self.understood(lease, entry) else { break };
            lease.next_offset = entry.offset + 1;
            run.push(step);
        }
        run
    }

    /// Gives events that follow each other their effects together.
    async fn consume_runs(&self, runs: Vec<Vec<Step>>) -> Result<()> {
        let places: Vec<_> = runs.iter().flatten().filter_map(|step| step.place).collect();
        for some in places.chunks(AT_ONCE) {
            let finish = |(concert, place): &_| self.queue.finish(*concert, *place);
            let freed = all_at_once(some.iter().map(finish)).await;
            freed.into_iter().collect::<Result<()>>()?;
        }
        let progress = |run: Vec<Step>| run.into_iter().map(|step| step.progress).collect();
        let runs = runs.into_iter().filter(|run| !run.is_empty()).map(progress).collect();
        self.store.commit_all(runs).await
    }

    async fn consume(&self, lease: PartitionLease, entry: &LogEntry) -> Result<()> {
        let place = (lease.partition, entry.offset);
        let handled = match self.handle(lease, entry).await {
            Err(error) if self.gives_up(place, &error) => {
                let (record, reason) = (entry.record.clone(), reason_of(&error));
                let effect = Effect::Dead { record, reason };
                self.store.commit(self.progress(lease, entry, None, effect)).await
            }
            other => other,
        };
        if handled.is_ok() {
            self.lock_tries().remove(&place);
        }
        handled
    }

    async fn handle(&self, lease: PartitionLease, entry: &LogEntry) -> Result<()> {
        let step = self.understood(lease, entry)?;
        if let Some((concert, place)) = step.place {
            self.queue.finish(concert, place).await?;
        }
        self.store.commit(step.progress).await
    }

    fn understood(&self, lease: PartitionLease, entry: &LogEntry) -> Result<Step> {
        let (event, data) = understand(&entry.record.value)?;
        let effect = effect_of(&event, &data)?;
        let progress = self.progress(lease, entry, Some(event.id), effect);
        let place = data.queue_place.map(|place| (data.concert_id, place));
        Ok(Step { progress, place })
    }

    fn progress(
        &self,
        lease: PartitionLease,
        entry: &LogEntry,
        event: Option<String>,
        effect: Effect,
    ) -> Progress {
        let (membership, offset) = (self.membership.clone(), entry.offset);
        let headers = entry.record.headers.clone();
        Progress { membership, lease, offset, event, effect, headers }
    }

    /// Counts a failed try, and tells whether it was the last. Lost ownership and absent
    /// dependencies are not the event's fault; what cannot be understood now never will be.
    fn gives_up(&self, place: (u32, i64), error: &Error) -> bool {
        match error.kind() {
            _ if passes_by_itself(error) => false,
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

/// Whether the event has nothing to do with the failure.
fn passes_by_itself(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict)
}

/// What a record of the log says; a reason if nobody can tell. Public because hard input is tried on
/// it from outside.
pub fn understand(bytes: &[u8]) -> Result<(Event, PaymentData)> {
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
