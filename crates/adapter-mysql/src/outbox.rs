use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{Backlog, DeadLetter, Event, Headers, Outbox, OutboxEntry, Record};
use concert_domain::{Cursor, Error, Page, PageRequest, Result, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::Mysql;
use crate::error::{Run, typed};
use crate::group::all;
use crate::sql::{Number, Tx, sql};

#[async_trait]
impl Outbox for Mysql {
    async fn claim(&self, owner: &str, limit: u32, lease: Duration) -> Result<Vec<OutboxEntry>> {
        self.write((owner.to_owned(), limit, lease), |tx, (owner, limit, lease)| {
            Box::pin(claim(tx, owner, *limit, *lease))
        })
        .await
    }

    async fn published(&self, owner: &str, sequences: &[i64]) -> Result<u32> {
        let rows = (owner.to_owned(), sequences.to_vec());
        let marked = self
            .write(rows, |tx, (owner, sequences)| Box::pin(published(tx, owner, sequences)))
            .await?;
        Ok(u32::try_from(marked).unwrap_or(u32::MAX))
    }

    async fn release(&self, owner: &str) -> Result<()> {
        self.write(owner.to_owned(), |tx, owner| Box::pin(release(tx, owner))).await
    }

    async fn backlog(&self) -> Result<Backlog> {
        self.read((), |tx, ()| Box::pin(backlog(tx))).await
    }

    async fn pending(&self, page: PageRequest) -> Result<Page<OutboxEntry>> {
        self.read(page, |tx, page| Box::pin(pending(tx, *page))).await
    }

    async fn purge(&self, age: Duration, limit: u32) -> Result<u32> {
        let purged =
            self.write((age, limit), |tx, (age, limit)| Box::pin(purge(tx, *age, *limit))).await?;
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }

    async fn dead_letters(&self, page: PageRequest) -> Result<Page<DeadLetter>> {
        self.read(page, |tx, page| Box::pin(dead_letters(tx, *page))).await
    }

    async fn replay(&self, dead_letter: i64) -> Result<()> {
        self.write(dead_letter, |tx, id| Box::pin(replay(tx, *id))).await
    }
}

/// Records a fact in the transaction of the change that made it.
pub(crate) async fn record(tx: &mut Tx, topic: &str, event: &Event) -> Run<()> {
    put(tx, &event.id, topic, &event.to_record()?).await
}

/// The same for many facts of one topic.
pub(crate) async fn record_all<'a>(
    tx: &mut Tx,
    topic: &str,
    events: impl Iterator<Item = &'a Event>,
) -> Run<()> {
    let mut rows = Vec::new();
    for event in events {
        let Record { key, value, headers } = event.to_record()?;
        let value = String::from_utf8(value).map_err(|e| Error::bug(e.to_string()))?;
        rows.push((&event.id, key, value, headers.to_text()));
    }
    let recorded = sql("INSERT INTO outbox (name, topic, record_key, value, headers, created_at)
         SELECT t.name, ?, t.record_key, t.value, t.headers, {now}
         FROM JSON_TABLE(?, '$[*]' COLUMNS (name VARCHAR(255) PATH '$[0]',
             record_key VARCHAR(700) PATH '$[1]', value MEDIUMTEXT PATH '$[2]',
             headers TEXT PATH '$[3]')) t")
    .text(topic)
    .json(&rows)?
    .run(tx)
    .await?;
    all(recorded, rows.len(), "event rows")
}

/// Puts a record on its way to the log. The name says what it is for; a second row of one name is
/// a mistake in this program.
pub(crate) async fn put(tx: &mut Tx, name: &str, topic: &str, record: &Record) -> Run<()> {
    sql("INSERT INTO outbox (name, topic, record_key, value, headers, created_at)
         VALUES (?, ?, ?, ?, ?, {now})")
    .text(name)
    .text(topic)
    .text(record.key.as_str())
    .bytes(record.value.as_slice())
    .text_or_null(record.headers.to_text())
    .run(tx)
    .await?;
    Ok(())
}

/// A record as a row keeps it.
pub(crate) fn kept(key: String, value: Vec<u8>, headers: Option<&str>) -> Record {
    Record { key, value, headers: Headers::from_text(headers) }
}

#[derive(QueryableByName)]
struct EntryRow {
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Text)]
    record_key: String,
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    headers: Option<String>,
}

impl EntryRow {
    fn entry(self) -> OutboxEntry {
        let record = kept(self.record_key, self.value, self.headers.as_deref());
        OutboxEntry { sequence: self.sequence, topic: self.topic, record }
    }
}

/// Claims of many relays pass each other by: rows that one of them is looking at are skipped. The
/// index is forced because the primary key, which has the same order, leads through all that is
/// published first.
async fn claim(tx: &mut Tx, owner: &str, limit: u32, lease: Duration) -> Run<Vec<OutboxEntry>> {
    let mut rows: Vec<EntryRow> =
        sql("SELECT sequence, topic, record_key, value, headers FROM outbox
         FORCE INDEX (idx_outbox_published)
         WHERE published_at IS NULL AND (lease_until IS NULL OR lease_until <= {now})
         ORDER BY sequence LIMIT ? FOR UPDATE SKIP LOCKED")
        .int(limit)
        .rows(tx)
        .await?;
    let behind = behind_others(tx, &rows).await?;
    rows.retain(|row| !behind.contains(&row.sequence));
    let sequences: Vec<i64> = rows.iter().map(|row| row.sequence).collect();
    sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (sequence BIGINT PATH '$')) t
         STRAIGHT_JOIN outbox o ON o.sequence = t.sequence
         SET o.owner = ?, o.lease_until = {now} + ?")
    .json(&sequences)?
    .text(owner)
    .millis(lease)
    .run(tx)
    .await?;
    Ok(rows.into_iter().map(EntryRow::entry).collect())
}

/// The rows that must wait: an earlier row of their key is not published and not among them. It is
/// in somebody's hands, the caller's own included (had the answer to its last claim been lost, the
/// rows behind would overtake), or about to be.
async fn behind_others(tx: &mut Tx, rows: &[EntryRow]) -> Run<Vec<i64>> {
    let sequences: Vec<i64> = rows.iter().map(|row| row.sequence).collect();
    let behind: Vec<Number> = sql("SELECT DISTINCT o.sequence AS n
         FROM JSON_TABLE(?, '$[*]' COLUMNS (sequence BIGINT PATH '$')) t
         STRAIGHT_JOIN outbox o ON o.sequence = t.sequence
         STRAIGHT_JOIN outbox e ON e.record_key = o.record_key AND e.sequence < o.sequence
         WHERE e.published_at IS NULL AND e.sequence NOT IN
             (SELECT c.sequence FROM JSON_TABLE(?, '$[*]' COLUMNS (sequence BIGINT PATH '$')) c)")
    .json(&sequences)?
    .json(&sequences)?
    .rows(tx)
    .await?;
    Ok(behind.into_iter().map(|row| row.n).collect())
}

async fn published(tx: &mut Tx, owner: &str, sequences: &[i64]) -> Run<usize> {
    sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (sequence BIGINT PATH '$')) t
         STRAIGHT_JOIN outbox o ON o.sequence = t.sequence
         SET o.published_at = {now}, o.owner = NULL, o.lease_until = NULL
         WHERE o.owner = ? AND o.published_at IS NULL")
    .json(sequences)?
    .text(owner)
    .run(tx)
    .await
}

async fn release(tx: &mut Tx, owner: &str) -> Run<()> {
    sql("UPDATE outbox SET owner = NULL, lease_until = NULL
         WHERE owner = ? AND published_at IS NULL")
    .text(owner)
    .run(tx)
    .await
    .map(drop)
}

async fn purge(tx: &mut Tx, age: Duration, limit: u32) -> Run<usize> {
    sql("DELETE FROM outbox WHERE published_at < {now} - ? ORDER BY published_at LIMIT ?")
        .millis(age)
        .int(limit)
        .run(tx)
        .await
}

#[derive(QueryableByName)]
struct BacklogRow {
    #[diesel(sql_type = BigInt)]
    pending: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest: Option<i64>,
}

async fn backlog(tx: &mut Tx) -> Run<Backlog> {
    let row: Option<BacklogRow> = sql("SELECT COUNT(*) AS pending,
             (SELECT created_at FROM outbox FORCE INDEX (idx_outbox_published)
              WHERE published_at IS NULL ORDER BY sequence LIMIT 1) AS oldest
         FROM outbox WHERE published_at IS NULL")
    .row(tx)
    .await?;
    let Some(row) = row else { return Ok(Backlog::default()) };
    let pending = typed("number of pending events", row.pending)?;
    Ok(Backlog { pending, oldest: row.oldest.map(Timestamp::from_millis) })
}

async fn pending(tx: &mut Tx, page: PageRequest) -> Run<Page<OutboxEntry>> {
    let rows: Vec<EntryRow> = sql("SELECT sequence, topic, record_key, value, headers FROM outbox
         FORCE INDEX (idx_outbox_published)
         WHERE published_at IS NULL AND sequence > ? ORDER BY sequence LIMIT ?")
    .int(page.after.map_or(0, |after| after.id))
    .int(page.limit.get() + 1)
    .rows(tx)
    .await?;
    let entries = rows.into_iter().map(EntryRow::entry).collect();
    Ok(Page::from_rows(entries, page.limit, OutboxEntry::cursor))
}

#[derive(QueryableByName)]
struct LetterRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = BigInt)]
    part: i64,
    #[diesel(sql_type = BigInt)]
    log_offset: i64,
    #[diesel(sql_type = Text)]
    record_key: String,
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    headers: Option<String>,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = BigInt)]
    died_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    replayed_at: Option<i64>,
}

impl LetterRow {
    fn letter(self) -> Result<DeadLetter> {
        Ok(DeadLetter {
            id: self.id,
            topic: self.topic,
            partition: typed("dead_letters.part", self.part)?,
            offset: self.log_offset,
            record: kept(self.record_key, self.value, self.headers.as_deref()),
            reason: self.reason,
            died_at: Timestamp::from_millis(self.died_at),
            replayed_at: self.replayed_at.map(Timestamp::from_millis),
        })
    }
}

async fn dead_letters(tx: &mut Tx, page: PageRequest) -> Run<Page<DeadLetter>> {
    let rows: Vec<LetterRow> =
        sql("SELECT id, topic, part, log_offset, record_key, value, headers, reason,
             died_at, replayed_at
         FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?")
        .int(page.after.map_or(0, |after| after.id))
        .int(page.limit.get() + 1)
        .rows(tx)
        .await?;
    let letters = rows.into_iter().map(LetterRow::letter).collect::<Result<_>>()?;
    Ok(Page::from_rows(letters, page.limit, |letter| Cursor { key: letter.id, id: letter.id }))
}

#[derive(QueryableByName)]
struct OriginalRow {
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Text)]
    record_key: String,
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    headers: Option<String>,
}

async fn replay(tx: &mut Tx, dead_letter: i64) -> Run<()> {
    let marked = sql("UPDATE dead_letters SET replayed_at = {now}
         WHERE id = ? AND replayed_at IS NULL")
    .int(dead_letter)
    .run(tx)
    .await?;
    let original: Option<OriginalRow> =
        sql("SELECT topic, record_key, value, headers FROM dead_letters WHERE id = ?")
            .int(dead_letter)
            .row(tx)
            .await?;
    let original = original.filter(|_| marked == 1).ok_or(Error::DeadLetterNotFound)?;
    let record = kept(original.record_key, original.value, original.headers.as_deref());
    put(tx, &format!("replay-{dead_letter}"), &original.topic, &record).await
}
