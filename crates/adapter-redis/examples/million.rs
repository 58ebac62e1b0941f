//! Measures one million waiting users in Redis: the bytes of each, a poll of the last one, and a
//! step that admits a thousand.
//!
//! `scripts/services run -- cargo run --release -p concert-adapter-redis --example million`
// A broken measurement is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::PrivateServer;
use concert_adapter_redis::Redis;
use concert_domain::queue::{Join, QueueStore, QueueToken, Rules};
use concert_domain::seed::QueueSeeds;
use concert_domain::{ConcertId, UserId};

const WAITING: u32 = 1_000_000;

/// Nobody's time ends.
const RULES: Rules = Rules {
    active_limit: 1,
    claim_ttl: HOUR,
    active_ttl: HOUR,
    waiting_ttl: HOUR,
    remember_ttl: HOUR,
};
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::main]
async fn main() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let concert = ConcertId::try_from(1_000).unwrap();
    memory(&server, &redis, concert).await;
    poll(&redis, concert).await;
    steps(&redis, concert).await;
}

async fn used_memory(server: &PrivateServer) -> f64 {
    let mut connection = common::plain(&server.address()).await;
    let info: redis::InfoDict =
        redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
    info.get("used_memory").unwrap()
}

async fn memory(server: &PrivateServer, redis: &Redis, concert: ConcertId) {
    let fill = async |first: i64, count| {
        redis.fill_queue(concert, common::users(first, count), &RULES).await.unwrap();
    };
    // Scripts and buffers are there with the first user; they are no cost of the others.
    fill(1, 1).await;
    let before = used_memory(server).await;
    fill(1_000_000, WAITING).await;
    let bytes = (used_memory(server).await - before) / f64::from(WAITING);
    println!("{bytes:.1} bytes a waiting user with {WAITING} waiting");
}

async fn poll(redis: &Redis, concert: ConcertId) {
    let (token, user) = (QueueToken::from_bytes([9; 16]), UserId::try_from(2).unwrap());
    let last = Join { concert, user, token: token.clone() };
    redis.join(last, &RULES.into()).await.unwrap();
    let begin = Instant::now();
    for _ in 0..1_000 {
        redis.poll(&token, None, &RULES).await.unwrap();
    }
    println!("{:?} for a poll of the last one", begin.elapsed() / 1_000);
}

async fn steps(redis: &Redis, concert: ConcertId) {
    let wide = Rules { active_limit: WAITING, ..RULES };
    let begin = Instant::now();
    for _ in 0..10 {
        redis.tick(concert, &wide.into()).await.unwrap();
    }
    println!("{:?} for a step that admits 1,000", begin.elapsed() / 10);
}
