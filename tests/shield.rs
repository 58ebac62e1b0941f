//! The lock is a shield in front of the database and never the proof: without it, and with a Redis
//! that forgets everything all the time, no seat is sold twice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use concert_app::Config;
use concert_app::config::Limits;
use concert_domain::concert::{
    Concert, ConcertReader, Perishable, RankedConcert, ScheduleListing, SeatMap, SeatOffer,
};
use concert_domain::lock::{Lock, Locked, Turn};
use concert_domain::{ConcertId, Page, PageRequest, Result, ScheduleId, SeatId, Seen};
use concert_tests::{
    Crowd, Engines, FullSet, Instances, Server, Servers, TestApp, audit, eventually, quick,
    reconcile,
};
use futures::future::join_all;

const CLIENTS: i64 = 80;
/// So few that everybody wants the same.
const SEATS: u32 = 6;
const LIMIT: u32 = 30;

/// Lets everybody pass.
struct Off;

#[async_trait]
impl Lock for Off {
    async fn acquire(&self, _: &str, _: &str, _: Duration) -> Result<Locked> {
        Ok(Locked::Acquired)
    }

    async fn renew(&self, _: &str, _: &str, _: Duration) -> Result<bool> {
        Ok(true)
    }

    async fn keep(&self, _: &str, _: &str, _: Duration) {}

    async fn release(&self, _: &str, _: &str) -> Result<()> {
        Ok(())
    }

    async fn holder(&self, _: &str) -> Result<Option<String>> {
        Ok(None)
    }

    async fn clear(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// Ends before its holder is done.
struct Brief(Arc<dyn Lock>);

#[async_trait]
impl Lock for Brief {
    async fn acquire(&self, name: &str, owner: &str, _: Duration) -> Result<Locked> {
        self.0.acquire(name, owner, Duration::from_millis(1)).await
    }

    async fn renew(&self, _: &str, _: &str, _: Duration) -> Result<bool> {
        Ok(false)
    }

    async fn keep(&self, _: &str, _: &str, _: Duration) {}

    async fn release(&self, name: &str, owner: &str) -> Result<()> {
        self.0.release(name, owner).await
    }

    async fn holder(&self, name: &str) -> Result<Option<String>> {
        self.0.holder(name).await
    }

    async fn clear(&self, name: &str) -> Result<()> {
        self.0.clear(name).await
    }
}

/// Lasts longer than any test.
struct Lasting(Arc<dyn Lock>);

#[async_trait]
impl Lock for Lasting {
    async fn acquire(&self, name: &str, owner: &str, lease: Duration) -> Result<Locked> {
        self.0.acquire(name, owner, lease * 100).await
    }

    async fn renew(&self, name: &str, owner: &str, lease: Duration) -> Result<bool> {
        self.0.renew(name, owner, lease * 100).await
    }

    async fn keep(&self, name: &str, owner: &str, lease: Duration) {
        self.0.keep(name, owner, lease * 100).await;
    }

    async fn release(&self, name: &str, owner: &str) -> Result<()> {
        self.0.release(name, owner).await
    }

    async fn holder(&self, name: &str) -> Result<Option<String>> {
        self.0.holder(name).await
    }

    fn seen_holder(&self, name: &str) -> Option<String> {
        self.0.seen_holder(name)
    }

    async fn clear(&self, name: &str) -> Result<()> {
        self.0.clear(name).await
    }

    async fn turn(&self, name: &str) -> Result<Turn> {
        self.0.turn(name).await
    }
}

fn config() -> Config {
    Config {
        queue_active_limit: LIMIT,
        hold_ttl: Duration::from_millis(1_500),
        queue_claim_ttl: Duration::from_secs(2),
        queue_active_ttl: Duration::from_secs(3),
        ..quick()
    }
}

/// Two instances of a service on one set, with these locks, and a crowd in front of them.
struct Scene {
    set: Arc<FullSet>,
    apps: Vec<TestApp>,
    show: concert_tests::Show,
    crowd: Crowd,
}

impl Scene {
    async fn new(set: FullSet, lock: impl Fn(Arc<dyn Lock>) -> Arc<dyn Lock>) -> Self {
        let set = Arc::new(set);
        let mut apps = Vec::new();
        for _ in 0..2 {
            let mut engines = Engines::on(set.clone()).await;
            engines.ports.lock = lock(engines.ports.lock.clone());
            apps.push(TestApp::with(engines, config()).await);
        }
        let show = apps[0].show(SEATS).await;
        let instances = Instances::of(apps.iter().map(|app| (**app).clone()));
        let crowd = Crowd::new(instances, &show, LIMIT.into());
        Self { set, apps, show, crowd }
    }

    async fn check(&self, told: concert_tests::Told) {
        self.crowd.until_gone().await;
        let users: Vec<i64> = (1..=CLIENTS).collect();
        let books = audit(&self.apps[0], &self.show, &users).await;
        assert_eq!((books.paid, books.refunded), (told.paid, told.refunded), "told and booked");
        assert!(0 < books.sold && books.sold <= SEATS.into(), "{books:?}");
        reconcile(&self.set, books).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_seat_is_sold_twice_without_the_lock() {
    let scene = Scene::new(FullSet::shared().await, |_| Arc::new(Off)).await;
    let told = scene.crowd.storm(CLIENTS).await;
    scene.check(told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_seat_is_sold_twice_with_a_lease_of_a_millisecond() {
    let scene = Scene::new(FullSet::shared().await, |lock| Arc::new(Brief(lock))).await;
    let told = scene.crowd.storm(CLIENTS).await;
    scene.check(told).await;
}

/// Tokens, locks and copies are gone five times a second; buyers join again, and never are more
/// active than allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_seat_is_sold_twice_with_a_redis_that_forgets_everything_all_the_time() {
    let redis = Servers::start(&[Server::Redis]).await;
    let mut scene = Scene::new(FullSet::on(&redis.addresses()).await, |lock| lock).await;
    scene.crowd = scene.crowd.that_may_lose_its_places().that_comes_back();
    let crowd = &scene.crowd;
    // In a task of its own: it must not wait until the whole crowd has had its turn.
    let set = scene.set.clone();
    let flushes = tokio::spawn(async move {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            set.flush_redis().await;
        }
    });
    let forgetting = async {
        flushes.await.expect("Redis answers");
        crowd.close();
    };
    let (told, ()) = tokio::join!(crowd.rush(CLIENTS), forgetting);
    let seen = crowd.notes.take();
    println!("Redis lost everything every 200 ms; clients saw\n{seen}");
    assert!(seen.count("poll", "401 TOKEN_NOT_FOUND") > 0, "nobody lost a place");
    scene.check(told).await;
}

/// Counts the offers that are read: a request that reads none has not reached the database.
struct Counted {
    reader: Arc<dyn ConcertReader>,
    offers: AtomicUsize,
}

#[async_trait]
impl ConcertReader for Counted {
    async fn concerts(&self, page: PageRequest) -> Result<Page<Concert>> {
        self.reader.concerts(page).await
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<Concert>> {
        self.reader.concert(id).await
    }

    async fn schedules(&self, concert: ConcertId) -> Result<Perishable<Vec<ScheduleListing>>> {
        self.reader.schedules(concert).await
    }

    async fn seats(&self, schedule: ScheduleId) -> Result<Option<Perishable<SeatMap>>> {
        self.reader.seats(schedule).await
    }

    async fn offer(&self, schedule: ScheduleId, seat: SeatId) -> Result<Option<Seen<SeatOffer>>> {
        self.offers.fetch_add(1, Ordering::Relaxed);
        self.reader.offer(schedule, seat).await
    }

    async fn ranking(&self, page: PageRequest) -> Result<Page<RankedConcert>> {
        self.reader.ranking(page).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_1000_clients_who_want_one_seat_one_wins_and_32_reach_the_database_at_the_most() {
    const WANT_IT: i64 = 1_000;
    let mut engines = Engines::on(Arc::new(FullSet::shared().await)).await;
    // However slow the machine is, the burst is over before the lease.
    engines.ports.lock = Arc::new(Lasting(engines.ports.lock.clone()));
    let (reader, offers) = (engines.ports.concerts.clone(), AtomicUsize::new(0));
    let counted = Arc::new(Counted { reader, offers });
    engines.ports.concerts = counted.clone();
    // All are inside at once: it is the shield that is looked at.
    let limits = Limits { max_in_flight: Some(10_000), ..quick().limits };
    let config = Config { queue_active_limit: 10_000, limits, ..quick() };
    let app = TestApp::with(engines, config).await;
    let show = app.show(2).await;
    let mut buyers = Vec::new();
    for first in (1..=WANT_IT).step_by(50) {
        let joins = (first..first + 50).map(|user| app.buyer(user).join(show.concert));
        buyers.extend(join_all(joins).await);
    }
    let hold = |buyer: &concert_tests::Buyer| buyer.hold(show.schedule, show.seats[0]);
    // On a slow machine some are told to come again, before anything is known of the seat.
    let patiently = |buyer| {
        eventually("an answer about the seat", move || async move {
            Some(hold(buyer).await).filter(|answer| answer.status != 503)
        })
    };
    let answers = join_all(buyers.iter().map(patiently)).await;
    let (won, lost): (Vec<_>, Vec<_>) =
        buyers.iter().zip(answers).partition(|(_, answer)| answer.status == 201);
    assert_eq!(won.len(), 1);
    lost.iter().for_each(|(_, answer)| answer.refused(409, "SEAT_NOT_AVAILABLE"));
    let reached = counted.offers.load(Ordering::Relaxed);
    println!("{reached} of {WANT_IT} reached the database");
    assert!(reached <= 32, "{reached} reached the database");
    // What the shield remembers is true no longer than the seat is taken.
    let (winner, held) = &won[0];
    let cancelled = winner.cancel(held.body["reservationId"].as_i64().unwrap()).await;
    assert_eq!(cancelled.status, 204, "{cancelled:?}");
    hold(&buyers[7]).await.ok(201);
}
