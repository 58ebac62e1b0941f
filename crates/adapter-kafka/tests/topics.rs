//! What is Kafka's own: how topics are made, how much fits, and what retention takes away.
// Test code: a broken promise is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use concert_adapter_kafka::{Kafka, SetupError};
use concert_domain::Error;
use concert_domain::event::{EventLog, PAYMENT_TOPIC, Record, partition_of};
use concert_domain::health::Probe;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::UnknownTopicHandling;
use support::{PARTITIONS, brokers, fresh_prefix, open, records, values};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_under_the_prefix_with_the_partitions_asked_for() {
    let prefix = fresh_prefix();
    let log = open(&brokers(), &prefix).await;
    assert_eq!(log.partitions(), PARTITIONS);
    log.check().await.unwrap();
    let client = ClientBuilder::new(vec![brokers()]).build().await.unwrap();
    let mut topics: Vec<_> = client.list_topics().await.unwrap();
    topics.retain(|topic| topic.name.starts_with(&prefix));
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, [format!("{prefix}.payment.v1"), format!("{prefix}.payment.v1.dead")]);
    assert!(topics.iter().all(|topic| topic.partitions.len() == PARTITIONS as usize));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_start_together_share_the_topics_they_make() {
    let prefix = fresh_prefix();
    let logs = concert_testkit::race(4, |_| {
        let prefix = prefix.clone();
        async move { open(&brokers(), &prefix).await }
    })
    .await;
    for (log, value) in logs.iter().zip(["a", "b", "c", "d"]) {
        log.append(PAYMENT_TOPIC, &records("k", &[value])).await.unwrap();
    }
    let partition = partition_of("k", PARTITIONS);
    for log in &logs {
        let read = log.read(PAYMENT_TOPIC, partition, 0, 10).await.unwrap();
        assert_eq!(values(&read), ["a", "b", "c", "d"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_of_another_number_of_partitions_stops_the_start_in_a_sentence() {
    let prefix = fresh_prefix();
    open(&brokers(), &prefix).await;
    let refused = Kafka::connect(&brokers(), &prefix, PARTITIONS + 1).await.err().unwrap();
    assert!(matches!(refused, SetupError::Partitions(_)), "{refused:?}");
    let sentence = refused.to_string();
    assert!(sentence.contains(&format!("{prefix}.payment.v1 has 4 partitions")), "{sentence}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_does_not_exist_is_refused_and_the_log_goes_on() {
    let log = open(&brokers(), &fresh_prefix()).await;
    let refused = log.read(PAYMENT_TOPIC, PARTITIONS, 0, 1).await;
    assert_eq!(refused, Err(Error::unavailable("the event log")));
    assert_eq!(log.read(PAYMENT_TOPIC, 0, 0, 1).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_larger_than_a_broker_takes_at_once_arrives_in_order() {
    let log = open(&brokers(), &fresh_prefix()).await;
    // Bytes that do not compress: a plain congruential generator is random enough for lz4.
    let mut state = 1_u64;
    let mut noise = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let records: Vec<_> = (0..300)
        .map(|_| Record::new("k", (0..10_000).map(|_| noise()).collect::<Vec<u8>>()))
        .collect();
    log.append(PAYMENT_TOPIC, &records).await.unwrap();
    let partition = partition_of("k", PARTITIONS);
    let mut read = Vec::new();
    while read.len() < records.len() {
        let offset = i64::try_from(read.len()).unwrap();
        let more = log.read(PAYMENT_TOPIC, partition, offset, 1_000).await.unwrap();
        assert_eq!(more.first().map(|entry| entry.offset), Some(offset));
        read.extend(more);
    }
    assert!(read.into_iter().map(|entry| entry.record).eq(records));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_behind_the_retention_goes_on_at_the_first_record_that_is_left() {
    let prefix = fresh_prefix();
    let log = open(&brokers(), &prefix).await;
    let partition = partition_of("k", PARTITIONS);
    for value in ["a", "b", "c", "d"] {
        log.append(PAYMENT_TOPIC, &records("k", &[value])).await.unwrap();
    }
    let client = ClientBuilder::new(vec![brokers()]).build().await.unwrap();
    let number = i32::try_from(partition).unwrap();
    let topic = client
        .partition_client(format!("{prefix}.payment.v1"), number, UnknownTopicHandling::Retry)
        .await
        .unwrap();
    topic.delete_records(2, 5_000).await.unwrap();
    let read = log.read(PAYMENT_TOPIC, partition, 0, 10).await.unwrap();
    assert_eq!(values(&read), ["c", "d"]);
    assert_eq!(read[0].offset, 2);
    // Beyond the end there is nothing to go on at: the consumer's place is of another topic.
    let beyond = log.read(PAYMENT_TOPIC, partition, 5, 10).await;
    assert_eq!(beyond, Err(Error::unavailable("the event log")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_outlive_the_runtime_that_made_the_first_call() {
    let log = Arc::new(open(&brokers(), &fresh_prefix()).await);
    for value in ["a", "b"] {
        let log = log.clone();
        let worker = std::thread::spawn(move || {
            let own = tokio::runtime::Builder::new_current_thread().build().unwrap();
            own.block_on(log.append(PAYMENT_TOPIC, &records("k", &[value])))
        });
        tokio::task::spawn_blocking(|| worker.join().unwrap()).await.unwrap().unwrap();
    }
    let read = log.read(PAYMENT_TOPIC, partition_of("k", PARTITIONS), 0, 10).await.unwrap();
    assert_eq!(values(&read), ["a", "b"]);
}
