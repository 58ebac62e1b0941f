//! What processes remember of queues and locks: how much they need not ask, and how soon they see
//! what others did.
// Test code: a broken promise is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::{PrivateServer, own_prefix, plain, shared, until, users};
use concert_adapter_redis::Redis;
use concert_domain::cache::NEAR_FOR;
use concert_domain::lock::{Lock, Locked};
use concert_domain::queue::{Join, QueueStore, QueueToken, Rules, Standing};
use concert_domain::{ConcertId, Error};
use concert_testkit::race;

const HOUR: Duration = Duration::from_secs(3_600);

/// Nobody's time ends.
const RULES: Rules = Rules {
    active_limit: 1,
    claim_ttl: HOUR,
    active_ttl: HOUR,
    waiting_ttl: HOUR,
    remember_ttl: HOUR,
};

fn concert() -> ConcertId {
    ConcertId::try_from(1).unwrap()
}

/// So many new users who join one after the other.
async fn joined(redis: &Redis, first: i64, count: u32) -> Vec<QueueToken> {
    let mut tokens = Vec::new();
    for (user, token) in users(first, count) {
        let join = Join { concert: concert(), user, token: token.clone() };
        redis.join(join, &RULES.into()).await.unwrap();
        tokens.push(token);
    }
    tokens
}

async fn standing(redis: &Redis, token: &QueueToken) -> Option<Standing> {
    redis.poll(token, None, &RULES).await.unwrap().map(|place| place.standing)
}

/// How many scripts the server has run.
async fn scripts(server: &PrivateServer) -> u64 {
    let mut connection = plain(&server.address()).await;
    let told: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    let calls = told
        .lines()
        .filter(|line| line.starts_with("cmdstat_eval"))
        .filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
    calls.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_another_process_ended_is_over_here_within_a_tenth_of_a_second() {
    let prefix = own_prefix();
    let (here, there) = (shared(&prefix).await, shared(&prefix).await);
    let tokens = joined(&here, 1, 3).await;
    for _ in 0..2 {
        here.glance(&tokens[0], None, &RULES).await.unwrap();
        assert_eq!(standing(&here, &tokens[2]).await, Some(Standing::Waiting { rank: 2 }));
    }
    there.finish(concert(), tokens[0].digest(), &RULES.into()).await.unwrap();
    let entered = here.enter(&tokens[0], None, &RULES).await;
    assert_eq!(entered, Err(Error::TokenExpired), "who pays is judged by the server");
    tokio::time::sleep(NEAR_FOR).await;
    assert_eq!(here.glance(&tokens[0], None, &RULES).await, Err(Error::TokenExpired));
    assert_eq!(standing(&here, &tokens[0]).await, Some(Standing::Ended));
    assert_eq!(standing(&here, &tokens[2]).await, Some(Standing::Waiting { rank: 1 }));
    // Its first request reaches the server and counts.
    here.glance(&tokens[1], None, &RULES).await.unwrap();
    there.finish(concert(), tokens[1].digest(), &RULES.into()).await.unwrap();
    there.finish(concert(), tokens[2].digest(), &RULES.into()).await.unwrap();
    tokio::time::sleep(NEAR_FOR).await;
    for token in &tokens {
        assert_eq!(here.glance(token, None, &RULES).await, Err(Error::TokenExpired));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_and_glances_are_answered_from_memory() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let tokens = joined(&redis, 1, 100).await;
    redis.glance(&tokens[0], None, &RULES).await.unwrap();
    let before = scripts(&server).await;
    for _ in 0..10 {
        redis.glance(&tokens[0], None, &RULES).await.unwrap();
        for (token, rank) in tokens[1..].iter().zip(1..) {
            assert_eq!(standing(&redis, token).await, Some(Standing::Waiting { rank }));
        }
    }
    let asked = scripts(&server).await - before;
    assert!(asked < 500, "{asked} scripts for 1000 requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_are_given_out_again_are_no_memory_of_anybody() {
    let server = PrivateServer::start().await;
    let (here, there) = (server.connect().await, server.connect().await);
    let tokens = joined(&here, 1, 3).await;
    here.glance(&tokens[0], None, &RULES).await.unwrap();
    assert_eq!(standing(&here, &tokens[2]).await, Some(Standing::Waiting { rank: 2 }));
    let mut connection = plain(&server.address()).await;
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    joined(&there, 101, 3).await;
    tokio::time::sleep(NEAR_FOR).await;
    assert_eq!(here.glance(&tokens[0], None, &RULES).await, Err(Error::TokenNotFound));
    assert_eq!(standing(&here, &tokens[2]).await, None);
}

/// One step for all of them, and each has the place that it would have had alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_join_together_each_have_a_place_of_their_own() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let all = users(1, 500);
    let before = scripts(&server).await;
    let places = race(500, |caller| {
        let (redis, (user, token)) = (redis.clone(), all[caller].clone());
        async move {
            redis.join(Join { concert: concert(), user, token }, &RULES.into()).await.unwrap().place
        }
    })
    .await;
    let asked = scripts(&server).await - before;
    let mut ranks: Vec<_> = places
        .iter()
        .map(|place| match place.standing {
            Standing::Waiting { rank } => rank,
            _ => 0,
        })
        .collect();
    ranks.sort_unstable();
    // A rank is told as it was after the call; only the first call admits.
    assert_eq!(ranks, (0..500).collect::<Vec<_>>());
    assert!(asked < 400, "{asked} scripts for 500 joins");
}

/// Whoever comes alone to a seat that was taken long ago would otherwise read its offer.
#[tokio::test]
async fn a_name_is_contended_from_when_a_lock_of_it_was_heard_of_until_it_is_ended_here() {
    let prefix = own_prefix();
    let (here, there) = (shared(&prefix).await, shared(&prefix).await);
    let contended = async || here.turn("seat").await.unwrap().contended;
    assert!(!contended().await);
    assert_eq!(there.acquire("seat", "other", HOUR).await, Ok(Locked::Acquired));
    assert!(!contended().await, "nobody has told");
    assert_eq!(here.holder("seat").await.unwrap().as_deref(), Some("other"));
    until("what was heard is too old to be told", async || here.seen_holder("seat").is_none())
        .await;
    assert!(contended().await);
    here.clear("seat").await.unwrap();
    assert!(!contended().await);
}
