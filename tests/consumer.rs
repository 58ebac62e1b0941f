//! Effects of events happen once, whatever becomes of the consumer between an effect and its
//! acknowledgement; and events that cannot be handled are kept and can be brought back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{
    ConsumerStore, DEAD_LETTER_TOPIC, Effect, EventLog, Membership, PAYMENT_COMPLETED,
    PAYMENT_TOPIC, PartitionLease, Progress, Record,
};
use concert_domain::{Error, Result};
use concert_tests::{
    Engines, FullSet, PRICE, Service, Session, TestApp, audit, concert, eventually, read_topic,
    reconcile,
};
use serde_json::{Value, json};

/// Sales of seats of concert 1, as the service would have recorded them.
fn sales(count: i64) -> Vec<Record> {
    let sale = |n: i64| {
        let event = json!({
            "id": format!("{PAYMENT_COMPLETED}-{n}"),
            "type": PAYMENT_COMPLETED,
            "version": 1,
            "key": n.to_string(),
            "occurredAt": "2026-05-01T10:00:00.000Z",
            "data": {
                "paymentId": n, "reservationId": n, "userId": 1, "concertId": 1,
                "scheduleId": 1, "seatId": n, "amount": PRICE,
            },
        });
        Record::new(n.to_string(), event.to_string())
    };
    (1..=count).map(sale).collect()
}

async fn sold(mysql: &mut Session) -> i64 {
    let query = "SELECT CAST(COALESCE(SUM(sold_seats), 0) AS SIGNED) AS n FROM concert_sales";
    mysql.number(query).await
}

/// Waits until all are counted, and then long enough to see one that is counted twice.
async fn assert_counted_once(mysql: &mut Session, count: i64) {
    let mut counted = 0;
    for _ in 0..4_000 {
        counted = sold(mysql).await;
        if counted >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(counted, count, "not all were counted in time");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sold(mysql).await, count, "one was counted twice");
    let noted = "SELECT COUNT(*) AS n FROM consumed_events";
    assert_eq!(mysql.number(noted).await, count);
}

/// Applies effects, and then answers the first time and every third that it could not.
struct Forgetful {
    store: Arc<dyn ConsumerStore>,
    commits: AtomicU32,
}

impl Forgetful {
    fn answer(&self) -> Result<()> {
        match self.commits.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => Err(Error::unavailable("the answer")),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl ConsumerStore for Forgetful {
    async fn lease(&self, membership: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>> {
        self.store.lease(membership, ttl).await
    }

    async fn leave(&self, membership: &Membership) -> Result<()> {
        self.store.leave(membership).await
    }

    async fn commit(&self, progress: Progress) -> Result<()> {
        self.store.commit(progress).await?;
        self.answer()
    }

    async fn commit_all(&self, runs: Vec<Vec<Progress>>) -> Result<()> {
        self.store.commit_all(runs).await?;
        self.answer()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_whose_acknowledgement_is_lost_happens_once() {
    let set = Arc::new(FullSet::shared().await);
    let mut engines = Engines::on(set.clone()).await;
    let (store, commits) = (engines.ports.consumers.clone(), AtomicU32::new(0));
    engines.ports.consumers = Arc::new(Forgetful { store, commits });
    engines.ports.log.append(PAYMENT_TOPIC, &sales(60)).await.unwrap();
    let mut mysql = set.database().connect().await;
    let _app = TestApp::start(engines).await;
    assert_counted_once(&mut mysql, 60).await;
}

/// One consumer is killed in the middle, one comes and one goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_happen_once_while_consumers_crash_come_and_go() {
    const EVENTS: i64 = 20_000;
    let set = FullSet::shared().await;
    let mut mysql = set.database().connect().await;
    let log = set.ports().await.log;
    for some in sales(EVENTS).chunks(2_000) {
        log.append(PAYMENT_TOPIC, some).await.unwrap();
    }
    let victim = Service::on(&set, &[]).await;
    let leaver = Service::on(&set, &[]).await;
    eventually("some events are consumed", async || {
        (sold(&mut set.database().connect().await).await >= EVENTS / 20).then_some(())
    })
    .await;
    victim.kill().await;
    let at_the_kill = sold(&mut mysql).await;
    assert!(at_the_kill < EVENTS, "all {EVENTS} events were consumed before the kill");
    let stayer = Service::on(&set, &[]).await;
    assert_eq!(leaver.terminate().await, Some(0));
    assert_counted_once(&mut mysql, EVENTS).await;
    println!("{at_the_kill} of {EVENTS} events had their effect when a consumer was killed");
    assert_eq!(stayer.terminate().await, Some(0));
}

/// Has a bug, until it is told that somebody mended it.
struct Buggy {
    store: Arc<dyn ConsumerStore>,
    mended: AtomicBool,
}

#[async_trait]
impl ConsumerStore for Buggy {
    async fn lease(&self, membership: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>> {
        self.store.lease(membership, ttl).await
    }

    async fn leave(&self, membership: &Membership) -> Result<()> {
        self.store.leave(membership).await
    }

    async fn commit(&self, progress: Progress) -> Result<()> {
        let dead = matches!(progress.effect, Effect::Dead { .. });
        if dead || self.mended.load(Ordering::SeqCst) {
            return self.store.commit(progress).await;
        }
        Err(Error::bug("a division by zero"))
    }
}

/// The dead letters, as the command lists them.
async fn dead_letters(set: &FullSet) -> Vec<Value> {
    let output = concert(&["outbox", "dead", "--json"], &set.variables()).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn dead_letter_topic(log: &dyn EventLog) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for partition in 0..log.partitions() {
        let page = log.read(DEAD_LETTER_TOPIC, partition, 0, 100).await.unwrap();
        values.extend(page.into_iter().map(|entry| entry.record.value));
    }
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_handled_is_a_dead_letter_and_a_replay_brings_it_back_once() {
    let set = Arc::new(FullSet::shared().await);
    let mut engines = Engines::on(set.clone()).await;
    let store = engines.ports.consumers.clone();
    let consumers = Arc::new(Buggy { store, mended: AtomicBool::new(false) });
    engines.ports.consumers = consumers.clone();
    let log = engines.ports.log.clone();
    let app = TestApp::start(engines).await;
    let show = app.show(1).await;
    app.buyer(1).bought(&show, show.seats[0]).await;

    let letter = eventually("the event is a dead letter", async || {
        dead_letters(&set).await.into_iter().next()
    })
    .await;
    assert!(letter["reason"].as_str().unwrap().contains("division by zero"), "{letter}");
    assert_eq!(letter["value"]["type"], PAYMENT_COMPLETED);
    let topic = eventually("it is in the dead-letter topic", async || {
        let topic = dead_letter_topic(&*log).await;
        (!topic.is_empty()).then_some(topic)
    })
    .await;
    let original: Value = serde_json::from_slice(&topic[0]).unwrap();
    assert_eq!((topic.len(), &original), (1, &letter["value"]));

    consumers.mended.store(true, Ordering::SeqCst);
    let number = letter["letter"].to_string();
    let replay = async || concert(&["outbox", "replay", &number], &set.variables()).await;
    assert!(replay().await.status.success());
    let again = replay().await;
    assert!(!again.status.success(), "a letter goes once: {again:?}");
    let books = audit(&app, &show, &[1]).await;
    assert_eq!(books.sold, 1);
    assert_eq!(reconcile(&set, books).await, 1, "the topic has the event a second time");
}

/// What is no event stays dead: a replay tells it again, and it blocks nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_a_dead_letter_with_its_reason_each_time_it_is_told() {
    let set = Arc::new(FullSet::shared().await);
    let engines = Engines::on(set.clone()).await;
    let log = engines.ports.log.clone();
    let poison = Record::new("7", b"{\"poison\":true}");
    log.append(PAYMENT_TOPIC, &[poison]).await.unwrap();
    let _app = TestApp::start(engines).await;
    let letters = async |count: usize| {
        eventually("dead letters", async || {
            let letters = dead_letters(&set).await;
            (letters.len() == count).then_some(letters)
        })
        .await
    };
    let first = letters(1).await;
    assert!(first[0]["reason"].as_str().unwrap().contains("not an event"), "{first:?}");
    let replayed = concert(&["outbox", "replay", "--all"], &set.variables()).await;
    assert!(replayed.status.success(), "{replayed:?}");
    let second = letters(2).await;
    assert!(second[0]["replayedAt"].is_string() && second[1]["replayedAt"].is_null());
    assert_eq!(read_topic(&*log).await.len(), 2);
    eventually("both are in the dead-letter topic", async || {
        (dead_letter_topic(&*log).await.len() == 2).then_some(())
    })
    .await;
}
