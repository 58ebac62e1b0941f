//! What a waiting user costs in memory. What a million cost, and what a poll and a step take then,
//! is measured by `scripts/services run -- cargo run --release -p concert-adapter-redis --example million`.
// Test code: a broken bound is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::PrivateServer;
use concert_adapter_redis::Redis;
use concert_domain::ConcertId;
use concert_domain::queue::{QueueStore, Rules};
use concert_domain::seed::QueueSeeds;

const MOST_BYTES: f64 = 150.0;

fn concert() -> ConcertId {
    ConcertId::try_from(1_000).unwrap()
}

/// Nobody's time ends.
fn rules() -> Rules {
    let hour = Duration::from_secs(3_600);
    Rules {
        active_limit: 1,
        claim_ttl: hour,
        active_ttl: hour,
        waiting_ttl: hour,
        remember_ttl: hour,
    }
}

/// Without what the scripts leave for their collector: that does not grow with the places.
async fn used_memory(server: &PrivateServer) -> f64 {
    let mut connection = common::plain(&server.address()).await;
    let info: redis::InfoDict =
        redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
    let told = |name: &str| info.get::<f64>(name).unwrap();
    told("used_memory") - told("used_memory_vm_eval")
}

async fn fill(redis: &Redis, first: i64, count: u32, rules: &Rules) {
    redis.fill_queue(concert(), common::users(first, count), rules).await.unwrap();
}

/// Bytes for each of so many waiting users.
async fn bytes_per_user(server: &PrivateServer, redis: &Redis, count: u32) -> f64 {
    // Scripts and buffers are there with the first user; they are no cost of the others.
    fill(redis, 1, 1, &rules()).await;
    let before = used_memory(server).await;
    fill(redis, 1_000_000, count, &rules()).await;
    (used_memory(server).await - before) / f64::from(count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_user_costs_at_most_150_bytes() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let bytes = bytes_per_user(&server, &redis, 100_000).await;
    println!("{bytes:.1} bytes a waiting user with 100,000 waiting");
    assert!(bytes <= MOST_BYTES, "{bytes:.1} bytes a waiting user");
}

/// An ended place costs more until it is forgotten, and nothing afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_place_costs_at_most_250_bytes_until_it_is_forgotten() {
    const COUNT: u32 = 100_000;
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let mut rules = rules();
    (rules.waiting_ttl, rules.remember_ttl) = (Duration::ZERO, Duration::ZERO);
    redis.tick(concert(), &rules.into()).await.unwrap();
    redis.purge(&rules, 1).await.unwrap();
    let before = used_memory(&server).await;
    fill(&redis, 1_000_000, COUNT, &rules).await;
    while redis.tick(concert(), &rules.into()).await.unwrap().more {}

    let bytes = (used_memory(&server).await - before) / f64::from(COUNT);
    println!("{bytes:.1} bytes an ended place");
    assert!(bytes <= 250.0, "{bytes:.1} bytes an ended place");
    while redis.purge(&rules, 1_000).await.unwrap() > 0 {}
    let left = (used_memory(&server).await - before) / f64::from(COUNT);
    assert!(left < 10.0, "{left:.1} bytes are left of each place");
}
