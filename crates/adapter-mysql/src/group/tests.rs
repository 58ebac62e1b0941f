//! Batches that are made by hand, on a server.

mod charges;

use concert_domain::event::{Event, Outbox};
use concert_domain::id::NotAnId;
use concert_domain::idempotency::Fingerprint;
use concert_domain::payment::{Payment, PaymentStatus, Settlement};
use concert_domain::point::PointStore;
use concert_domain::queue::QueueToken;
use concert_domain::reservation::{Hold, Reservation, ReservationStatus, ReservationStore};
use concert_domain::{IdempotencyClaim, PageRequest, Timestamp, Won};
use diesel_async::SimpleAsyncConnection;

use super::*;
use crate::Options;
use crate::batch::tests::batch;
use crate::common::{Database, connect, until_busy};
use crate::hold::HOLDS;
use crate::proxy::{Cut, Proxy};
use crate::settle::SETTLEMENTS;
use crate::sql::sql;

/// Seats 1 to 9 of one schedule. 2 is sold, 3 is held by a hold that has ended, 4 is held.
const ROWS: &str = "
    INSERT INTO concerts VALUES (1, 'Concert', NULL, 1);
    INSERT INTO schedules VALUES (1, 1, 9000000000000, 0, 1);
    INSERT INTO seats VALUES
        (1, 1, 1, 10, 'AVAILABLE', NULL, NULL), (2, 1, 2, 10, 'RESERVED', 92, NULL),
        (3, 1, 3, 10, 'TEMP_RESERVED', 93, 2000), (4, 1, 4, 10, 'TEMP_RESERVED', 94, 9000000000000),
        (5, 1, 5, 10, 'AVAILABLE', NULL, NULL), (6, 1, 6, 10, 'AVAILABLE', NULL, NULL),
        (7, 1, 7, 10, 'AVAILABLE', NULL, NULL), (8, 1, 8, 10, 'AVAILABLE', NULL, NULL),
        (9, 1, 9, 10, 'AVAILABLE', NULL, NULL);
    INSERT INTO reservations (id, user_id, concert_id, schedule_id, seat_id, price, status,
                              created_at, expires_at)
    VALUES (92, 7, 1, 1, 2, 10, 'CONFIRMED', 500, 2000),
           (93, 7, 1, 1, 3, 10, 'PENDING', 500, 2000),
           (94, 7, 1, 1, 4, 10, 'PENDING', 500, 9000000000000)";

async fn store() -> (Database, Mysql) {
    let database = Database::create().await;
    let store = Mysql::connect(&database.url, Options { connections: 8 }).await.unwrap();
    store.migrate().await.unwrap();
    connect(&database.url).await.batch_execute(ROWS).await.unwrap();
    (database, store)
}

fn id<T: TryFrom<i64, Error = NotAnId>>(id: i64) -> T {
    id.try_into().unwrap()
}

fn hold(number: i64, seat: i64) -> Hold {
    let reservation = Reservation {
        id: id(number),
        user_id: id(7),
        concert_id: id(1),
        schedule_id: id(1),
        seat_id: id(seat),
        price: Won::of(10),
        status: ReservationStatus::Pending,
        created_at: Timestamp::from_millis(1_000),
        expires_at: Timestamp::from_millis(9_000_000_000_000),
    };
    Hold { reservation, most: 100, claim: None }
}

fn claim(key: &str, request: &str) -> Option<IdempotencyClaim> {
    Some(IdempotencyClaim {
        user: id(7),
        route: "POST /reservations",
        key: key.parse().unwrap(),
        fingerprint: Fingerprint::of("POST", "/", &request).unwrap(),
    })
}

/// Commits the items as one batch; what each caller is told.
async fn serve<I, T>(store: &Mysql, items: Vec<I>, plan: &'static Plan<I, T>) -> Vec<Result<T>>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
{
    let (batch, told) = batch(items);
    commit(store.clone(), batch, plan).await;
    let mut results = Vec::new();
    for told in told {
        results.push(told.await.unwrap());
    }
    results
}

/// What became of each hold: the number of its reservation, or the refusal.
fn numbers(results: Vec<Result<Reservation>>) -> Vec<Result<i64>> {
    results.into_iter().map(|held| held.map(|reservation| reservation.id.get())).collect()
}

async fn count(store: &Mysql, query: &'static str) -> i64 {
    store.read(query, |tx, query| Box::pin(sql(query).count(tx))).await.unwrap()
}

async fn status(store: &Mysql, number: i64) -> Option<ReservationStatus> {
    ReservationStore::find(store, id(number)).await.unwrap().map(|seen| seen.value.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hold_of_a_batch_has_its_own_verdict() {
    let (_database, store) = store().await;
    let holds = [(1, 1), (2, 1), (3, 77), (4, 2), (5, 3), (6, 4), (7, 5), (8, 3)];
    let holds = holds.map(|(number, seat)| hold(number, seat)).to_vec();
    let taken = || Err(Error::SeatNotAvailable);
    assert_eq!(
        numbers(serve(&store, holds, &HOLDS).await),
        [Ok(1), taken(), Err(Error::SeatNotFound), taken(), Ok(5), taken(), Ok(7), taken()]
    );
    assert_eq!(
        status(&store, 93).await,
        Some(ReservationStatus::Expired),
        "its seat was taken over"
    );
    assert_eq!(status(&store, 5).await, Some(ReservationStatus::Pending));
    assert_eq!(status(&store, 2).await, None);
    let held = "SELECT COUNT(*) AS n FROM seats s JOIN reservations r ON r.id = s.reservation_id
         AND r.seat_id = s.id WHERE s.status = 'TEMP_RESERVED' AND r.status = 'PENDING'
         AND s.held_until = r.expires_at";
    assert_eq!(count(&store, held).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_for_one_seat_the_first_has_it() {
    let (_database, store) = store().await;
    let results = numbers(serve(&store, (1..=64).map(|n| hold(n, 1)).collect(), &HOLDS).await);
    assert_eq!(results[0], Ok(1));
    assert!(results[1..].iter().all(|held| *held == Err(Error::SeatNotAvailable)), "{results:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_hold_harms_nobody_else() {
    let (database, store) = store().await;
    // The books are wrong: seat 5 is free while a reservation owns it.
    let wrong = "INSERT INTO reservations (id, user_id, concert_id, schedule_id, seat_id, price,
        status, created_at, expires_at) VALUES (95, 7, 1, 1, 5, 10, 'CONFIRMED', 500, 2000)";
    connect(&database.url).await.batch_execute(wrong).await.unwrap();
    let results = numbers(serve(&store, vec![hold(1, 1), hold(2, 5), hold(3, 6)], &HOLDS).await);
    assert_eq!((&results[0], &results[2]), (&Ok(1), &Ok(3)));
    assert!(matches!(results[1], Err(Error::Bug(_))), "{results:?}");
    assert_eq!(status(&store, 2).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_must_wait_keeps_nobody_waiting() {
    let (database, store) = store().await;
    let mut other = connect(&database.url).await;
    let lock = "START TRANSACTION; UPDATE seats SET price = price WHERE id = 1";
    other.batch_execute(lock).await.unwrap();
    let (waiting, mut told) = batch(vec![hold(1, 1), hold(2, 5)]);
    commit(store.clone(), waiting, &HOLDS).await;
    assert_eq!(told.remove(1).await.unwrap().map(|r| r.id.get()), Ok(2));
    until_busy(&database, "UPDATE seats SET status").await;
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(told.remove(0).await.unwrap().map(|r| r.id.get()), Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_has_one_effect_in_a_batch_and_after_it() {
    let (_database, store) = store().await;
    let with =
        |number, seat, key, request| Hold { claim: claim(key, request), ..hold(number, seat) };
    let holds = vec![with(1, 1, "a", "1"), with(2, 5, "a", "2"), with(3, 6, "b", "3")];
    let results = numbers(serve(&store, holds, &HOLDS).await);
    assert_eq!(results, [Ok(1), Err(Error::IdempotencyInProgress), Ok(3)]);
    let again = vec![with(4, 5, "b", "3"), with(5, 7, "c", "5")];
    let results = numbers(serve(&store, again, &HOLDS).await);
    assert_eq!(results, [Err(Error::IdempotencyInProgress), Ok(5)]);
    // The same through the port: the answer that was kept counts.
    let replayed = ReservationStore::hold(&store, with(6, 8, "b", "3")).await.unwrap();
    assert_eq!(replayed.value().id.get(), 3);
    let reused = ReservationStore::hold(&store, with(7, 8, "b", "other")).await;
    assert_eq!(reused, Err(Error::IdempotencyKeyReused));
    assert_eq!(count(&store, "SELECT COUNT(*) AS n FROM idempotency_keys").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_commit_is_lost_is_looked_up_or_done_again() {
    for cut in [Cut::Command, Cut::Answer] {
        let (database, store) = store().await;
        let proxy = Proxy::start(&database.url).await;
        let behind = Mysql::connect(&proxy.url, Options { connections: 4 }).await.unwrap();
        proxy.cut_next(cut);
        let holds = vec![hold(1, 1), hold(2, 1), hold(3, 5), hold(4, 6)];
        let mut results = numbers(serve(&behind, holds, &HOLDS).await);
        assert!(!proxy.is_waiting(), "no commit was cut");
        if cut == Cut::Command {
            // Done again they are each by itself, and either may be the first.
            results[..2].sort_by_key(Result::is_err);
            results[0] = results[0].clone().map(|_| 1);
        }
        assert_eq!(results, [Ok(1), Err(Error::SeatNotAvailable), Ok(3), Ok(4)], "{cut:?}");
        let pending = "SELECT COUNT(*) AS n FROM reservations WHERE id < 10 AND status = 'PENDING'";
        assert_eq!(count(&store, pending).await, 3);
    }
}

fn settlement(number: i64, hold: &Hold) -> Settlement {
    let reservation = hold.reservation.clone();
    let payment = Payment {
        id: id(number),
        reservation_id: reservation.id,
        user_id: reservation.user_id,
        amount: reservation.price,
        status: PaymentStatus::Completed,
        paid_at: reservation.created_at,
        refunded_at: None,
    };
    let place = QueueToken::from_bytes([7; 16]).digest();
    let event = Event::payment_completed(&payment, &reservation, place).unwrap();
    Settlement { payment, reservation, transaction_id: id(number), event, claim: None }
}

/// Holds of seats 1, 5, 6 by user 7 and of 8 by user 8, held; both users with so many points.
async fn held(database: &Database, store: &Mysql, points: i64) -> Vec<Hold> {
    let mut holds = vec![hold(1, 1), hold(2, 5), hold(3, 6), hold(4, 8)];
    holds[3].reservation.user_id = id(8);
    assert!(serve(store, holds.clone(), &HOLDS).await.iter().all(Result::is_ok));
    let accounts = format!(
        "INSERT INTO point_accounts VALUES (7, {points}, 0, 1), (8, {points}, 0, 1);
         INSERT INTO point_ledger VALUES (901, 7, 1, 'CHARGE', {points}, {points}, 1, NULL),
                                         (902, 8, 1, 'CHARGE', {points}, {points}, 1, NULL)"
    );
    connect(&database.url).await.batch_execute(&accounts).await.unwrap();
    holds
}

/// What became of each payment: its number, or the refusal.
fn paid(results: Vec<Result<Payment>>) -> Vec<Result<i64>> {
    results.into_iter().map(|paid| paid.map(|payment| payment.id.get())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_pays_as_many_holds_of_a_batch_as_the_points_are_for() {
    let (database, store) = store().await;
    let holds = held(&database, &store, 25).await;
    let mut payments: Vec<_> = (1..).zip(&holds).map(|(n, hold)| settlement(n, hold)).collect();
    payments[0].event.headers.put("x-request-id", "request \"1\"");
    let recorded = [0, 1, 3].map(|n| payments[n].event.to_record().unwrap());
    let results = paid(serve(&store, payments, &SETTLEMENTS).await);
    assert_eq!(results, [Ok(1), Ok(2), Err(Error::InsufficientPoints), Ok(4)]);
    let rows = store.pending(PageRequest::default()).await.unwrap().items;
    let rows: Vec<_> = rows.into_iter().map(|entry| entry.record).collect();
    assert_eq!(rows, recorded);
    let lines = store.history(id(7), PageRequest::default()).await.unwrap().items;
    let lines: Vec<_> =
        lines.iter().map(|l| (l.sequence, l.amount, l.balance_after.get())).collect();
    assert_eq!(lines, [(3, -10, 5), (2, -10, 15), (1, 25, 25)]);
    assert_eq!(
        (store.balance(id(7)).await, store.balance(id(8)).await),
        (Ok(Won::of(5)), Ok(Won::of(15)))
    );
    assert_eq!(store.backlog().await.unwrap().pending, 3);
    let (sold, open) = (status(&store, 1).await, status(&store, 3).await);
    assert_eq!(
        (sold, open),
        (Some(ReservationStatus::Confirmed), Some(ReservationStatus::Pending))
    );
    let sold = "SELECT COUNT(*) AS n FROM seats WHERE status = 'RESERVED' AND id IN (1, 5, 8)";
    assert_eq!(count(&store, sold).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_payment_of_a_batch_has_its_own_verdict() {
    let (database, store) = store().await;
    let holds = held(&database, &store, 100).await;
    let [ended, sold, unknown, foreign] =
        [(93, 3), (92, 2), (77, 9), (4, 8)].map(|(n, s)| hold(n, s));
    let all = [&holds[0], &holds[0], &ended, &sold, &unknown, &foreign, &holds[1]];
    let payments = (1..).zip(all).map(|(n, hold)| settlement(n, hold)).collect();
    let results = paid(serve(&store, payments, &SETTLEMENTS).await);
    let not_pending = || Err(Error::ReservationNotPending);
    assert_eq!(
        results,
        [
            Ok(1),
            not_pending(),
            Err(Error::ReservationExpired),
            not_pending(),
            Err(Error::ReservationNotFound),
            not_pending(),
            Ok(7)
        ]
    );
    assert_eq!(status(&store, 4).await, Some(ReservationStatus::Pending), "somebody else's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_payment_harms_nobody_else() {
    let (database, store) = store().await;
    let holds = held(&database, &store, 100).await;
    // The books are wrong: a pending reservation has a payment.
    let wrong = "INSERT INTO payments VALUES (90, 2, 7, 10, 'COMPLETED', 1, NULL)";
    connect(&database.url).await.batch_execute(wrong).await.unwrap();
    let payments: Vec<_> = (1..).zip(&holds).map(|(n, hold)| settlement(n, hold)).collect();
    let results = paid(serve(&store, payments, &SETTLEMENTS).await);
    assert_eq!((&results[0], &results[2], &results[3]), (&Ok(1), &Ok(3), &Ok(4)));
    assert!(matches!(results[1], Err(Error::Bug(_))), "{results:?}");
    assert_eq!(store.balance(id(7)).await, Ok(Won::of(80)));
    assert_eq!(store.backlog().await.unwrap().pending, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_whose_commit_is_lost_are_made_once() {
    for cut in [Cut::Command, Cut::Answer] {
        let (database, store) = store().await;
        let holds = held(&database, &store, 100).await;
        let proxy = Proxy::start(&database.url).await;
        let behind = Mysql::connect(&proxy.url, Options { connections: 4 }).await.unwrap();
        proxy.cut_next(cut);
        let payments: Vec<_> = (1..).zip(&holds).map(|(n, hold)| settlement(n, hold)).collect();
        let results = paid(serve(&behind, payments, &SETTLEMENTS).await);
        assert!(!proxy.is_waiting(), "no commit was cut");
        assert_eq!(results, [Ok(1), Ok(2), Ok(3), Ok(4)], "{cut:?}");
        assert_eq!(store.balance(id(7)).await, Ok(Won::of(70)));
        assert_eq!(store.backlog().await.unwrap().pending, 4);
    }
}

/// An account that a charge has locked keeps only its owner waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_must_wait_keeps_nobody_waiting() {
    let (database, store) = store().await;
    let holds = held(&database, &store, 100).await;
    let mut other = connect(&database.url).await;
    let lock = "START TRANSACTION; UPDATE point_accounts SET pending = 0 WHERE user_id = 7";
    other.batch_execute(lock).await.unwrap();
    let payments = vec![settlement(1, &holds[0]), settlement(2, &holds[3])];
    let (waiting, mut told) = batch(payments);
    commit(store.clone(), waiting, &SETTLEMENTS).await;
    assert_eq!(told.remove(1).await.unwrap().map(|p| p.id.get()), Ok(2));
    until_busy(&database, "UPDATE point_accounts").await;
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(told.remove(0).await.unwrap().map(|p| p.id.get()), Ok(1));
}
