use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{Backlog, DeadLetter, Event, Headers, Outbox, OutboxEntry, Record};
use concert_domain::{Cursor, Error, Page, PageRequest, Result, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::Sqlite;
use crate::db::Tx;
use crate::sql::{sql, typed};

#[async_trait]
impl Outbox for Sqlite {
    async fn claim(&self, owner: &str, limit: u32, lease: Duration) -> Result<Vec<OutboxEntry>> {
        let owner = owner.to_owned();
        self.write(move |tx| claim(tx, &owner, limit, lease)).await
    }

    async fn published(&self, owner: &str, sequences: &[i64]) -> Result<u32> {
        let owner = owner.to_owned();
        let sequences = serde_json::to_string(sequences).map_err(|e| Error::bug(e.to_string()))?;
        let marked = self.write(move |tx| {
            sql("UPDATE outbox SET published_at = ?, owner = NULL, lease_until = NULL
                 WHERE sequence IN (SELECT value FROM json_each(?))
                 AND owner = ? AND published_at IS NULL")
            .time(tx.now)
            .text(sequences)
            .text(owner)
            .run(tx.conn)
        });
        Ok(u32::try_from(marked.await?).unwrap_or(u32::MAX))
    }

    async fn release(&self, owner: &str) -> Result<()> {
        let owner = owner.to_owned();
        self.write(move |tx| {
            sql("UPDATE outbox INDEXED BY idx_outbox_claimed
                 SET owner = NULL, lease_until = NULL
                 WHERE owner = ? AND published_at IS NULL")
            .text(owner)
            .run(tx.conn)
            .map(drop)
        })
        .await
    }

    async fn backlog(&self) -> Result<Backlog> {
        self.read(backlog).await
    }

    async fn pending(&self, page: PageRequest) -> Result<Page<OutboxEntry>> {
        self.read(move |tx| pending(tx, page)).await
    }

    async fn purge(&self, age: Duration, limit: u32) -> Result<u32> {
        let purged = self.write(move |tx| {
            sql("DELETE FROM outbox WHERE sequence IN
                 (SELECT sequence FROM outbox WHERE published_at < ?
                  ORDER BY published_at LIMIT ?)")
            .time(tx.now.minus(age))
            .int(limit)
            .run(tx.conn)
        });
        Ok(u32::try_from(purged.await?).unwrap_or(u32::MAX))
    }

    async fn dead_letters(&self, page: PageRequest) -> Result<Page<DeadLetter>> {
        self.read(move |tx| dead_letters(tx, page)).await
    }

    async fn replay(&self, dead_letter: i64) -> Result<()> {
        self.write(move |tx| replay(tx, dead_letter)).await
    }
}

/// Records a fact in the transaction of the change that made it.
pub(crate) fn record(tx: &mut Tx<'_>, topic: &str, event: &Event) -> Result<()> {
    put(tx, &event.id, topic, &event.to_record()?)
}

/// Puts a record on its way to the log. The name says what it is for; a second row of one name is
/// a mistake in this program.
pub(crate) fn put(tx: &mut Tx<'_>, name: &str, topic: &str, record: &Record) -> Result<()> {
    sql("INSERT INTO outbox (name, topic, record_key, value, headers, created_at) VALUES (?, ?, ?, ?, ?, ?)")
        .text(name)
        .text(topic)
        .text(record.key.as_str())
        .bytes(record.value.as_slice())
    .text_or_null(record.headers.to_text())
        .time(tx.now)
        .run(tx.conn)?;
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

/// A row waits for every earlier row of its key that is in anybody's hands, the caller's own too:
/// had the answer to its last claim been lost, the rows behind would overtake. Those rows are
/// looked up among the claimed ones (an index of their own), so a long backlog costs nothing.
fn claim(tx: &mut Tx<'_>, owner: &str, limit: u32, lease: Duration) -> Result<Vec<OutboxEntry>> {
    let mut rows: Vec<EntryRow> =
        sql("UPDATE outbox SET owner = ?, lease_until = ? WHERE sequence IN
             (SELECT o.sequence FROM outbox o
              WHERE o.published_at IS NULL AND (o.owner IS NULL OR o.lease_until <= ?)
              AND NOT EXISTS (SELECT 1 FROM outbox e
                  WHERE e.record_key = o.record_key AND e.sequence < o.sequence
                  AND e.published_at IS NULL AND e.owner IS NOT NULL AND e.lease_until > ?)
              ORDER BY o.sequence LIMIT ?)
         RETURNING sequence, topic, record_key, value, headers")
        .text(owner)
        .time(tx.now.plus(lease))
        .time(tx.now)
        .time(tx.now)
        .int(limit)
        .rows(tx.conn)?;
    rows.sort_unstable_by_key(|row| row.sequence);
    Ok(rows.into_iter().map(EntryRow::entry).collect())
}

#[derive(QueryableByName)]
struct BacklogRow {
    #[diesel(sql_type = BigInt)]
    pending: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest: Option<i64>,
}

fn backlog(tx: &mut Tx<'_>) -> Result<Backlog> {
    let row: Option<BacklogRow> = sql("SELECT COUNT(*) AS pending,
             (SELECT created_at FROM outbox WHERE published_at IS NULL
              ORDER BY sequence LIMIT 1) AS oldest
         FROM outbox WHERE published_at IS NULL")
    .row(tx.conn)?;
    let Some(row) = row else { return Ok(Backlog::default()) };
    let pending = typed("number of pending events", row.pending)?;
    Ok(Backlog { pending, oldest: row.oldest.map(Timestamp::from_millis) })
}

fn pending(tx: &mut Tx<'_>, page: PageRequest) -> Result<Page<OutboxEntry>> {
    let rows: Vec<EntryRow> = sql("SELECT sequence, topic, record_key, value, headers FROM outbox
         WHERE published_at IS NULL AND sequence > ? ORDER BY sequence LIMIT ?")
    .int(page.after.map_or(0, |after| after.id))
    .int(page.limit.get() + 1)
    .rows(tx.conn)?;
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

fn dead_letters(tx: &mut Tx<'_>, page: PageRequest) -> Result<Page<DeadLetter>> {
    let rows: Vec<LetterRow> =
        sql("SELECT id, topic, part, log_offset, record_key, value, headers, reason,
             died_at, replayed_at
         FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?")
        .int(page.after.map_or(0, |after| after.id))
        .int(page.limit.get() + 1)
        .rows(tx.conn)?;
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

fn replay(tx: &mut Tx<'_>, dead_letter: i64) -> Result<()> {
    let original: Option<OriginalRow> = sql("UPDATE dead_letters SET replayed_at = ?
         WHERE id = ? AND replayed_at IS NULL RETURNING topic, record_key, value, headers")
    .time(tx.now)
    .int(dead_letter)
    .row(tx.conn)?;
    let original = original.ok_or(Error::DeadLetterNotFound)?;
    let record = kept(original.record_key, original.value, original.headers.as_deref());
    put(tx, &format!("replay-{dead_letter}"), &original.topic, &record)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::testing::TestStore;

    /// A relay that could neither mark nor give back its rows must not publish what follows them.
    #[tokio::test]
    async fn an_owner_does_not_overtake_itself() {
        let TestStore { sqlite: store, clock, .. } = &TestStore::at(1_000).await;
        store
            .write(|tx| {
                for (name, key) in [("e1", "k"), ("e2", "k"), ("e3", "other")] {
                    let record = Record::new(key, Vec::new());
                    put(tx, name, "topic", &record)?;
                }
                Ok(())
            })
            .await
            .unwrap();
        let lease = Duration::from_secs(30);
        let claimed = async |limit| {
            let rows = store.claim("relay", limit, lease).await.unwrap();
            rows.iter().map(|row| row.sequence).collect::<Vec<_>>()
        };
        assert_eq!(claimed(1).await, [1]);
        assert_eq!(claimed(9).await, [3]);
        clock.advance(lease);
        assert_eq!(claimed(9).await, [1, 2, 3]);
    }
}
