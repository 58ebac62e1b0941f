//! A client that is gone in the middle of its request leaves nothing behind that answers others
//! wrongly.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;

use concert_tests::{
    Buyer, Engines, FullSet, PRICE, Session, TestApp, audit, eventually, quick, reconcile,
};
use futures::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Sends the request of a hold and answers the connection, on which nothing has come back yet.
async fn begin_hold(app: &TestApp, buyer: &Buyer, schedule: i64, seat: i64) -> TcpStream {
    let mut connection = TcpStream::connect(app.address()).await.unwrap();
    let body = json!({ "userId": buyer.user, "scheduleId": schedule, "seatId": seat }).to_string();
    let request = format!(
        "POST /api/v1/reservations HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConcert-Queue-Token: {}\r\n\r\n{body}",
        body.len(),
        buyer.token
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

/// How many statements on seats the server is busy with: they wait for the row.
async fn blocked(mysql: &mut Session) -> i64 {
    mysql
        .number(
            "SELECT COUNT(*) AS n FROM information_schema.processlist
             WHERE db = DATABASE() AND command <> 'Sleep' AND info LIKE '%UPDATE%seats%'
             AND info NOT LIKE '%processlist%'",
        )
        .await
}

/// The connections that were cut off while their UPDATE was blocked must not answer those who use
/// the pool next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_uses_the_pool_after_a_reset_gets_right_answers() {
    const RESETS: usize = 3;
    let set = Arc::new(FullSet::shared().await);
    let app = TestApp::with(Engines::on(set.clone()).await, quick()).await;
    let show = app.show(6).await;
    let mut keeper = set.database().connect().await;
    let mut onlooker = set.database().connect().await;
    let rows = format!("SELECT id FROM seats WHERE schedule_id = {} FOR UPDATE", show.schedule);
    keeper.run(&format!("START TRANSACTION; {rows}")).await;

    let mut connections = Vec::new();
    for (user, seat) in (1..).zip(&show.seats[..RESETS]) {
        let buyer = app.buyer(user).admitted(show.concert).await;
        connections.push(begin_hold(&app, &buyer, show.schedule, *seat).await);
    }
    eventually("the holds wait for their rows", async || {
        let mut onlooker = set.database().connect().await;
        (blocked(&mut onlooker).await == RESETS as i64).then_some(())
    })
    .await;
    for connection in connections {
        connection.set_zero_linger().unwrap();
        drop(connection); // sends a reset, as there is nothing to linger for
    }

    let charges = join_all((101..=140).map(|user| app.buyer(user).rich(PRICE)));
    for buyer in charges.await {
        assert_eq!(buyer.balance().await, PRICE, "user {}", buyer.user);
    }
    assert_eq!(blocked(&mut onlooker).await, RESETS as i64, "the holds still wait");
    keeper.run("ROLLBACK").await;

    // Whoever was cut off has the seat: the request had been taken on.
    for user in 1..=RESETS as i64 {
        eventually("the hold that was cut off is made", async || {
            let holds = app.all(&format!("/users/{user}/reservations")).await;
            (holds.len() == 1).then_some(())
        })
        .await;
    }
    let late = app.buyer(200).rich(PRICE).await.admitted(show.concert).await;
    for seat in &show.seats[..RESETS] {
        late.hold(show.schedule, *seat).await.refused(409, "SEAT_NOT_AVAILABLE");
    }
    let mut users: Vec<i64> = (101..=140).chain(1..=RESETS as i64).collect();
    let reservation = late.held(show.schedule, show.seats[RESETS]).await;
    late.pay(reservation).await.ok(201);
    users.push(200);
    let books = audit(&app, &show, &users).await;
    assert_eq!(books.sold, 1);
    reconcile(&set, books).await;
}
