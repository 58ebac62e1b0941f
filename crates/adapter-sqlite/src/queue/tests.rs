//! What the contract suites do not see: ranks at the borders of buckets, steps at their bounds.

use std::time::Duration;

use concert_domain::queue::{QueueStore, Rules, Standing};
use concert_domain::seed::QueueSeeds;
use concert_domain::{ConcertId, UserId};

use super::*;
use crate::testing::TestStore;

const HOUR: Duration = Duration::from_secs(3_600);
const CLAIM: Duration = Duration::from_secs(60);

impl TestStore {
    async fn with_waiting(count: u32) -> Self {
        let store = Self::at(1_700_000_000_000).await;
        let waiting = (1..=count).map(|n| (user(n.into()), token(n))).collect();
        store.sqlite.fill_queue(concert(), waiting, &rules(0)).await.unwrap();
        store
    }

    /// The rank of the user, who took the place of the same sequence number.
    async fn rank(&self, number: i64) -> u64 {
        let rank = self.sqlite.read(move |tx| counts::rank(tx, concert(), number));
        rank.await.unwrap()
    }

    async fn leave(&self, number: i64) {
        let found = self.sqlite.read(move |tx| Token::of_user(tx, concert(), user(number)));
        let digest = found.await.unwrap().expect("the user waits").token.digest();
        self.sqlite.finish(concert(), digest, &rules(0).into()).await.unwrap();
    }

    async fn counted(&self) -> i64 {
        let sum = self.sqlite.read(|tx| {
            sql("SELECT coalesce(sum(waiting), 0) AS n FROM queue_counts").count(tx.conn)
        });
        sum.await.unwrap()
    }
}

fn concert() -> ConcertId {
    ConcertId::try_from(1).unwrap()
}

fn token(number: u32) -> QueueToken {
    QueueToken::from_bytes(u128::from(number).to_be_bytes())
}

fn user(number: i64) -> UserId {
    UserId::try_from(number).unwrap()
}

/// A limit of 0 lets a law look at a queue that nobody leaves by admission.
fn rules(active_limit: u32) -> Rules {
    Rules {
        active_limit,
        claim_ttl: CLAIM,
        active_ttl: HOUR,
        waiting_ttl: HOUR,
        remember_ttl: HOUR,
    }
}

#[tokio::test]
async fn ranks_are_exact_on_both_sides_of_every_bucket_border() {
    let store = TestStore::with_waiting(66_050).await;
    let borders = [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 65_791, 65_792, 66_050];
    for number in borders {
        assert_eq!(store.rank(number).await, number as u64);
    }
    for gone in [1, 255, 256, 65_535, 65_536] {
        store.leave(gone).await;
    }
    for (number, rank) in [(2, 1), (254, 253), (257, 254), (65_534, 65_531), (65_537, 65_532)] {
        assert_eq!(store.rank(number).await, rank, "place {number}");
    }
    assert_eq!(store.rank(66_050).await, 66_045);
}

#[tokio::test]
async fn a_step_admits_in_order_up_to_its_bound_and_says_that_there_is_more() {
    let store = TestStore::with_waiting(2_500).await;
    let step = || async { store.sqlite.tick(concert(), &rules(2_200).into()).await.unwrap() };
    assert_eq!(step().await, Ticked { admitted: 1_000, dropped: 0, more: true });
    assert_eq!(store.rank(1_001).await, 1);
    assert_eq!(step().await, Ticked { admitted: 1_000, dropped: 0, more: true });
    assert_eq!(step().await, Ticked { admitted: 200, dropped: 0, more: false });
    assert_eq!(step().await, Ticked::default());
    let overview = store.sqlite.counts(concert()).await.unwrap();
    assert_eq!((overview.waiting, overview.active, overview.admitted), (300, 2_200, 2_200));
    assert_eq!(store.counted().await, 2 * 300, "each level counts who waits");
}

#[tokio::test]
async fn more_late_places_than_a_step_drops_keep_no_room_and_no_user_out_for_ever() {
    let store = TestStore::with_waiting(2_500).await;
    for _ in 0..2 {
        store.sqlite.tick(concert(), &rules(2_000).into()).await.unwrap();
    }
    store.clock.advance(CLAIM);
    let overview = store.sqlite.counts(concert()).await.unwrap();
    assert_eq!((overview.waiting, overview.active), (500, 0), "late is ended, dropped or not");

    let admitted = 500;
    let step = store.sqlite.tick(concert(), &rules(2_000).into()).await.unwrap();
    assert_eq!(step, Ticked { admitted, dropped: 1_000, more: true });
    let step = store.sqlite.tick(concert(), &rules(2_000).into()).await.unwrap();
    assert_eq!((step.admitted, step.dropped), (0, 1_000));
}

#[tokio::test]
async fn a_user_whose_late_place_the_drop_has_not_come_to_can_join_again() {
    let store = TestStore::with_waiting(3_000).await;
    store.clock.advance(24 * HOUR);
    let join =
        Join { concert: concert(), user: user(3_000), token: QueueToken::from_bytes([1; 16]) };
    let joined = store.sqlite.join(join, &rules(0).into()).await.unwrap();
    assert!(joined.first);
    while store.sqlite.tick(concert(), &rules(0).into()).await.unwrap().more {}
    assert_eq!(store.counted().await, 2);
    let place = store.sqlite.poll(&joined.place.token, None, &rules(0)).await.unwrap();
    assert_eq!(place.unwrap().standing, Standing::Waiting { rank: 1 });
}

#[tokio::test]
async fn a_token_that_differs_only_in_its_secret_is_unknown() {
    let store = TestStore::with_waiting(1).await;
    let found = store.sqlite.read(|tx| Token::of_user(tx, concert(), user(1))).await.unwrap();
    let token = found.unwrap().token;
    assert!(store.sqlite.find(&token).await.unwrap().is_some());
    let forge = sql("UPDATE queue_tokens SET token = ?").bytes([0; 16]);
    store.sqlite.write(move |tx| forge.run(tx.conn)).await.unwrap();
    assert!(store.sqlite.find(&token).await.unwrap().is_none());
}
