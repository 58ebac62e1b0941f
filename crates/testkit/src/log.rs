//! Laws of [`EventLog`](concert_domain::event::EventLog).

use concert_domain::event::{LogEntry, PAYMENT_TOPIC, Record, partition_of};

use crate::fixtures::odd_headers;
use crate::{Harness, World, race};

/// One test for each law of the event log.
#[macro_export]
macro_rules! log_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, log:
            a_record_is_read_in_the_partition_of_its_key_in_order,
            a_record_has_one_offset_for_ever,
            a_read_is_bounded_and_empty_at_the_end,
            topics_are_kept_apart,
            of_concurrent_appends_none_is_lost_and_keys_keep_their_order,
            any_bytes_are_kept_as_they_are,
        }
    };
}

fn record(key: &str, value: u32) -> Record {
    Record::new(key, value.to_string())
}

fn values(entries: &[LogEntry]) -> Vec<u32> {
    entries.iter().map(|e| String::from_utf8_lossy(&e.record.value).parse().unwrap()).collect()
}

async fn everything<H: Harness>(world: &World<H>) -> Vec<Vec<LogEntry>> {
    let log = world.ports().log;
    let mut partitions = Vec::new();
    for partition in 0..log.partitions() {
        partitions.push(log.read(PAYMENT_TOPIC, partition, 0, 10_000).await.unwrap());
    }
    partitions
}

pub async fn a_record_is_read_in_the_partition_of_its_key_in_order<H: Harness>() {
    let world = World::<H>::start().await;
    let log = world.ports().log;
    let records: Vec<_> = (0..40).map(|n| record(&(n % 10).to_string(), n)).collect();
    for batch in records.chunks(7) {
        log.append(PAYMENT_TOPIC, batch).await.unwrap();
    }
    let mut read = 0;
    for (partition, entries) in everything(&world).await.iter().enumerate() {
        let own = |r: &&Record| partition_of(&r.key, log.partitions()) as usize == partition;
        let expected: Vec<_> = records.iter().filter(own).cloned().collect();
        assert_eq!(entries.iter().map(|e| e.record.clone()).collect::<Vec<_>>(), expected);
        assert!(entries.is_sorted_by(|a, b| a.offset < b.offset));
        read += entries.len();
    }
    assert_eq!(read, 40);
}

pub async fn a_record_has_one_offset_for_ever<H: Harness>() {
    let mut world = World::<H>::start().await;
    let records: Vec<_> = (0..20).map(|n| record(&n.to_string(), n)).collect();
    world.ports().log.append(PAYMENT_TOPIC, &records).await.unwrap();
    let before = everything(&world).await;
    assert_eq!(everything(&world).await, before);
    world.harness.restart().await;
    assert_eq!(everything(&world).await, before);
    world.ports().log.append(PAYMENT_TOPIC, &records).await.unwrap();
    for (old, new) in before.iter().zip(everything(&world).await) {
        assert_eq!(old[..], new[..old.len()]);
    }
}

pub async fn a_read_is_bounded_and_empty_at_the_end<H: Harness>() {
    let world = World::<H>::start().await;
    let log = world.ports().log;
    let partition = partition_of("k", log.partitions());
    assert_eq!(log.end(PAYMENT_TOPIC, partition).await, Ok(0));
    assert_eq!(log.read(PAYMENT_TOPIC, partition, 0, 10).await, Ok(vec![]));
    let records: Vec<_> = (0..5).map(|n| record("k", n)).collect();
    log.append(PAYMENT_TOPIC, &records).await.unwrap();
    assert_eq!(log.end(PAYMENT_TOPIC, partition).await, Ok(5));
    let first = log.read(PAYMENT_TOPIC, partition, 0, 2).await.unwrap();
    assert_eq!(values(&first), [0, 1]);
    let rest = log.read(PAYMENT_TOPIC, partition, first[1].offset + 1, 100).await.unwrap();
    assert_eq!(values(&rest), [2, 3, 4]);
    assert_eq!(log.read(PAYMENT_TOPIC, partition, 5, 10).await, Ok(vec![]));
}

pub async fn topics_are_kept_apart<H: Harness>() {
    let world = World::<H>::start().await;
    let log = world.ports().log;
    let partition = partition_of("k", log.partitions());
    log.append(PAYMENT_TOPIC, &[record("k", 1)]).await.unwrap();
    assert_eq!(log.read("other.v1", partition, 0, 10).await, Ok(vec![]));
    assert_eq!(log.end("other.v1", partition).await, Ok(0));
    log.append("other.v1", &[record("k", 2)]).await.unwrap();
    assert_eq!(values(&log.read("other.v1", partition, 0, 10).await.unwrap()), [2]);
    assert_eq!(values(&log.read(PAYMENT_TOPIC, partition, 0, 10).await.unwrap()), [1]);
}

pub async fn of_concurrent_appends_none_is_lost_and_keys_keep_their_order<H: Harness>() {
    let world = World::<H>::start().await;
    let log = world.ports().log;
    race(10, |producer| {
        let log = log.clone();
        async move {
            for n in 0..10 {
                let key = producer.to_string();
                log.append(PAYMENT_TOPIC, &[record(&key, n)]).await.unwrap();
            }
        }
    })
    .await;
    let entries: Vec<_> = everything(&world).await.concat();
    assert_eq!(entries.len(), 100);
    for producer in 0..10 {
        let own = |e: &&LogEntry| e.record.key == producer.to_string();
        let own: Vec<_> = entries.iter().filter(own).cloned().collect();
        assert_eq!(values(&own), (0..10).collect::<Vec<_>>());
    }
}

pub async fn any_bytes_are_kept_as_they_are<H: Harness>() {
    let world = World::<H>::start().await;
    let log = world.ports().log;
    let odd = Record { headers: odd_headers(), ..Record::new("키", [0, 255, 10, 13, 0]) };
    log.append(PAYMENT_TOPIC, std::slice::from_ref(&odd)).await.unwrap();
    log.append(PAYMENT_TOPIC, &[]).await.unwrap();
    let partition = partition_of(&odd.key, log.partitions());
    let read = log.read(PAYMENT_TOPIC, partition, 0, 10).await.unwrap();
    assert_eq!(read.into_iter().map(|e| e.record).collect::<Vec<_>>(), [odd]);
}
