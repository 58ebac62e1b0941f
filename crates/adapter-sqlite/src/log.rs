use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::event::{EventLog, LogEntry, Record, partition_of};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::Sqlite;
use crate::outbox::kept;
use crate::sql::sql;

/// How many partitions every topic has. Records are stored under it, so it never changes.
const PARTITIONS: u32 = 8;

#[derive(QueryableByName)]
struct LogRow {
    #[diesel(sql_type = BigInt)]
    log_offset: i64,
    #[diesel(sql_type = Text)]
    record_key: String,
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    headers: Option<String>,
}

impl From<LogRow> for LogEntry {
    fn from(row: LogRow) -> Self {
        let record = kept(row.record_key, row.value, row.headers.as_deref());
        Self { offset: row.log_offset, record }
    }
}

#[async_trait]
impl EventLog for Sqlite {
    fn partitions(&self) -> u32 {
        PARTITIONS
    }

    async fn append(&self, topic: &str, records: &[Record]) -> Result<()> {
        let (topic, records) = (topic.to_owned(), records.to_vec());
        self.write(move |tx| {
            for record in records {
                let partition = partition_of(&record.key, PARTITIONS);
                let headers = record.headers.to_text();
                sql("INSERT INTO event_log (topic, part, log_offset, record_key, value, headers)
                     SELECT ?, ?, coalesce(max(log_offset) + 1, 0), ?, ?, ?
                     FROM event_log WHERE topic = ? AND part = ?")
                .text(topic.as_str())
                .int(partition)
                .text(record.key)
                .bytes(record.value)
                .text_or_null(headers)
                .text(topic.as_str())
                .int(partition)
                .run(tx.conn)?;
            }
            Ok(())
        })
        .await
    }

    async fn read(
        &self,
        topic: &str,
        partition: u32,
        offset: i64,
        limit: u32,
    ) -> Result<Vec<LogEntry>> {
        let topic = topic.to_owned();
        let rows: Vec<LogRow> = Sqlite::read(self, move |tx| {
            sql("SELECT log_offset, record_key, value, headers FROM event_log
                 WHERE topic = ? AND part = ? AND log_offset >= ? ORDER BY log_offset LIMIT ?")
            .text(topic)
            .int(partition)
            .int(offset)
            .int(limit)
            .rows(tx.conn)
        })
        .await?;
        Ok(rows.into_iter().map(LogEntry::from).collect())
    }

    async fn end(&self, topic: &str, partition: u32) -> Result<i64> {
        let topic = topic.to_owned();
        Sqlite::read(self, move |tx| {
            sql("SELECT coalesce(max(log_offset) + 1, 0) AS n FROM event_log
                 WHERE topic = ? AND part = ?")
            .text(topic)
            .int(partition)
            .count(tx.conn)
        })
        .await
    }
}
