//! Callers that go away, connections that are killed, and commits whose answer is lost.
// Test code: a failure is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/proxy.rs"]
mod proxy;

use std::time::Duration;

use common::{Database, connect, until_busy, until_busy_with};
use concert_adapter_mysql::{Mysql, Options};
use concert_domain::concert::{Concert, ConcertReader, NewSeat, Schedule, SeatStatus};
use concert_domain::event::{Event, Outbox};
use concert_domain::id::NotAnId;
use concert_domain::payment::{Payment, PaymentStatus, PaymentStore, Refund, Settlement};
use concert_domain::point::{ChargeIntent, GatewayVerdict, Opened, PaymentMethod, PointStore};
use concert_domain::queue::QueueToken;
use concert_domain::reservation::{Hold, Reservation, ReservationStatus, ReservationStore};
use concert_domain::seed::{Dataset, SeedStore};
use concert_domain::user::{UserName, UserStore};
use concert_domain::{Applied, Error, PageRequest, Timestamp, Won};
use diesel_async::SimpleAsyncConnection;
use proxy::{Cut, Proxy};

const PRICE: Won = Won::of(10_000);

fn id<T: TryFrom<i64, Error = NotAnId>>(id: i64) -> T {
    id.try_into().unwrap()
}

/// A database with one schedule of two seats.
async fn database() -> Database {
    let database = Database::create().await;
    let engine = engine(&database.url, 2).await;
    engine.migrate().await.unwrap();
    let schedule = Schedule {
        id: id(1),
        concert_id: id(1),
        starts_at: Timestamp::MAX,
        reservation_opens_at: Timestamp::MIN,
        version: 1,
    };
    let concert = Concert { id: id(1), title: "Show".to_owned(), description: None, version: 1 };
    let seats = [1, 2].map(|n| (id(1), NewSeat { id: id(n.into()), number: n, price: PRICE }));
    let (concerts, schedules, seats) = (vec![concert], vec![schedule], seats.to_vec());
    engine.load(Dataset { concerts, schedules, seats, ..Dataset::default() }).await.unwrap();
    database
}

async fn engine(url: &str, connections: usize) -> Mysql {
    Mysql::connect(url, Options { connections }).await.unwrap()
}

async fn hold(engine: &Mysql, number: i64, seat: i64) -> Hold {
    let now = engine.now().await.unwrap();
    let reservation = Reservation {
        id: id(number),
        user_id: id(7),
        concert_id: id(1),
        schedule_id: id(1),
        seat_id: id(seat),
        price: PRICE,
        status: ReservationStatus::Pending,
        created_at: now,
        expires_at: now.plus(Duration::from_secs(3_600)),
    };
    Hold { reservation, most: 100, claim: None }
}

/// A transaction of somebody else has the first seat's row.
async fn lock_seat(database: &Database) -> diesel_async::AsyncMysqlConnection {
    let mut other = connect(&database.url).await;
    let lock = "START TRANSACTION; UPDATE seats SET price = price WHERE id = 1";
    other.batch_execute(lock).await.unwrap();
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_leaves_a_blocked_update_harms_nobody() {
    let database = database().await;
    let engine = engine(&database.url, 1).await;
    let mut other = lock_seat(&database).await;
    let first = hold(&engine, 1, 1).await;
    tokio::select! {
        held = engine.hold(first) => panic!("the seat was locked: {held:?}"),
        () = until_busy(&database, "UPDATE seats SET status") => {}
    }
    other.batch_execute("ROLLBACK").await.unwrap();
    // The one connection is used by everybody: each must read the answer to its own statement.
    let second = hold(&engine, 2, 2).await;
    assert!(matches!(engine.hold(second).await, Ok(Applied::Fresh(_))));
    let third = hold(&engine, 3, 1).await;
    assert_eq!(engine.hold(third).await, Err(Error::SeatNotAvailable));
    let kept = engine.find_reservation(1).await;
    assert_eq!(kept, Some(ReservationStatus::Pending), "the change ran on without its caller");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_connection_when_its_caller_goes_is_not_begun() {
    let database = database().await;
    let engine = engine(&database.url, 1).await;
    for seat in 1..=2 {
        engine.hold(hold(&engine, seat, seat).await).await.unwrap();
    }
    let mut other = lock_seat(&database).await;
    let (first, user) = (engine.clone(), id(7));
    let first = tokio::spawn(async move { first.cancel(id(1), user).await });
    until_busy(&database, "SELECT id AS n FROM seats").await;
    // It stands behind the first one, who has the only connection.
    let mut left = Box::pin(engine.cancel(id(2), user));
    assert!(futures::poll!(&mut left).is_pending());
    drop(left);
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(first.await.unwrap(), Ok(true));
    let states = [engine.find_reservation(1).await, engine.find_reservation(2).await];
    assert_eq!(states, [Some(ReservationStatus::Cancelled), Some(ReservationStatus::Pending)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_killed_at_work_is_replaced_and_the_work_done_again() {
    let database = database().await;
    let engine = engine(&database.url, 2).await;
    let mut other = lock_seat(&database).await;
    let (held, ()) = tokio::join!(engine.hold(hold(&engine, 1, 1).await), async {
        let victim = until_busy_with(&database, "UPDATE seats SET status").await;
        other.batch_execute(&format!("KILL {victim}; ROLLBACK")).await.unwrap();
    });
    assert!(matches!(held, Ok(Applied::Fresh(_))), "{held:?}");
    assert_eq!(engine.find_reservation(1).await, Some(ReservationStatus::Pending));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_killed_while_idle_are_not_noticed_by_callers() {
    let database = database().await;
    let engine = engine(&database.url, 8).await;
    let many = (0..8).map(|_| engine.now());
    futures::future::join_all(many).await;
    common::kill_all(&database).await;
    for _ in 0..8 {
        assert!(engine.now().await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_commit_is_done_again() {
    walk_with(Cut::Command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    walk_with(Cut::Answer).await;
}

/// A charge, a hold, a payment and its refund, each with its COMMIT cut: each is told as done, and
/// has happened once.
async fn walk_with(cut: Cut) {
    let database = database().await;
    let proxy = Proxy::start(&database.url).await;
    let engine = engine(&proxy.url, 4).await;
    let plan = Walk { engine: &engine, proxy: &proxy, cut };
    plan.charge().await;
    let reservation = plan.hold().await;
    let payment = plan.pay(&reservation).await;
    assert_eq!(engine.balance(id(7)).await, Ok(PRICE));
    plan.refund(payment, reservation).await;
    assert_eq!(engine.balance(id(7)).await.map(Won::get), Ok(2 * PRICE.get()));
    let lines = engine.history(id(7), PageRequest::default()).await.unwrap().items;
    let amounts: Vec<_> = lines.iter().map(|line| line.amount).collect();
    assert_eq!(amounts, [10_000, -10_000, 20_000]);
    assert_eq!(engine.backlog().await.unwrap().pending, 2);
    let seats = engine.seats(id(1)).await.unwrap().unwrap().value.seats;
    assert!(seats.iter().all(|seat| seat.status == SeatStatus::Available));
}

struct Walk<'a> {
    engine: &'a Mysql,
    proxy: &'a Proxy,
    cut: Cut,
}

impl Walk<'_> {
    /// The next commit is cut; afterwards it must have been.
    async fn with_cut<T>(&self, change: impl Future<Output = T>) -> T {
        self.proxy.cut_next(self.cut);
        let done = change.await;
        assert!(!self.proxy.is_waiting(), "no commit was cut");
        done
    }

    async fn charge(&self) {
        let intent = ChargeIntent {
            id: id(1),
            user_id: id(7),
            amount: Won::of(20_000),
            method: PaymentMethod::Card,
            detail: None,
        };
        let opened = self.with_cut(self.engine.open_charge(intent.clone(), None)).await;
        assert_eq!(opened, Ok(Opened::Pending(intent.clone())));
        let settled = self.engine.settle_charge(intent.id, GatewayVerdict::Approved);
        let settled = self.with_cut(settled).await.unwrap();
        assert_eq!(settled.value().balance, Won::of(20_000));
    }

    async fn hold(&self) -> Reservation {
        let hold = hold(self.engine, 1, 1).await;
        let held = self.with_cut(self.engine.hold(hold.clone())).await;
        assert_eq!(held, Ok(Applied::Fresh(hold.reservation.clone())));
        hold.reservation
    }

    async fn pay(&self, reservation: &Reservation) -> Payment {
        let payment = Payment {
            id: id(1),
            reservation_id: reservation.id,
            user_id: reservation.user_id,
            amount: reservation.price,
            status: PaymentStatus::Completed,
            paid_at: reservation.created_at,
            refunded_at: None,
        };
        let place = QueueToken::from_bytes([7; 16]).digest();
        let settlement = Settlement {
            event: Event::payment_completed(&payment, reservation, place).unwrap(),
            payment: payment.clone(),
            reservation: reservation.clone(),
            transaction_id: id(2),
            claim: None,
        };
        let paid = self.with_cut(self.engine.settle(settlement)).await;
        assert_eq!(paid, Ok(Applied::Fresh(payment.clone())));
        payment
    }

    async fn refund(&self, payment: Payment, reservation: Reservation) {
        let (status, refunded_at) = (PaymentStatus::Refunded, Some(payment.paid_at));
        let payment = Payment { status, refunded_at, ..payment };
        let event = Event::payment_refunded(&payment, &reservation).unwrap();
        let transaction_id = id(3);
        let refund = Refund { payment, reservation, transaction_id, event, claim: None };
        let expected = refund.payment.clone();
        let refunded = self.with_cut(self.engine.refund(refund)).await;
        assert_eq!(refunded, Ok(Applied::Fresh(expected)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_nobody_can_tell_is_not_guessed() {
    let database = database().await;
    let proxy = Proxy::start(&database.url).await;
    let engine = engine(&proxy.url, 2).await;
    proxy.cut_next(Cut::Answer);
    let kept = engine.keep(id(7), UserName::try_from("Kim".to_owned()).unwrap()).await;
    assert_eq!(kept, Err(Error::unavailable("the database")));
}

trait Look {
    async fn find_reservation(&self, number: i64) -> Option<ReservationStatus>;
}

impl Look for Mysql {
    async fn find_reservation(&self, number: i64) -> Option<ReservationStatus> {
        let found = ReservationStore::find(self, id(number)).await.unwrap();
        found.map(|seen| seen.value.status)
    }
}
