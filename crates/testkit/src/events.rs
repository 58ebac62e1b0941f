//! Laws of the relay and the consumer over an engine: from the payment to the ranking.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{
    Consumer, ConsumerStore, DEAD_LETTER_TOPIC, DeadLetter, Effect, Event, EventLog, LogEntry,
    MAX_TRIES, Membership, Origin, PAYMENT_TOPIC, PartitionLease, Progress, Record, Relay,
    partition_of,
};
use concert_domain::payment::PayRequest;
use concert_domain::ports::{Services, Settings};
use concert_domain::queue::TicketStatus;
use concert_domain::{ConcertId, Error, Ports, Result};

use crate::booking::{Booking, join};
use crate::fixtures::{LONG, page, rules, settings};
use crate::{Harness, World, race};

/// One test for each law of events on their way.
#[macro_export]
macro_rules! events_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, events:
            a_payment_reaches_the_ranking_and_a_refund_takes_it_back,
            the_request_travels_with_its_event,
            the_consumer_frees_a_slot_that_nobody_freed,
            s8_a_log_that_refuses_loses_no_event,
            s8_an_event_that_is_in_the_log_twice_has_its_effect_once,
            relays_and_consumers_in_parallel_have_each_effect_once,
            s12_what_cannot_be_understood_becomes_a_dead_letter_with_the_reason,
            a_replayed_letter_comes_back_once,
            an_event_that_keeps_failing_is_dead_after_bounded_tries,
            a_store_that_is_down_kills_no_event,
            a_commit_whose_answer_was_lost_has_one_effect,
        }
    };
}

fn consumer(ports: &Ports, settings: Settings, owner: &str) -> Consumer {
    let membership = Membership {
        group: "test".to_owned(),
        topic: PAYMENT_TOPIC.to_owned(),
        partitions: ports.log.partitions(),
        owner: owner.to_owned(),
    };
    let queue = Services::new(ports, settings).queue;
    Consumer::new(ports.log.clone(), ports.consumers.clone(), queue, membership, LONG)
}

fn relay(ports: &Ports, owner: &str) -> Relay {
    Relay::new(ports.outbox.clone(), ports.log.clone(), owner.to_owned())
}

async fn sold(ports: &Ports, concert: ConcertId) -> (u64, i64) {
    let lines = ports.concerts.ranking(page(100, None)).await.unwrap().items;
    let line = lines.iter().find(|line| line.id == concert).expect("every concert is ranked");
    (line.sold_seats, line.sales.get())
}

async fn letters(ports: &Ports) -> Vec<DeadLetter> {
    ports.outbox.dead_letters(page(100, None)).await.unwrap().items
}

pub async fn a_payment_reaches_the_ranking_and_a_refund_takes_it_back<H: Harness>() {
    let world = World::<H>::start().await;
    let (ports, booking) = (world.ports(), Booking::open(&world).await);
    let (relay, consumer) = (relay(&ports, "r"), consumer(&ports, settings(), "c"));
    let held = booking.hold(0).await;
    let payment = booking.pay(&held).await;
    assert_eq!((relay.step().await, relay.step().await), (Ok(1), Ok(0)));
    assert_eq!((consumer.step().await, consumer.step().await), (Ok(1), Ok(0)));
    assert_eq!(sold(&ports, booking.show.concert).await, (1, 10_000));
    booking.refund(&payment, None).await.unwrap();
    assert_eq!((relay.step().await, consumer.step().await), (Ok(1), Ok(1)));
    assert_eq!(sold(&ports, booking.show.concert).await, (0, 0));
    assert_eq!(letters(&ports).await, []);
}

pub async fn the_request_travels_with_its_event<H: Harness>() {
    let world = World::<H>::start().await;
    let (ports, booking) = (world.ports(), Booking::open(&world).await);
    let held = booking.hold(0).await;
    let origin = Origin {
        request_id: Some("a-request".to_owned()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: Some("vendor=value,other=1".to_owned()),
    };
    let request = PayRequest { origin: origin.clone(), ..booking.payment_of(&held, None) };
    booking.services.payments.pay(request).await.unwrap();
    relay(&ports, "r").step().await.unwrap();
    let partition = partition_of(&held.id.to_string(), ports.log.partitions());
    let read = ports.log.read(PAYMENT_TOPIC, partition, 0, 10).await.unwrap();
    assert_eq!(read[0].record.headers, origin.headers());
    let event: Event = serde_json::from_slice(&read[0].record.value).unwrap();
    assert_eq!(event.request_id, origin.request_id);
}

pub async fn the_consumer_frees_a_slot_that_nobody_freed<H: Harness>() {
    let world = World::<H>::start().await;
    let (ports, settings) = (world.ports(), Settings { queue: rules(1), ..settings() });
    let show = world.show(3).await;
    let booking = Booking::with(&world, &ports, settings, show).await;
    let next = join(&booking.services, world.id(), booking.show.concert).await;
    let held = booking.hold(0).await;
    // The process dies right after the commit: nobody gives the slot back.
    let mut settlement = world.settlement(&held).await;
    let digest = booking.services.queue.enter(&booking.token, None).await.unwrap().digest;
    settlement.event = Event::payment_completed(&settlement.payment, &held, digest).unwrap();
    ports.payments.settle(settlement).await.unwrap();
    let status = async |token| booking.services.queue.status(token, None).await.unwrap().status;
    assert_eq!(status(&next).await, TicketStatus::Waiting);
    relay(&ports, "r").step().await.unwrap();
    consumer(&ports, settings, "c").step().await.unwrap();
    assert_eq!(status(&booking.token).await, TicketStatus::Expired);
    assert_eq!(status(&next).await, TicketStatus::Active);
}

/// A log that refuses so many appends, before or after it has written them.
struct FlakyLog {
    inner: Arc<dyn EventLog>,
    failures: AtomicU32,
    writes_anyway: bool,
}

#[async_trait]
impl EventLog for FlakyLog {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    async fn append(&self, topic: &str, records: &[Record]) -> Result<()> {
        let fails = take_one(&self.failures);
        if !fails || self.writes_anyway {
            self.inner.append(topic, records).await?;
        }
        if fails { Err(Error::unavailable("log")) } else { Ok(()) }
    }

    async fn read(
        &self,
        t: &str,
        partition: u32,
        offset: i64,
        limit: u32,
    ) -> Result<Vec<LogEntry>> {
        self.inner.read(t, partition, offset, limit).await
    }

    async fn end(&self, topic: &str, partition: u32) -> Result<i64> {
        self.inner.end(topic, partition).await
    }
}

/// Whether there was one left to take.
fn take_one(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

/// The ports of an engine whose log fails so often.
fn with_flaky_log(mut ports: Ports, failures: u32, writes_anyway: bool) -> Ports {
    let failures = AtomicU32::new(failures);
    ports.log = Arc::new(FlakyLog { inner: ports.log, failures, writes_anyway });
    ports
}

pub async fn s8_a_log_that_refuses_loses_no_event<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    world.paid(&show, 0).await;
    let ports = with_flaky_log(world.ports(), 2, false);
    let first = relay(&ports, "first");
    for _ in 0..2 {
        assert_eq!(first.step().await, Err(Error::unavailable("log")));
        assert_eq!(ports.outbox.backlog().await.unwrap().pending, 1);
    }
    // Another relay need not wait for the lease: the claim was given back.
    assert_eq!(relay(&ports, "second").step().await, Ok(1));
    consumer(&ports, settings(), "c").step().await.unwrap();
    assert_eq!(sold(&ports, show.concert).await, (1, 10_000));
}

/// The log's answer was lost, so the relay published again. An offset alone tells a record that
/// is read twice, not a fact that was written twice.
pub async fn s8_an_event_that_is_in_the_log_twice_has_its_effect_once<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    world.paid(&show, 0).await;
    let ports = with_flaky_log(world.ports(), 1, true);
    let relay = relay(&ports, "r");
    assert_eq!(relay.step().await, Err(Error::unavailable("log")));
    assert_eq!(relay.step().await, Ok(1));
    consumer(&ports, settings(), "c").step().await.unwrap();
    assert_eq!(sold(&ports, show.concert).await, (1, 10_000));
    world.paid(&show, 1).await;
    relay.step().await.unwrap();
    consumer(&ports, settings(), "c").step().await.unwrap();
    assert_eq!(sold(&ports, show.concert).await, (2, 20_000));
}

pub async fn relays_and_consumers_in_parallel_have_each_effect_once<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(20).await;
    for seat in 0..20 {
        world.paid(&show, seat).await;
    }
    let ports = world.ports();
    race(6, |caller| {
        let ports = ports.clone();
        async move {
            let name = format!("worker-{caller}");
            for _ in 0..30 {
                if caller % 2 == 0 {
                    relay(&ports, &name).step().await.unwrap();
                } else {
                    // A partition may go to another owner in mid pass; that one goes on.
                    consumer(&ports, settings(), &name).step().await.ok();
                }
            }
        }
    })
    .await;
    for caller in [1, 3, 5] {
        consumer(&ports, settings(), &format!("worker-{caller}")).stop().await.unwrap();
    }
    relay(&ports, "last").step().await.unwrap();
    consumer(&ports, settings(), "last").step().await.unwrap();
    assert_eq!(sold(&ports, show.concert).await, (20, 200_000));
    assert_eq!(ports.outbox.backlog().await.unwrap().pending, 0);
}

/// A consumer that acknowledges what it cannot read loses it silently.
pub async fn s12_what_cannot_be_understood_becomes_a_dead_letter_with_the_reason<H: Harness>() {
    let world = World::<H>::start().await;
    let (ports, show) = (world.ports(), world.show(1).await);
    world.paid(&show, 0).await;
    let row = ports.outbox.pending(page(1, None)).await.unwrap().items.remove(0);
    let key = row.record.key;
    let with = |member: &str, value: serde_json::Value| {
        let mut event: serde_json::Value = serde_json::from_slice(&row.record.value).unwrap();
        event["id"] = format!("odd-{member}").into();
        event[member] = value;
        serde_json::to_vec(&event).unwrap()
    };
    let odd = [
        (b"{not json".to_vec(), "not an event"),
        (with("version", 2.into()), "version 2"),
        (with("type", "payment.dreamt".into()), "payment.dreamt"),
        (with("data", serde_json::json!({"paymentId": "x"})), "data of"),
    ];
    // All in the partition of the good event, which must not be held up by them.
    let records: Vec<_> =
        odd.iter().map(|(value, _)| Record::new(key.as_str(), value.as_slice())).collect();
    ports.log.append(PAYMENT_TOPIC, &records).await.unwrap();
    relay(&ports, "r").step().await.unwrap();
    assert_eq!(consumer(&ports, settings(), "c").step().await, Ok(5));
    assert_eq!(sold(&ports, show.concert).await, (1, 10_000));
    let letters = letters(&ports).await;
    assert_eq!(letters.len(), 4);
    for (letter, (value, reason)) in letters.iter().zip(&odd) {
        assert_eq!(letter.record.value, *value);
        assert!(letter.reason.contains(reason), "{:?} has no {reason:?}", letter.reason);
    }
    relay(&ports, "r").step().await.unwrap();
    let partition = concert_domain::event::partition_of(&key, ports.log.partitions());
    assert_eq!(ports.log.end(DEAD_LETTER_TOPIC, partition).await, Ok(4));
}

/// A store whose commits fail in one way for so long.
struct FlakyStore {
    inner: Arc<dyn ConsumerStore>,
    failures: AtomicU32,
    error: Error,
    commits_anyway: bool,
}

#[async_trait]
impl ConsumerStore for FlakyStore {
    async fn lease(&self, member: &Membership, ttl: Duration) -> Result<Vec<PartitionLease>> {
        self.inner.lease(member, ttl).await
    }

    async fn leave(&self, membership: &Membership) -> Result<()> {
        self.inner.leave(membership).await
    }

    async fn commit(&self, progress: Progress) -> Result<()> {
        let is_dead = matches!(progress.effect, Effect::Dead { .. });
        let fails = !is_dead && take_one(&self.failures);
        if !fails || self.commits_anyway {
            self.inner.commit(progress).await?;
        }
        if fails { Err(self.error.clone()) } else { Ok(()) }
    }
}

/// An engine with one published payment, and its ports over a store that fails.
async fn with_flaky_store<H: Harness>(
    failures: u32,
    error: Error,
    commits_anyway: bool,
) -> (World<H>, Ports, ConcertId) {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    world.paid(&show, 0).await;
    let mut ports = world.ports();
    relay(&ports, "r").step().await.unwrap();
    let (inner, failures) = (ports.consumers, AtomicU32::new(failures));
    ports.consumers = Arc::new(FlakyStore { inner, failures, error, commits_anyway });
    (world, ports, show.concert)
}

pub async fn a_replayed_letter_comes_back_once<H: Harness>() {
    let bug = Error::bug("a mistake that is mended later");
    let (_world, ports, concert) = with_flaky_store::<H>(MAX_TRIES, bug, false).await;
    let consumer = consumer(&ports, settings(), "c");
    for _ in 0..MAX_TRIES {
        consumer.step().await.ok();
    }
    assert_eq!(sold(&ports, concert).await, (0, 0));
    let letter = letters(&ports).await.remove(0);
    ports.outbox.replay(letter.id).await.unwrap();
    relay(&ports, "r").step().await.unwrap();
    assert_eq!(consumer.step().await, Ok(1));
    assert_eq!(ports.outbox.replay(letter.id).await, Err(Error::DeadLetterNotFound));
    relay(&ports, "r").step().await.unwrap();
    assert_eq!(consumer.step().await, Ok(0));
    assert_eq!(sold(&ports, concert).await, (1, 10_000));
    assert_eq!(letters(&ports).await.len(), 1);
}

pub async fn an_event_that_keeps_failing_is_dead_after_bounded_tries<H: Harness>() {
    let bug = Error::bug("always");
    let (_world, ports, concert) = with_flaky_store::<H>(u32::MAX, bug.clone(), false).await;
    let consumer = consumer(&ports, settings(), "c");
    for _ in 1..MAX_TRIES {
        assert_eq!(consumer.step().await, Err(bug.clone()));
        assert_eq!(letters(&ports).await, []);
    }
    assert_eq!(consumer.step().await, Ok(1));
    assert_eq!(letters(&ports).await[0].reason, bug.to_string());
    assert_eq!((consumer.step().await, sold(&ports, concert).await), (Ok(0), (0, 0)));
}

pub async fn a_store_that_is_down_kills_no_event<H: Harness>() {
    let down = Error::unavailable("store");
    let tries = MAX_TRIES * 3;
    let (_world, ports, concert) = with_flaky_store::<H>(tries, down.clone(), false).await;
    let consumer = consumer(&ports, settings(), "c");
    for _ in 0..tries {
        assert_eq!(consumer.step().await, Err(down.clone()));
    }
    assert_eq!(consumer.step().await, Ok(1));
    assert_eq!((letters(&ports).await, sold(&ports, concert).await), (vec![], (1, 10_000)));
}

pub async fn a_commit_whose_answer_was_lost_has_one_effect<H: Harness>() {
    let down = Error::unavailable("store");
    let (_world, ports, concert) = with_flaky_store::<H>(1, down.clone(), true).await;
    let consumer = consumer(&ports, settings(), "c");
    assert_eq!(consumer.step().await, Err(down));
    assert_eq!(consumer.step().await, Ok(0));
    assert_eq!(sold(&ports, concert).await, (1, 10_000));
}
