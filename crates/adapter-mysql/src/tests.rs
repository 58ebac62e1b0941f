//! What no port shows: these look at the rows.

use std::time::Duration;

use concert_domain::audit::Edit;
use concert_domain::concert::ConcertWriter;
use concert_domain::event::{Outbox, Record};
use concert_domain::reservation::{Hold, Reservation, ReservationStatus, ReservationStore};
use concert_domain::{Error, SeatId, Timestamp};
use diesel_async::SimpleAsyncConnection;

use crate::common::{Database, connect};
use crate::sql::{Number, sql};
use crate::{Mysql, Options, outbox};

const SHOW: &str = "
    INSERT INTO concerts VALUES (1, 'Concert', NULL, 1);
    INSERT INTO schedules VALUES (1, 1, 9000000000000, 0, 1)";

async fn store(rows: &str) -> (Database, Mysql) {
    let database = Database::create().await;
    let store = Mysql::connect(&database.url, Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    connect(&database.url).await.batch_execute(rows).await.unwrap();
    (database, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_hold_is_tidied_before_its_seat_goes_away() {
    let rows = "
        INSERT INTO seats VALUES (1, 1, 1, 10, 'TEMP_RESERVED', 1, 2000),
                                 (2, 1, 2, 10, 'TEMP_RESERVED', 2, 9000000000000);
        INSERT INTO reservations (id, user_id, concert_id, schedule_id, seat_id, price, status,
                                  created_at, expires_at)
        VALUES (1, 7, 1, 1, 1, 10, 'PENDING', 500, 2000),
               (2, 7, 1, 1, 2, 10, 'PENDING', 500, 9000000000000)";
    let (_database, store) = store(&format!("{SHOW};{rows}")).await;
    assert!(store.delete_seat(Edit::default(), SeatId::try_from(1).unwrap()).await.is_ok());
    let schedule = 1.try_into().unwrap();
    assert_eq!(
        store.delete_schedule(Edit::default(), schedule).await,
        Err(Error::SeatNotAvailable)
    );
    let pending = store.read((), |tx, ()| {
        Box::pin(async move {
            sql("SELECT id AS n FROM reservations WHERE status = 'PENDING'")
                .rows::<Number>(tx)
                .await
        })
    });
    assert_eq!(pending.await.unwrap().iter().map(|row| row.n).collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_live_owner_is_stopped_by_the_unique_key() {
    // The books are wrong already: a seat is free while a reservation owns it.
    let rows = "
        INSERT INTO seats VALUES (1, 1, 1, 10, 'AVAILABLE', NULL, NULL);
        INSERT INTO reservations (id, user_id, concert_id, schedule_id, seat_id, price, status,
                                  created_at, expires_at)
        VALUES (1, 7, 1, 1, 1, 10, 'CONFIRMED', 500, 2000)";
    let (_database, store) = store(&format!("{SHOW};{rows}")).await;
    let id = 2.try_into().unwrap();
    let reservation = Reservation {
        id,
        user_id: 8.try_into().unwrap(),
        concert_id: 1.try_into().unwrap(),
        schedule_id: 1.try_into().unwrap(),
        seat_id: 1.try_into().unwrap(),
        price: concert_domain::Won::of(10),
        status: ReservationStatus::Pending,
        created_at: Timestamp::MIN,
        expires_at: Timestamp::MAX,
    };
    let held = store.hold(Hold { reservation, most: 100, claim: None }).await;
    assert!(matches!(held, Err(Error::Bug(_))), "{held:?}");
    assert_eq!(ReservationStore::find(&store, id).await, Ok(None), "nothing was written");
}

/// Rows 1 and 2 of one key, row 3 of another.
async fn with_three_events() -> (Database, Mysql) {
    let (database, store) = store("DO 0").await;
    let recorded = store.write((), |tx, ()| {
        Box::pin(async move {
            for (name, key) in [("e1", "k"), ("e2", "k"), ("e3", "other")] {
                let record = Record::new(key, Vec::new());
                outbox::put(tx, name, "topic", &record).await?;
            }
            Ok(())
        })
    });
    recorded.await.unwrap();
    (database, store)
}

async fn claimed(store: &Mysql, limit: u32, lease: Duration) -> Vec<i64> {
    let rows = store.claim("relay", limit, lease).await.unwrap();
    rows.iter().map(|row| row.sequence).collect()
}

/// A relay that could neither mark nor give back its rows must not publish what follows them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_does_not_overtake_itself() {
    let (_database, store) = with_three_events().await;
    let lease = Duration::from_secs(30);
    assert_eq!(claimed(&store, 1, lease).await, [1]);
    assert_eq!(claimed(&store, 9, lease).await, [3]);
    store.release("relay").await.unwrap();
    assert_eq!(claimed(&store, 9, lease).await, [1, 2, 3]);
}

/// A claim that is under way has marked nothing yet that another one could read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_waits_for_the_key_of_a_row_that_another_claim_looks_at() {
    let (database, store) = with_three_events().await;
    let mut other = connect(&database.url).await;
    let look = "START TRANSACTION; SELECT * FROM outbox WHERE sequence = 1 FOR UPDATE";
    other.batch_execute(look).await.unwrap();
    assert_eq!(claimed(&store, 9, Duration::ZERO).await, [3]);
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(claimed(&store, 9, Duration::ZERO).await, [1, 2, 3]);
}
