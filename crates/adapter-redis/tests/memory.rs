//! What a waiting user costs in memory.
// Test code: a broken bound is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::{Duration, Instant};

use common::PrivateServer;
use concert_adapter_redis::Redis;
use concert_domain::queue::{Join, PolicyPatch, QueueStore, QueueToken, Rules, TokenSource};
use concert_domain::{ConcertId, UserId};
use concert_testkit::SequentialTokens;
use futures::{StreamExt, TryStreamExt, stream};

/// Joins on their way at a time.
const IN_FLIGHT: usize = 200;

const MOST_BYTES: f64 = 150.0;

fn concert() -> ConcertId {
    ConcertId::try_from(1_000).unwrap()
}

fn user(number: i64) -> UserId {
    UserId::try_from(1_000_000 + number).unwrap()
}

/// Nobody is admitted and nobody's time ends.
fn rules() -> Rules {
    let hour = Duration::from_secs(3_600);
    Rules {
        active_limit: 0,
        claim_ttl: hour,
        active_ttl: hour,
        waiting_ttl: hour,
        remember_ttl: hour,
    }
}

/// Lets users join; answers their tokens.
async fn fill(redis: &Redis, users: std::ops::Range<i64>) -> Vec<QueueToken> {
    let (tokens, rules) = (SequentialTokens::default(), &rules());
    (0..users.start).for_each(|_| drop(tokens.fresh()));
    stream::iter(users)
        .map(|number| {
            let join = Join { concert: concert(), user: user(number), token: tokens.fresh() };
            async move { redis.join(join, rules).await.map(|joined| joined.place.token) }
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await
        .unwrap()
}

async fn used_memory(server: &PrivateServer) -> f64 {
    let mut connection = common::plain(&server.address()).await;
    let info: redis::InfoDict =
        redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
    info.get("used_memory").unwrap()
}

/// Bytes for each of so many waiting users.
async fn bytes_per_user(server: &PrivateServer, redis: &Redis, count: i64) -> f64 {
    // Scripts and buffers are there with the first user; they are no cost of the others.
    fill(redis, 0..1).await;
    let before = used_memory(server).await;
    fill(redis, 1..count).await;
    (used_memory(server).await - before) / (count - 1) as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_user_costs_at_most_150_bytes() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let bytes = bytes_per_user(&server, &redis, 100_000).await;
    println!("{bytes:.1} bytes a waiting user with 100,000 waiting");
    assert!(bytes <= MOST_BYTES, "{bytes:.1} bytes a waiting user");
}

/// Also tells what the length of the queue does to a poll and to a step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement that takes minutes; run it by name"]
async fn a_million_waiting_users_cost_at_most_150_bytes_each() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let bytes = bytes_per_user(&server, &redis, 1_000_000).await;
    println!("{bytes:.1} bytes a waiting user with 1,000,000 waiting");

    let last = fill(&redis, 1_000_000..1_000_001).await.remove(0);
    let begin = Instant::now();
    for _ in 0..1_000 {
        redis.poll(&last, &rules()).await.unwrap();
    }
    println!("{:?} for a poll of the last one", begin.elapsed() / 1_000);

    let patch = PolicyPatch { active_limit: Some(Some(1_000_000)), ..PolicyPatch::default() };
    redis.set_policy(concert(), patch, &rules()).await.unwrap();
    let begin = Instant::now();
    for _ in 0..10 {
        assert_eq!(redis.tick(concert(), &rules()).await.unwrap().admitted, 1_000);
    }
    println!("{:?} for a step that admits 1,000", begin.elapsed() / 10);
    assert!(bytes <= MOST_BYTES, "{bytes:.1} bytes a waiting user");
}
