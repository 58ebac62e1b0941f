use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{
    ConsumerStore, DEAD_LETTER_TOPIC, Effect, Membership, PartitionLease, Progress, Record,
};
use concert_domain::{ConcertId, Error, Result, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use crate::Sqlite;
use crate::db::Tx;
use crate::outbox;
use crate::sql::{sql, typed};

#[async_trait]
impl ConsumerStore for Sqlite {
    async fn lease(&self, membership: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>> {
        let membership = membership.clone();
        self.write(move |tx| lease(tx, &membership, ttl)).await
    }

    async fn leave(&self, membership: &Membership) -> Result<()> {
        let membership = membership.clone();
        self.write(move |tx| leave(tx, &membership)).await
    }

    async fn commit(&self, progress: Progress) -> Result<()> {
        self.write(move |tx| commit(tx, &progress)).await
    }

    async fn commit_all(&self, runs: Vec<Vec<Progress>>) -> Result<()> {
        self.write(move |tx| runs.iter().flatten().try_for_each(|progress| commit(tx, progress)))
            .await
    }
}

/// How long a new lease lasts, and which leases it is worth renewing: one that would gain less
/// than a tenth of its time is left alone. A consumer asks at every poll, and each renewal is a
/// commit to the disk.
#[derive(Clone, Copy)]
struct Term {
    until: Timestamp,
    renew_before: Timestamp,
}

fn lease(tx: &mut Tx<'_>, me: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>> {
    let until = tx.now.plus(ttl);
    let term = Term { until, renew_before: until.minus(ttl / 10) };
    announce(tx, me, term)?;
    make_partitions(tx, me)?;
    renew(tx, me, term)?;
    let share = i64::from(me.partitions.div_ceil(live_members(tx, me)?));
    let owned = sql("SELECT COUNT(*) AS n FROM consumer_partitions
         WHERE consumer_group = ? AND topic = ? AND owner = ?")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .count(tx.conn)?;
    if owned > share {
        give_back(tx, me, owned - share)?;
    } else {
        take(tx, me, share - owned, until)?;
    }
    leases(tx, me)
}

fn announce(tx: &mut Tx<'_>, me: &Membership, term: Term) -> Result<()> {
    sql("DELETE FROM consumer_members
         WHERE consumer_group = ? AND topic = ? AND lease_until <= ?")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .time(tx.now)
    .run(tx.conn)?;
    sql("INSERT INTO consumer_members (consumer_group, topic, owner, lease_until)
         VALUES (?, ?, ?, ?)
         ON CONFLICT (consumer_group, topic, owner) DO UPDATE
         SET lease_until = excluded.lease_until WHERE lease_until < ?")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .time(term.until)
    .time(term.renew_before)
    .run(tx.conn)?;
    Ok(())
}

/// At least one: the caller has announced itself.
fn live_members(tx: &mut Tx<'_>, me: &Membership) -> Result<u32> {
    let members = sql("SELECT COUNT(*) AS n FROM consumer_members
         WHERE consumer_group = ? AND topic = ?")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .count(tx.conn)?;
    typed("number of consumers", members)
}

/// The rows of partitions that nobody ever had.
fn make_partitions(tx: &mut Tx<'_>, me: &Membership) -> Result<()> {
    sql("INSERT OR IGNORE INTO consumer_partitions
             (consumer_group, topic, part, lease_until, epoch, next_offset)
         WITH RECURSIVE parts (part) AS
             (SELECT 0 UNION ALL SELECT part + 1 FROM parts WHERE part + 1 < ?)
         SELECT ?, ?, part, 0, 0, 0 FROM parts")
    .int(me.partitions)
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .run(tx.conn)?;
    Ok(())
}

fn renew(tx: &mut Tx<'_>, me: &Membership, term: Term) -> Result<()> {
    sql("UPDATE consumer_partitions SET lease_until = ?
         WHERE consumer_group = ? AND topic = ? AND owner = ? AND lease_until < ?")
    .time(term.until)
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .time(term.renew_before)
    .run(tx.conn)?;
    Ok(())
}

fn give_back(tx: &mut Tx<'_>, me: &Membership, count: i64) -> Result<()> {
    sql("UPDATE consumer_partitions SET owner = NULL, lease_until = 0
         WHERE (consumer_group, topic, part) IN
             (SELECT consumer_group, topic, part FROM consumer_partitions
              WHERE consumer_group = ? AND topic = ? AND owner = ?
              ORDER BY part DESC LIMIT ?)")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .int(count)
    .run(tx.conn)?;
    Ok(())
}

/// Takes partitions that nobody has; the epoch shuts out whoever had them.
fn take(tx: &mut Tx<'_>, me: &Membership, count: i64, until: Timestamp) -> Result<()> {
    sql("UPDATE consumer_partitions SET owner = ?, lease_until = ?, epoch = epoch + 1
         WHERE (consumer_group, topic, part) IN
             (SELECT consumer_group, topic, part FROM consumer_partitions
              WHERE consumer_group = ? AND topic = ? AND lease_until <= ?
              ORDER BY part LIMIT ?)")
    .text(me.owner.as_str())
    .time(until)
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .time(tx.now)
    .int(count)
    .run(tx.conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct LeaseRow {
    #[diesel(sql_type = BigInt)]
    part: i64,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = BigInt)]
    next_offset: i64,
}

fn leases(tx: &mut Tx<'_>, me: &Membership) -> Result<Vec<PartitionLease>> {
    let rows: Vec<LeaseRow> = sql("SELECT part, epoch, next_offset FROM consumer_partitions
         WHERE consumer_group = ? AND topic = ? AND owner = ? ORDER BY part")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .rows(tx.conn)?;
    let lease = |row: LeaseRow| {
        let partition = typed("consumer_partitions.part", row.part)?;
        Ok(PartitionLease { partition, epoch: row.epoch, next_offset: row.next_offset })
    };
    rows.into_iter().map(lease).collect()
}

fn leave(tx: &mut Tx<'_>, me: &Membership) -> Result<()> {
    give_back(tx, me, me.partitions.into())?;
    sql("DELETE FROM consumer_members WHERE consumer_group = ? AND topic = ? AND owner = ?")
        .text(me.group.as_str())
        .text(me.topic.as_str())
        .text(me.owner.as_str())
        .run(tx.conn)?;
    Ok(())
}

fn commit(tx: &mut Tx<'_>, progress: &Progress) -> Result<()> {
    move_on(tx, progress)?;
    if is_new(tx, progress)? { apply(tx, progress) } else { Ok(()) }
}

/// Moves the offset behind the event, if it is still the lease's and nobody has taken the
/// partition over.
fn move_on(tx: &mut Tx<'_>, progress: &Progress) -> Result<()> {
    let (me, lease) = (&progress.membership, progress.lease);
    let moved = sql("UPDATE consumer_partitions SET next_offset = ?
         WHERE consumer_group = ? AND topic = ? AND part = ? AND epoch = ? AND next_offset = ?
           AND next_offset <= ?")
    .int(progress.offset + 1)
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .int(lease.partition)
    .int(lease.epoch)
    .int(lease.next_offset)
    .int(progress.offset)
    .run(tx.conn)?;
    if moved == 1 { Ok(()) } else { Err(Error::Conflict("the partition has moved on")) }
}

/// Notes the event; `false` if its effect has happened before.
fn is_new(tx: &mut Tx<'_>, progress: &Progress) -> Result<bool> {
    let Some(event) = &progress.event else { return Ok(true) };
    let noted = sql("INSERT INTO consumed_events (consumer_group, event_id) VALUES (?, ?)
         ON CONFLICT (consumer_group, event_id) DO NOTHING")
    .text(progress.membership.group.as_str())
    .text(event.as_str())
    .run(tx.conn)?;
    Ok(noted == 1)
}

fn apply(tx: &mut Tx<'_>, progress: &Progress) -> Result<()> {
    match &progress.effect {
        Effect::Sold { concert, amount, at } => add_up(tx, *concert, 1, amount.get(), *at),
        Effect::Refunded { concert, amount } => {
            add_up(tx, *concert, -1, -amount.get(), Timestamp::MIN)
        }
        Effect::Dead { record, reason } => bury(tx, progress, record, reason),
    }
}

/// Adds to the figures of a concert. Partitions are consumed apart from each other, so the sale
/// that was made last need not be the one that is added last.
pub(crate) fn add_up(
    tx: &mut Tx<'_>,
    concert: ConcertId,
    seats: i64,
    amount: i64,
    at: Timestamp,
) -> Result<()> {
    sql("INSERT INTO concert_sales (concert_id, sold_seats, sales, last_sold_at)
         VALUES (?, ?, ?, ?)
         ON CONFLICT (concert_id) DO UPDATE SET
             sold_seats = sold_seats + excluded.sold_seats,
             sales = sales + excluded.sales,
             last_sold_at = MAX(last_sold_at, excluded.last_sold_at)")
    .int(concert)
    .int(seats)
    .int(amount)
    .time(at)
    .run(tx.conn)?;
    Ok(())
}

fn bury(tx: &mut Tx<'_>, progress: &Progress, record: &Record, reason: &str) -> Result<()> {
    let (me, lease) = (&progress.membership, progress.lease);
    let id = sql("INSERT INTO dead_letters (consumer_group, topic, part, log_offset, record_key,
             value, headers, reason, died_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS n")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .int(lease.partition)
    .int(progress.offset)
    .text(record.key.as_str())
    .bytes(record.value.as_slice())
    .text_or_null(record.headers.to_text())
    .text(reason)
    .time(tx.now)
    .count(tx.conn)?;
    outbox::put(tx, &format!("dead-{id}"), DEAD_LETTER_TOPIC, record)
}
