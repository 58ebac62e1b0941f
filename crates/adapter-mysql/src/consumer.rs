use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{
    ConsumerStore, DEAD_LETTER_TOPIC, Effect, Membership, PartitionLease, Progress, Record,
};
use concert_domain::{ConcertId, Error, Result, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};

use crate::Mysql;
use crate::error::{Run, typed};
use crate::group::all;
use crate::outbox;
use crate::sql::{Tx, now, sql};

#[async_trait]
impl ConsumerStore for Mysql {
    async fn lease(&self, membership: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>> {
        self.write((membership.clone(), ttl), |tx, (me, ttl)| Box::pin(lease(tx, me, *ttl))).await
    }

    async fn leave(&self, membership: &Membership) -> Result<()> {
        self.write(membership.clone(), |tx, me| Box::pin(leave(tx, me))).await
    }

    async fn commit(&self, progress: Progress) -> Result<()> {
        self.write(progress, |tx, progress| Box::pin(commit(tx, progress))).await
    }

    async fn commit_all(&self, mut runs: Vec<Vec<Progress>>) -> Result<()> {
        runs.retain(|run| !run.is_empty());
        // In the order of their rows, so that two owners do not wait crosswise.
        runs.sort_by_key(|run| run.first().map(|first| first.lease.partition));
        self.write(runs, |tx, runs| Box::pin(commit_all(tx, runs))).await
    }
}

/// How long a new lease lasts, and which leases it is worth renewing: one that would gain less
/// than a tenth of its time is left alone. A consumer asks at every poll, and each renewal is a
/// commit to the disk.
#[derive(Clone, Copy)]
struct Term {
    now: Timestamp,
    until: Timestamp,
    renew_before: Timestamp,
}

async fn lease(tx: &mut Tx, me: &Membership, ttl: Duration) -> Run<Vec<PartitionLease>> {
    let owned = lock_partitions(tx, me).await?;
    let now = now(tx).await?;
    let until = now.plus(ttl);
    let term = Term { now, until, renew_before: until.minus(ttl / 10) };
    announce(tx, me, term).await?;
    renew(tx, me, term).await?;
    let share = i64::from(me.partitions.div_ceil(live_members(tx, me).await?));
    if owned > share {
        give_back(tx, me, owned - share).await?;
    } else if owned < share {
        take(tx, me, share - owned, term).await?;
    }
    leases(tx, me).await
}

#[derive(QueryableByName)]
struct PartitionsRow {
    #[diesel(sql_type = BigInt)]
    made: i64,
    #[diesel(sql_type = BigInt)]
    owned: i64,
}

/// Locks the partitions of the group, which makes its members come one by one; answers how many
/// the caller has.
async fn lock_partitions(tx: &mut Tx, me: &Membership) -> Run<i64> {
    let found: Option<PartitionsRow> = sql("SELECT COUNT(*) AS made,
             COUNT(CASE WHEN owner = ? THEN 1 END) AS owned
         FROM consumer_partitions WHERE consumer_group = ? AND topic = ? FOR UPDATE")
    .text(me.owner.as_str())
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .row(tx)
    .await?;
    match found {
        Some(row) if row.made >= i64::from(me.partitions) => Ok(row.owned),
        _ => make_partitions(tx, me).await,
    }
}

/// The rows of partitions that nobody ever had. To lock them, all begins again.
async fn make_partitions(tx: &mut Tx, me: &Membership) -> Run<i64> {
    sql("INSERT IGNORE INTO consumer_partitions
             (consumer_group, topic, part, lease_until, epoch, next_offset)
         WITH RECURSIVE parts (part) AS
             (SELECT 0 UNION ALL SELECT part + 1 FROM parts WHERE part + 1 < ?)
         SELECT ?, ?, part, 0, 0, 0 FROM parts")
    .int(me.partitions)
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .run(tx)
    .await?;
    let owned = sql("SELECT COUNT(*) AS n FROM consumer_partitions
         WHERE consumer_group = ? AND topic = ? AND owner = ? FOR UPDATE");
    owned.text(me.group.as_str()).text(me.topic.as_str()).text(me.owner.as_str()).count(tx).await
}

async fn announce(tx: &mut Tx, me: &Membership, term: Term) -> Run<()> {
    sql("DELETE FROM consumer_members
         WHERE consumer_group = ? AND topic = ? AND lease_until <= ?")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .time(term.now)
    .run(tx)
    .await?;
    sql(
        "INSERT INTO consumer_members (consumer_group, topic, owner, lease_until)
         VALUES (?, ?, ?, ?) AS asked
         ON DUPLICATE KEY UPDATE lease_until =
             IF(consumer_members.lease_until < ?, asked.lease_until, consumer_members.lease_until)",
    )
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .time(term.until)
    .time(term.renew_before)
    .run(tx)
    .await?;
    Ok(())
}

/// At least one: the caller has announced itself.
async fn live_members(tx: &mut Tx, me: &Membership) -> Run<u32> {
    let members = sql("SELECT COUNT(*) AS n FROM consumer_members
         WHERE consumer_group = ? AND topic = ?")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .count(tx)
    .await?;
    Ok(typed("number of consumers", members)?)
}

async fn renew(tx: &mut Tx, me: &Membership, term: Term) -> Run<()> {
    sql("UPDATE consumer_partitions SET lease_until = ?
         WHERE consumer_group = ? AND topic = ? AND owner = ? AND lease_until < ?")
    .time(term.until)
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .time(term.renew_before)
    .run(tx)
    .await?;
    Ok(())
}

async fn give_back(tx: &mut Tx, me: &Membership, count: i64) -> Run<()> {
    sql("UPDATE consumer_partitions SET owner = NULL, lease_until = 0
         WHERE consumer_group = ? AND topic = ? AND owner = ? ORDER BY part DESC LIMIT ?")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .int(count)
    .run(tx)
    .await?;
    Ok(())
}

/// Takes partitions that nobody has; the epoch shuts out whoever had them.
async fn take(tx: &mut Tx, me: &Membership, count: i64, term: Term) -> Run<()> {
    sql("UPDATE consumer_partitions SET owner = ?, lease_until = ?, epoch = epoch + 1
         WHERE consumer_group = ? AND topic = ? AND lease_until <= ? ORDER BY part LIMIT ?")
    .text(me.owner.as_str())
    .time(term.until)
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .time(term.now)
    .int(count)
    .run(tx)
    .await?;
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

async fn leases(tx: &mut Tx, me: &Membership) -> Run<Vec<PartitionLease>> {
    let rows: Vec<LeaseRow> = sql("SELECT part, epoch, next_offset FROM consumer_partitions
         WHERE consumer_group = ? AND topic = ? AND owner = ? ORDER BY part")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .text(me.owner.as_str())
    .rows(tx)
    .await?;
    let lease = |row: LeaseRow| {
        let partition = typed("consumer_partitions.part", row.part)?;
        Ok(PartitionLease { partition, epoch: row.epoch, next_offset: row.next_offset })
    };
    Ok(rows.into_iter().map(lease).collect::<Result<_>>()?)
}

async fn leave(tx: &mut Tx, me: &Membership) -> Run<()> {
    lock_partitions(tx, me).await?;
    give_back(tx, me, me.partitions.into()).await?;
    sql("DELETE FROM consumer_members WHERE consumer_group = ? AND topic = ? AND owner = ?")
        .text(me.group.as_str())
        .text(me.topic.as_str())
        .text(me.owner.as_str())
        .run(tx)
        .await?;
    Ok(())
}

async fn commit(tx: &mut Tx, progress: &Progress) -> Run<()> {
    move_on(tx, progress).await?;
    if is_new(tx, progress).await? { apply(tx, progress).await } else { Ok(()) }
}

/// One move of the offset for each partition, one statement for the names of all events, and one
/// for the figures of each concert.
async fn commit_all(tx: &mut Tx, runs: &[Vec<Progress>]) -> Run<()> {
    for run in runs {
        move_behind(tx, run).await?;
    }
    let Some(group) = runs.iter().flatten().map(|p| p.membership.group.as_str()).next() else {
        return Ok(());
    };
    let known = known_events(tx, group, runs).await?;
    let mut seen: HashSet<&str> = HashSet::new();
    let mut figures: BTreeMap<ConcertId, Figures> = BTreeMap::new();
    for progress in runs.iter().flatten() {
        if let Some(event) = progress.event.as_deref()
            && (known.contains(event) || !seen.insert(event))
        {
            continue;
        }
        let (concert, seats, amount, at) = match &progress.effect {
            Effect::Sold { concert, amount, at } => (*concert, 1, amount.get(), *at),
            Effect::Refunded { concert, amount } => (*concert, -1, -amount.get(), Timestamp::MIN),
            Effect::Dead { .. } => return Err(Error::bug("a dead event has company").into()),
        };
        let sum = figures.entry(concert).or_insert(Figures { seats: 0, amount: 0, at });
        sum.seats += seats;
        sum.amount += amount;
        sum.at = sum.at.max(at);
    }
    note_events(tx, group, seen).await?;
    for (concert, sum) in figures {
        add_up(tx, concert, sum.seats, sum.amount, sum.at).await?;
    }
    Ok(())
}

/// Moves the offset of a partition behind a run of events, if they follow each other.
async fn move_behind(tx: &mut Tx, run: &[Progress]) -> Run<()> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
    let follow = run.windows(2).all(|pair| {
        let [before, next] = pair else { return false };
        next.lease.next_offset == before.offset + 1 && next.offset > before.offset
    });
    if !follow || first.offset < first.lease.next_offset {
        return Err(Error::Conflict("the events do not follow each other").into());
    }
    move_on(tx, &Progress { offset: last.offset, ..first.clone() }).await
}

/// What a run of events adds to the figures of a concert.
struct Figures {
    seats: i64,
    amount: i64,
    at: Timestamp,
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Which of these events the group has had before.
async fn known_events(tx: &mut Tx, group: &str, runs: &[Vec<Progress>]) -> Run<HashSet<String>> {
    let names: Vec<_> = runs.iter().flatten().filter_map(|p| p.event.as_deref()).collect();
    let rows: Vec<NameRow> = sql("SELECT e.event_id AS name
         FROM JSON_TABLE(?, '$[*]' COLUMNS
             (name VARCHAR(255) COLLATE utf8mb4_0900_bin PATH '$')) t
         STRAIGHT_JOIN consumed_events e ON e.consumer_group = ? AND e.event_id = t.name")
    .json(&names)?
    .text(group)
    .rows(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

async fn note_events(tx: &mut Tx, group: &str, names: HashSet<&str>) -> Run<()> {
    let mut names: Vec<_> = names.into_iter().collect();
    // In one order, so that two runs with events in common do not wait crosswise.
    names.sort_unstable();
    let noted = sql("INSERT INTO consumed_events (consumer_group, event_id)
         SELECT ?, t.name FROM JSON_TABLE(?, '$[*]' COLUMNS (name VARCHAR(255) PATH '$')) t")
    .text(group)
    .json(&names)?
    .run(tx)
    .await?;
    all(noted, names.len(), "names of events")
}

/// Moves the offset behind the event, if it is still the lease's and nobody has taken the
/// partition over.
async fn move_on(tx: &mut Tx, progress: &Progress) -> Run<()> {
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
    .run(tx)
    .await?;
    if moved == 1 { Ok(()) } else { Err(Error::Conflict("the partition has moved on").into()) }
}

/// Notes the event; `false` if its effect has happened before.
async fn is_new(tx: &mut Tx, progress: &Progress) -> Run<bool> {
    let Some(event) = &progress.event else { return Ok(true) };
    sql("INSERT INTO consumed_events (consumer_group, event_id) VALUES (?, ?)")
        .text(progress.membership.group.as_str())
        .text(event.as_str())
        .insert(tx)
        .await
}

async fn apply(tx: &mut Tx, progress: &Progress) -> Run<()> {
    match &progress.effect {
        Effect::Sold { concert, amount, at } => add_up(tx, *concert, 1, amount.get(), *at).await,
        Effect::Refunded { concert, amount } => {
            add_up(tx, *concert, -1, -amount.get(), Timestamp::MIN).await
        }
        Effect::Dead { record, reason } => bury(tx, progress, record, reason).await,
    }
}

/// Adds to the figures of a concert. Partitions are consumed apart from each other, so the sale
/// that was made last need not be the one that is added last.
pub(crate) async fn add_up(
    tx: &mut Tx,
    concert: ConcertId,
    seats: i64,
    amount: i64,
    at: Timestamp,
) -> Run<()> {
    sql("INSERT INTO concert_sales (concert_id, sold_seats, sales, last_sold_at)
         VALUES (?, ?, ?, ?) AS more
         ON DUPLICATE KEY UPDATE
             sold_seats = concert_sales.sold_seats + more.sold_seats,
             sales = concert_sales.sales + more.sales,
             last_sold_at = GREATEST(concert_sales.last_sold_at, more.last_sold_at)")
    .int(concert)
    .int(seats)
    .int(amount)
    .time(at)
    .run(tx)
    .await?;
    Ok(())
}

async fn bury(tx: &mut Tx, progress: &Progress, record: &Record, reason: &str) -> Run<()> {
    let (me, lease) = (&progress.membership, progress.lease);
    sql("INSERT INTO dead_letters (consumer_group, topic, part, log_offset, record_key,
             value, headers, reason, died_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, {now})")
    .text(me.group.as_str())
    .text(me.topic.as_str())
    .int(lease.partition)
    .int(progress.offset)
    .text(record.key.as_str())
    .bytes(record.value.as_slice())
    .text_or_null(record.headers.to_text())
    .text(reason)
    .run(tx)
    .await?;
    let id = sql("SELECT CAST(LAST_INSERT_ID() AS SIGNED) AS n").count(tx).await?;
    outbox::put(tx, &format!("dead-{id}"), DEAD_LETTER_TOPIC, record).await
}
