//! The server is paused, emptied or replaced while it is in use.
// Test code: a broken promise is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{PrivateServer, plain, until, users};
use concert_adapter_redis::Redis;
use concert_domain::cache::{Cache, Value};
use concert_domain::health::Probe;
use concert_domain::lock::{Lock, Locked};
use concert_domain::queue::{
    Join, Joined, KeptPolicy, Mode, Policy, QueueStore, QueueToken, Rules, Standing, Terms,
    TokenSource,
};
use concert_domain::seed::QueueSeeds;
use concert_domain::{ConcertId, Error, ErrorKind, UserId};
use concert_testkit::{SequentialTokens, race};
use futures::future::join_all;

const HOUR: Duration = Duration::from_secs(3_600);

const LIMIT: u32 = 3;

/// Nobody's time ends.
const RULES: Rules = Rules {
    active_limit: LIMIT,
    claim_ttl: HOUR,
    active_ttl: HOUR,
    waiting_ttl: HOUR,
    remember_ttl: HOUR,
};

fn concert() -> ConcertId {
    ConcertId::try_from(1).unwrap()
}

fn wish(user: i64, token: QueueToken) -> Join {
    Join { concert: concert(), user: UserId::try_from(user).unwrap(), token }
}

async fn join(redis: &Redis, user: i64, token: QueueToken) -> Joined {
    redis.join(wish(user, token), &RULES.into()).await.unwrap()
}

fn token(number: u8) -> QueueToken {
    QueueToken::from_bytes([number; 16])
}

async fn command(server: &PrivateServer, words: &[&str]) {
    let mut connection = plain(&server.address()).await;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query_async::<()>(&mut connection).await.unwrap();
}

fn unavailable<T>(answer: &concert_domain::Result<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_unavailable_within_the_deadline_and_comes_back_by_itself() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let place = join(&redis, 1, token(1)).await.place;

    server.pause();
    let (begin, terms) = (Instant::now(), RULES.into());
    let (joined, polled, locked, cached, checked) = tokio::join!(
        redis.join(wish(2, token(2)), &terms),
        // More than go in one call.
        join_all((0..300).map(|_| redis.enter(&place.token, None, &RULES))),
        redis.acquire("seat", "owner", HOUR),
        redis.get("list", "all"),
        redis.check(),
    );
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(unavailable(&joined) && polled.iter().all(unavailable), "{joined:?} {polled:?}");
    assert!(unavailable(&locked) && unavailable(&cached), "{locked:?} {cached:?}");
    assert!(unavailable(&checked), "{checked:?}");

    server.go_on();
    until("it is there again", async || redis.check().await.is_ok()).await;
    assert_eq!(redis.poll(&place.token, None, &RULES).await.unwrap().unwrap().token, place.token);
    // The join that nobody heard of has run or has not: one place either way.
    let again = join(&redis, 2, token(3)).await.place;
    assert!([token(2), token(3)].contains(&again.token));
    assert_eq!(redis.counts(concert()).await.unwrap().active, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_no_connection_works_nobody_waits_for_a_deadline() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    server.pause();
    // One after another until both lanes are known to be broken.
    for _ in 0..2 {
        assert!(unavailable(&redis.check().await));
    }
    let begin = Instant::now();
    for _ in 0..100 {
        assert!(unavailable(&redis.check().await));
    }
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_empty_takes_joins_again() {
    let mut server = PrivateServer::start().await;
    let redis = server.connect().await;
    let old = join(&redis, 1, token(1)).await.place.token;
    server.restart();
    until("it is there again", async || redis.check().await.is_ok()).await;
    assert_eq!(redis.poll(&old, None, &RULES).await, Ok(None));
    let place = join(&redis, 1, token(2)).await.place;
    assert!(matches!(place.standing, Standing::Active { .. }), "{place:?}");
}

/// Numbers start anew as well: a token from before must not be taken for the one that has its
/// number now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_everything_was_lost_an_old_token_moves_nobody() {
    let server = PrivateServer::start().await;
    let (one, other) = (server.connect().await, server.connect().await);
    let old = join(&one, 1, token(1)).await.place.token;
    command(&server, &["FLUSHALL"]).await;
    let new = join(&other, 2, token(2)).await.place.token;

    assert_eq!(one.poll(&old, None, &RULES).await, Ok(None));
    assert_eq!(one.enter(&old, None, &RULES).await, Err(Error::TokenNotFound));
    one.finish(concert(), old.digest(), &RULES.into()).await.unwrap();
    one.enter(&new, None, &RULES).await.unwrap();
    assert_eq!(one.counts(concert()).await.unwrap().active, 1);
}

/// A process that remembers where a token was asks again when it lies elsewhere now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_joined_again_at_another_place_is_found() {
    let server = PrivateServer::start().await;
    let (one, other) = (server.connect().await, server.connect().await);
    join(&one, 1, token(1)).await;
    command(&server, &["FLUSHALL"]).await;
    join(&other, 2, token(2)).await;
    join(&other, 1, token(1)).await;
    one.enter(&token(1), None, &RULES).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_everything_again_and_again_never_admits_more_than_the_limit() {
    let server = PrivateServer::start().await;
    let redis = Arc::new(server.connect().await);
    let (done, tokens) = (Arc::new(AtomicBool::new(false)), Arc::new(SequentialTokens::default()));
    let sampler = tokio::spawn({
        let (redis, done) = (redis.clone(), done.clone());
        async move {
            let mut most = 0;
            while !done.load(Ordering::SeqCst) {
                most = redis.counts(concert()).await.unwrap().active.max(most);
            }
            most
        }
    });
    for _ in 0..10 {
        let flush = command(&server, &["FLUSHALL"]);
        let storm = race(50, |caller| {
            let (redis, tokens) = (redis.clone(), tokens.clone());
            async move {
                let wish = wish(caller as i64 + 1, tokens.fresh());
                let token = redis.join(wish, &RULES.into()).await.unwrap().place.token;
                let _ = redis.enter(&token, None, &RULES).await;
                if caller % 2 == 0 {
                    redis.finish(concert(), token.digest(), &RULES.into()).await.unwrap();
                }
                redis.tick(concert(), &RULES.into()).await.unwrap();
                redis.purge(&RULES, 10).await.unwrap();
            }
        });
        tokio::join!(flush, storm);
    }
    done.store(true, Ordering::SeqCst);
    let most = sampler.await.unwrap();
    assert!(most <= u64::from(LIMIT), "{most} were active");
    // Everybody who joins now has a place, and the line is the limit's and nobody else's.
    race(50, |caller| {
        let (redis, tokens) = (redis.clone(), tokens.clone());
        let wish = wish(caller as i64 + 1, tokens.fresh());
        async move { redis.join(wish, &RULES.into()).await.unwrap() }
    })
    .await;
    let overview = redis.counts(concert()).await.unwrap();
    assert_eq!((overview.waiting, overview.active), (47, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_the_server_has_lost_are_loaded_again() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let place = join(&redis, 1, token(1)).await.place;
    for _ in 0..2 {
        command(&server, &["SCRIPT", "FLUSH"]).await;
        redis.enter(&place.token, None, &RULES).await.unwrap();
        redis.tick(concert(), &RULES.into()).await.unwrap();
        redis.bump(&["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert_eq!(redis.acquire("seat", "owner", HOUR).await, Ok(Locked::Acquired));
        redis.release("seat", "owner").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_generation_never_comes_back() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let noted = redis.get("list", "all").await.unwrap().generation;
    redis.bump(&["list".to_owned()]).await.unwrap();
    command(&server, &["FLUSHALL"]).await;
    let later = redis.get("list", "all").await.unwrap().generation;
    assert!(later.0 > noted.0 + 1, "{later:?} after {noted:?}");
    assert_eq!(redis.put("list", "all", noted, Value::new(vec![1]), HOUR).await, Ok(false));
}

/// Whoever has not heard of the policy follows the one that others told, and after everything was
/// lost the first who knows it tells it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_policy_is_back_with_the_first_who_knows_it() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let policy = Policy { mode: Mode::Hold, ..Policy::default() };
    let hold = Terms { rules: RULES, own: KeptPolicy { policy, version: 3 } };
    redis.tick(concert(), &hold).await.unwrap();
    let place = join(&redis, 1, token(1)).await.place;
    assert_eq!(place.standing, Standing::Waiting { rank: 1 });
    command(&server, &["FLUSHALL"]).await;
    let place = redis.join(wish(1, token(1)), &hold).await.unwrap().place;
    assert_eq!(place.standing, Standing::Waiting { rank: 1 });
    assert_eq!(redis.tick(concert(), &RULES.into()).await.unwrap().admitted, 0);
}

/// Nothing is left of places whose memory is over but the counts of their concert.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_leaves_no_key_of_a_token_behind() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let forgetful = Rules { remember_ttl: Duration::ZERO, ..RULES };
    for user in 1..=100 {
        let joined = redis.join(wish(user, token(user as u8)), &forgetful.into()).await.unwrap();
        redis.finish(concert(), joined.place.token.digest(), &forgetful.into()).await.unwrap();
    }
    assert_eq!(redis.purge(&forgetful, 1_000).await, Ok(100));
    assert_eq!(redis.live_concerts().await, Ok(vec![]));
    assert_eq!(redis.purge(&forgetful, 1_000).await, Ok(0));
    assert_eq!(redis.live_concerts().await, Ok(vec![]), "no concert is listed any more");
    let mut connection = plain(&server.address()).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, ["q:{1}"]);
}

/// A cluster refuses a script that touches keys of two slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_keeps_to_one_slot_of_a_cluster() {
    let server = PrivateServer::start_cluster().await;
    command(&server, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    let redis = server.connect().await;
    until("the cluster is up", async || redis.counts(concert()).await.is_ok()).await;
    let forgetful = Rules { remember_ttl: Duration::ZERO, ..RULES };

    let place = join(&redis, 1, token(1)).await.place;
    redis.enter(&place.token, None, &RULES).await.unwrap();
    redis.tick(concert(), &RULES.into()).await.unwrap();
    redis.finish(concert(), place.token.digest(), &forgetful.into()).await.unwrap();
    redis.counts(concert()).await.unwrap();
    assert_eq!(redis.purge(&RULES, 10).await, Ok(1));
    assert_eq!(redis.purge(&RULES, 10).await, Ok(0));

    redis.bump(&["a".to_owned(), "b".to_owned()]).await.unwrap();
    let noted = redis.get("a", "all").await.unwrap().generation;
    assert_eq!(redis.put("a", "all", noted, Value::new(vec![1]), HOUR).await, Ok(true));
    assert_eq!(redis.acquire("seat", "owner", HOUR).await, Ok(Locked::Acquired));
    redis.release("seat", "owner").await.unwrap();
}

/// Who is in the queue can go on and leave; who is not must wait for room. A copy can be ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_memory_is_full_refuses_joins_only() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let place = join(&redis, 1, token(1)).await.place;
    let noted = redis.get("seats", "all").await.unwrap().generation;
    assert_eq!(redis.put("seats", "all", noted, Value::new(vec![1]), HOUR).await, Ok(true));
    command(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    redis.bump(&["seats".to_owned()]).await.unwrap();
    assert_eq!(redis.get("seats", "all").await.unwrap().value, None);
    assert!(unavailable(&redis.join(wish(2, token(2)), &RULES.into()).await));
    redis.enter(&place.token, None, &RULES).await.unwrap();
    redis.finish(concert(), place.token.digest(), &RULES.into()).await.unwrap();
    assert_eq!(redis.counts(concert()).await.unwrap().active, 0);
    command(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    join(&redis, 2, token(2)).await;
}

/// Masses of users for measuring are users like others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filled_queue_admits_from_its_head() {
    let server = PrivateServer::start().await;
    let redis = server.connect().await;
    let waiting = users(1, 1_200);
    redis.fill_queue(concert(), waiting.clone(), &RULES).await.unwrap();
    assert_eq!(redis.counts(concert()).await.unwrap().waiting, 1_200);
    assert_eq!(redis.live_concerts().await, Ok(vec![concert()]));
    redis.tick(concert(), &RULES.into()).await.unwrap();
    for (user, token) in &waiting {
        let seen = redis.find(token).await.unwrap().unwrap();
        assert_eq!(seen.user, *user);
        let rank = (user.get() as u64).saturating_sub(LIMIT.into());
        match seen.standing {
            Standing::Active { .. } => assert_eq!(rank, 0),
            standing => assert_eq!(standing, Standing::Waiting { rank }),
        }
    }
    let before = redis.counts(concert()).await.unwrap();
    redis.fill_queue(concert(), waiting, &RULES).await.unwrap();
    assert_eq!(redis.counts(concert()).await, Ok(before));
}
