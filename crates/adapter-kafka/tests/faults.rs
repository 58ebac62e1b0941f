//! Kafka is paused, killed or not there: calls end in time, and all is well again afterwards.
// Test code: a broken promise is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use concert_adapter_kafka::Kafka;
use concert_domain::event::{EventLog, PAYMENT_TOPIC, partition_of};
use concert_domain::health::Probe;
use concert_domain::{Error, Result};
use support::{Broker, PARTITIONS, append_when_back, fresh_prefix, open, records, values};

/// The deadlines that the port's users count on.
const APPEND: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(5);
const CHECK: Duration = Duration::from_secs(2);
const START: Duration = Duration::from_secs(5);

async fn fails_within<T: std::fmt::Debug>(limit: Duration, call: impl Future<Output = Result<T>>) {
    let begin = Instant::now();
    let refused = call.await.unwrap_err();
    assert_eq!(refused, Error::unavailable("the event log"));
    assert!(begin.elapsed() < limit, "took {:?}", begin.elapsed());
}

async fn every_call_fails_in_time(log: &Kafka) {
    let lost = records("k", &["lost"]);
    tokio::join!(
        fails_within(APPEND, log.append(PAYMENT_TOPIC, &lost)),
        fails_within(READ, log.read(PAYMENT_TOPIC, 0, 0, 10)),
        fails_within(READ, log.end(PAYMENT_TOPIC, 0)),
        fails_within(CHECK, log.check()),
    );
}

/// What is in the key's partition, without the copies that a lost answer leaves behind and
/// without the records of calls that were told to have failed and yet arrived.
async fn acknowledged(log: &Kafka) -> Vec<String> {
    let read = log.read(PAYMENT_TOPIC, partition_of("k", PARTITIONS), 0, 100).await.unwrap();
    let mut seen = Vec::new();
    for value in values(&read).into_iter().filter(|value| value != "lost") {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_broker_costs_no_more_than_the_deadline_and_nothing_afterwards() {
    let broker = Broker::start();
    let log = open(&broker.address(), "concert").await;
    log.append(PAYMENT_TOPIC, &records("k", &["before"])).await.unwrap();
    broker.pause().await;
    every_call_fails_in_time(&log).await;
    broker.go_on();
    append_when_back(&log, &records("k", &["after"])).await;
    log.check().await.unwrap();
    assert_eq!(acknowledged(&log).await, ["before", "after"]);
}

/// It comes back at another address, so that only a client that starts from the configured list
/// again finds it: the library alone would ask where the broker was until the end of days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_killed_broker_and_so_does_the_client() {
    let broker = Broker::start();
    let moved = broker.other_address();
    let brokers = format!("{},{moved}", broker.address());
    let old = open(&brokers, "concert").await;
    old.append(PAYMENT_TOPIC, &records("k", &["before"])).await.unwrap();
    broker.kill().await;
    let begin = Instant::now();
    let started_without = open(&brokers, "concert").await;
    assert!(begin.elapsed() < START, "took {:?}", begin.elapsed());
    tokio::join!(every_call_fails_in_time(&old), every_call_fails_in_time(&started_without));
    broker.move_to(&moved);
    broker.up();
    assert_eq!(broker.address(), moved);
    append_when_back(&old, &records("k", &["old client"])).await;
    append_when_back(&started_without, &records("k", &["new client"])).await;
    for log in [&old, &started_without] {
        assert_eq!(acknowledged(log).await, ["before", "old client", "new client"]);
    }
}

/// A host that takes connections and never answers, as behind a broken network.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_and_every_call_end_in_time_if_nothing_answers() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = Instant::now();
    let log = open(&silent.local_addr().unwrap().to_string(), &fresh_prefix()).await;
    assert!(begin.elapsed() < START, "took {:?}", begin.elapsed());
    every_call_fails_in_time(&log).await;
}
