use std::time::Duration;

use async_trait::async_trait;

use super::Headers;
use crate::{ConcertId, Cursor, Page, PageRequest, Result, Timestamp, Won};

/// An outbox row that a relay has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The row's place in the outbox.
    pub sequence: i64,
    /// The stream it goes to.
    pub topic: String,
    /// What goes there: the event, or a dead letter's original bytes.
    pub record: Record,
}

/// What waits in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Rows that are not published yet.
    pub pending: u64,
    /// When the oldest of them was recorded.
    pub oldest: Option<Timestamp>,
}

/// An event that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number.
    pub id: i64,
    /// The stream it came from.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset there.
    pub offset: i64,
    /// What was read.
    pub record: Record,
    /// Why it could not be handled.
    pub reason: String,
    /// When it was given up.
    pub died_at: Timestamp,
    /// When it was brought back, if it was.
    pub replayed_at: Option<Timestamp>,
}

/// Port: the events that committed changes recorded, on their way to the log.
///
/// * Rows are written only in the transaction of the change, and keep their headers; a row
///   without any (of a release that had none) is a row like every other.
/// * `claim` MUST give a row to one owner at a time, until its lease ends; a row whose owner died
///   MUST come back.
/// * `claim` MUST give the rows of one key in the order they were recorded, and MUST NOT give a
///   row while an earlier row of its key is unpublished in another owner's hands.
/// * `published` MUST mark only rows that the owner still has, and is called after the log's
///   acknowledgement, never before.
/// * `replay` of a dead letter MUST record its original once, however often it is called.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Claims up to `limit` unpublished rows, the oldest first.
    async fn claim(&self, owner: &str, limit: u32, lease: Duration) -> Result<Vec<OutboxEntry>>;

    /// Marks rows as published; answers how many the owner still had.
    async fn published(&self, owner: &str, sequences: &[i64]) -> Result<u32>;

    /// Gives claimed rows back at once.
    async fn release(&self, owner: &str) -> Result<()>;

    /// What waits.
    async fn backlog(&self) -> Result<Backlog>;

    /// Rows that are not published yet, the oldest first. The cursor's key and id are the row's
    /// sequence.
    async fn pending(&self, page: PageRequest) -> Result<Page<OutboxEntry>>;

    /// Removes rows published longer ago than `age`, at most `limit`; answers how many.
    async fn purge(&self, age: Duration, limit: u32) -> Result<u32>;

    /// Dead letters by number. The cursor's key and id are the letter's number.
    async fn dead_letters(&self, page: PageRequest) -> Result<Page<DeadLetter>>;

    /// Puts the original of a dead letter back on its way; `DeadLetterNotFound` if there is no
    /// such letter or it was replayed.
    async fn replay(&self, dead_letter: i64) -> Result<()>;
}

impl OutboxEntry {
    /// Where a page of pending rows goes on after this one.
    pub fn cursor(&self) -> Cursor {
        Cursor { key: self.sequence, id: self.sequence }
    }
}

/// What is written into a log: opaque bytes under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key, which decides the partition.
    pub key: String,
    /// The bytes; an [`Event`](super::Event) as JSON, unless something went wrong upstream.
    pub value: Vec<u8>,
    /// What travels beside them.
    pub headers: Headers,
}

impl Record {
    /// A record without headers.
    pub fn new(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: value.into(), headers: Headers::default() }
    }
}

/// A record with its place in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its offset in the partition.
    pub offset: i64,
    /// The record.
    pub record: Record,
}

/// Port: an append-only log of records, in topics of a fixed number of partitions.
///
/// * An acknowledged record MUST be durable and MUST be read at one offset for ever, with its
///   headers.
/// * Offsets of a partition MUST grow in the order of `append`; records of one call keep their
///   order per partition, and equal keys go to one partition
///   ([`partition_of`](super::partition_of)).
/// * An `append` whose answer was lost may be repeated and may then be there twice.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait EventLog: Send + Sync {
    /// How many partitions every topic has.
    fn partitions(&self) -> u32;

    /// Writes records, all or an error; an error may leave some of them written.
    async fn append(&self, topic: &str, records: &[Record]) -> Result<()>;

    /// Reads up to `limit` records from `offset` on. Empty at the end.
    async fn read(
        &self,
        topic: &str,
        partition: u32,
        offset: i64,
        limit: u32,
    ) -> Result<Vec<LogEntry>>;

    /// The offset that the next record of the partition will get.
    async fn end(&self, topic: &str, partition: u32) -> Result<i64>;
}

/// The right to consume a partition for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLease {
    /// The partition.
    pub partition: u32,
    /// Grows with every change of owner; fences the owners before.
    pub epoch: i64,
    /// The first offset that has had no effect yet.
    pub next_offset: i64,
}

/// Who consumes what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// How many partitions the topic has.
    pub partitions: u32,
    /// This instance.
    pub owner: String,
}

/// What an event does to the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A seat was sold.
    Sold {
        /// Of which concert.
        concert: ConcertId,
        /// At which price.
        amount: Won,
        /// When.
        at: Timestamp,
    },
    /// A sale was undone.
    Refunded {
        /// Of which concert.
        concert: ConcertId,
        /// At which price.
        amount: Won,
    },
    /// The event could not be handled: keep it with the reason, and send it on to
    /// [`DEAD_LETTER_TOPIC`](super::DEAD_LETTER_TOPIC) through the outbox.
    Dead {
        /// What was read.
        record: Record,
        /// Why it was given up.
        reason: String,
    },
}

/// One step of a consumer: an effect and the offset behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Who consumes what.
    pub membership: Membership,
    /// The right to do so; `next_offset` is the offset that the store must have.
    pub lease: PartitionLease,
    /// The offset of the event: `next_offset`, or a later one if the log has lost what was
    /// between (its retention is over).
    pub offset: i64,
    /// The name of the event; absent for a record that has no effect but to be kept as dead.
    pub event: Option<String>,
    /// What the event does.
    pub effect: Effect,
    /// What travelled beside the event.
    pub headers: Headers,
}

/// Port: where consumers keep their place, in the same store as their effects.
///
/// * `lease` MUST give a partition to one owner at a time, until its lease ends or is given
///   back; each change of owner MUST raise the epoch. Live owners MUST get fair shares: none has
///   more than the partitions divided by the live owners, rounded up, once all have asked.
/// * `commit` MUST apply the effect and move the offset to the one behind the event in one
///   transaction, and only if the stored offset is the lease's, the event does not lie before it
///   and no later epoch has owned the partition; else it changes nothing and answers `Conflict`.
///   So an effect happens exactly once even with two owners for a moment.
/// * A named event whose effect the group has had before MUST have no second one; only the
///   offset moves. A relay that lost the log's answer publishes again, and then one event lies
///   at two offsets.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ConsumerStore: Send + Sync {
    /// Announces the owner, renews and takes partitions up to its fair share, gives back what is
    /// above it; answers what it has now.
    async fn lease(&self, membership: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>>;

    /// Gives everything back, so that others can go on at once.
    async fn leave(&self, membership: &Membership) -> Result<()>;

    /// Applies one effect.
    async fn commit(&self, progress: Progress) -> Result<()>;

    /// Applies the effects of runs of events, none of them dead: each run is of one partition, and
    /// its events follow each other. As `commit` would one after the other; after a failure a
    /// store may have applied some of them or none.
    async fn commit_all(&self, runs: Vec<Vec<Progress>>) -> Result<()> {
        for progress in runs.into_iter().flatten() {
            self.commit(progress).await?;
        }
        Ok(())
    }
}
