use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::event::{EventLog, LogEntry, Record, partition_of};
use futures::future::join_all;
use rskafka::chrono::DateTime;
use rskafka::client::error::ProtocolError;
use rskafka::client::partition::{Compression, OffsetAt};
use rskafka::record::{Record as KafkaRecord, RecordAndOffset};

use crate::Kafka;
use crate::cluster::Turn;
use crate::failure::Failure;
use crate::session::{Session, Topic, is};

/// How long an append may take. Shorter than the relay's claim on the rows that it appends.
const APPEND: Duration = Duration::from_secs(8);
/// How long a read may take.
const READ: Duration = Duration::from_secs(4);
/// Most bytes of one batch before compression: well below the 1 MiB that a broker accepts unless
/// told otherwise, so that no append is too large to be taken.
const BATCH_BYTES: usize = 512 * 1024;
/// Roughly what an event takes in the log once its batch is compressed.
const EVENT_BYTES: u32 = 256;
/// Bounds of what one read asks for. Too little costs round trips, too much is sent for nothing.
const FETCH_BYTES: (u32, u32) = (16 * 1024, 1024 * 1024);
/// At the end of a partition the broker answers at once. A consumer asks its partitions one after
/// another and rests between rounds by itself: a wait for one would hold up all others.
const NO_WAIT_MS: i32 = 0;

#[async_trait]
impl EventLog for Kafka {
    fn partitions(&self) -> u32 {
        self.cluster.settings().partitions
    }

    async fn append(&self, topic: &str, records: &[Record]) -> Result<()> {
        let shares = by_partition(records, self.partitions());
        let name = self.full_name(topic);
        let shares: Vec<_> = shares
            .into_iter()
            .map(|(partition, share)| (self.cluster.turn(&name, partition), partition, share))
            .collect();
        let work = async move |session: Arc<Session>| {
            let topic = session.topic(&name).await?;
            let writes = shares
                .into_iter()
                .map(|(turn, partition, share)| write(&topic, turn, partition, share));
            // All are waited for, also after a failure: a write that is dropped may still arrive.
            join_all(writes).await.into_iter().collect()
        };
        self.call("append", APPEND, work).await
    }

    async fn read(
        &self,
        topic: &str,
        partition: u32,
        offset: i64,
        limit: u32,
    ) -> Result<Vec<LogEntry>> {
        let name = self.full_name(topic);
        let work = async move |session: Arc<Session>| {
            let topic = session.topic(&name).await?;
            fetch(&topic, partition, offset, limit).await
        };
        self.call("read", READ, work).await
    }

    async fn end(&self, topic: &str, partition: u32) -> Result<i64> {
        let name = self.full_name(topic);
        let work =
            async move |session: Arc<Session>| session.topic(&name).await?.end(partition).await;
        self.call("end", READ, work).await
    }
}

/// Writes the batches of one partition, one after another: with two under way, a retry of the
/// first could put it behind the second.
async fn write(
    topic: &Topic,
    turn: Turn,
    partition: u32,
    batches: Vec<Vec<KafkaRecord>>,
) -> Result<(), Failure> {
    let _turn = turn.lock().await;
    let writer = topic.writer(partition).await?;
    for batch in batches {
        writer.produce(batch, Compression::Lz4).await?;
    }
    Ok(())
}

async fn fetch(
    topic: &Topic,
    partition: u32,
    offset: i64,
    limit: u32,
) -> Result<Vec<LogEntry>, Failure> {
    let reader = topic.reader(partition).await?;
    let (records, _) = match reader.fetch_records(offset, bytes(limit), NO_WAIT_MS).await {
        Err(error) if is(&error, ProtocolError::OffsetOutOfRange) => {
            let start = first_kept(topic, partition, offset).await?;
            reader.fetch_records(start, bytes(limit), NO_WAIT_MS).await?
        }
        other => other?,
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(records.into_iter().take(limit).map(entry).collect())
}

/// Where to go on when an offset is gone because the topic's retention was shorter than the
/// consumer's delay. Standing still would not bring the records back.
async fn first_kept(topic: &Topic, partition: u32, offset: i64) -> Result<i64, Failure> {
    let start = topic.reader(partition).await?.get_offset(OffsetAt::Earliest).await?;
    if offset < start {
        let (topic, lost) = (&topic.name, start - offset);
        tracing::error!(
            topic,
            partition,
            offset,
            start,
            lost,
            "Kafka has removed records that were not read yet; going on behind them. Give the topic a longer retention"
        );
        return Ok(start);
    }
    let (end, topic) = (topic.end(partition).await?, topic.name.clone());
    Err(Failure::BeyondEnd { topic, partition, offset, end })
}

/// The records of each partition in their order, in batches that a broker takes.
fn by_partition(records: &[Record], partitions: u32) -> BTreeMap<u32, Vec<Vec<KafkaRecord>>> {
    let mut shares: BTreeMap<u32, Batches> = BTreeMap::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for record in records {
        let share = shares.entry(partition_of(&record.key, partitions)).or_default();
        share.push(kafka_record(record, now));
    }
    shares.into_iter().map(|(partition, share)| (partition, share.batches)).collect()
}

#[derive(Default)]
struct Batches {
    batches: Vec<Vec<KafkaRecord>>,
    bytes_in_last: usize,
}

impl Batches {
    fn push(&mut self, record: KafkaRecord) {
        let size = record.approximate_size();
        match self.batches.last_mut() {
            Some(last) if self.bytes_in_last + size <= BATCH_BYTES => {
                last.push(record);
                self.bytes_in_last += size;
            }
            _ => {
                self.batches.push(vec![record]);
                self.bytes_in_last = size;
            }
        }
    }
}

/// The timestamp decides nothing here; operators and Kafka's retention look at it.
fn kafka_record(record: &Record, now: Duration) -> KafkaRecord {
    let millis = i64::try_from(now.as_millis()).unwrap_or_default();
    KafkaRecord {
        key: Some(record.key.clone().into_bytes()),
        value: Some(record.value.clone()),
        headers: record
            .headers
            .iter()
            .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
            .collect(),
        timestamp: DateTime::from_timestamp_millis(millis).unwrap_or_default(),
    }
}

/// A foreign record may lack a key or a value. It is passed on as empty and fails where events
/// are understood, so that it becomes a dead letter and not a standstill. Headers that are no text
/// are left out.
fn entry(read: RecordAndOffset) -> LogEntry {
    let key = String::from_utf8_lossy(&read.record.key.unwrap_or_default()).into_owned();
    let value = read.record.value.unwrap_or_default();
    let headers = read.record.headers.iter();
    let headers = headers.filter_map(|(n, v)| Some((n.as_str(), std::str::from_utf8(v).ok()?)));
    LogEntry { offset: read.offset, record: Record { key, value, headers: headers.collect() } }
}

/// How much to ask for when so many records are wanted. The first batch comes whole in any case.
fn bytes(limit: u32) -> Range<i32> {
    let (least, most) = FETCH_BYTES;
    let wanted = limit.saturating_mul(EVENT_BYTES).clamp(least, most);
    1..i32::try_from(wanted).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, size: usize) -> Record {
        Record::new(key, vec![7; size])
    }

    #[test]
    fn a_partition_gets_its_records_in_order_and_in_batches_that_fit() {
        let sizes = [BATCH_BYTES, 10, BATCH_BYTES - 100, 200, BATCH_BYTES * 2, 1];
        let records: Vec<_> = sizes.iter().map(|size| record("k", *size)).collect();
        let shares = by_partition(&records, 4);
        let share = &shares[&partition_of("k", 4)];
        assert_eq!(shares.len(), 1);
        let lengths: Vec<Vec<usize>> = share
            .iter()
            .map(|b| b.iter().map(|r| r.value.as_ref().unwrap().len()).collect())
            .collect();
        let expected: [&[usize]; 5] =
            [&sizes[..1], &sizes[1..3], &sizes[3..4], &sizes[4..5], &sizes[5..]];
        assert_eq!(lengths, expected);
    }

    #[test]
    fn a_read_asks_for_what_it_may_return() {
        assert_eq!(bytes(1), 1..16 * 1024);
        assert_eq!(bytes(200), 1..200 * 256);
        assert_eq!(bytes(u32::MAX), 1..1024 * 1024);
    }
}
