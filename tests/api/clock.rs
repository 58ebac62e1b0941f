//! What takes minutes or days: these tests move the clock, which only the embedded engine lets
//! them do, so they are the only ones of the API that do not run on MySQL, Redis and Kafka. There,
//! time is the servers' own; the laws of the ports in `testkit`, which every engine runs with short
//! times, prove the same deadlines.

use concert_tests::{TestApp, days, eventually, seconds};
use serde_json::json;

use crate::queue::{becomes, line_up, narrow};
use crate::start;

#[tokio::test]
async fn a_seat_can_be_taken_again_the_moment_its_hold_ends() {
    let app = start().await;
    let show = app.show(1).await;
    let (early, late) = (app.buyer(1), app.buyer(2));
    let early = early.admitted(show.concert).await;
    let late = late.admitted(show.concert).await;
    let reservation = early.held(show.schedule, show.seats[0]).await;
    app.pass(seconds(299)).await;
    late.hold(show.schedule, show.seats[0]).await.refused(409, "SEAT_NOT_AVAILABLE");
    app.pass(seconds(1)).await;
    late.held(show.schedule, show.seats[0]).await;
    assert_eq!(early.reservation(reservation).await.ok(200)["status"], "EXPIRED");
}

/// S2: the clock of a stay started when the token was issued.
#[tokio::test]
async fn s2_the_stay_counts_from_the_admission_however_long_the_wait_was() {
    let app = start().await;
    let concert = narrow(&app, 1).await;
    let line = line_up(&app, concert, 2).await;
    assert_eq!(line[0].standing().await, "ACTIVE");
    app.pass(seconds(599)).await;
    assert_eq!(line[0].standing().await, "ACTIVE", "a poll lifted the claim deadline");
    assert_eq!(line[1].standing().await, "WAITING");
    app.pass(seconds(2)).await;
    becomes(&line[1], "ACTIVE").await;
    let expires_at = line[1].status().await.ok(200)["expiresAt"].clone();
    assert_eq!(expires_at, app.now().plus(seconds(600)).to_string());
    assert_eq!(line[0].standing().await, "EXPIRED");
}

#[tokio::test]
async fn an_ended_token_is_known_for_ten_minutes_and_then_forgotten() {
    let app = start().await;
    let concert = app.concert().await;
    let buyer = app.buyer(1).admitted(concert).await;
    buyer.leave().await.ok(204);
    app.pass(seconds(590)).await;
    assert_eq!(buyer.standing().await, "EXPIRED");
    app.pass(seconds(20)).await;
    buyer.status().await.refused(401, "TOKEN_NOT_FOUND");
}

#[tokio::test]
async fn a_charge_of_unknown_outcome_keeps_its_room_until_it_is_settled() {
    let app = start().await;
    for (user, detail, status, code) in [
        (1, "sandbox:error", 502, "PAYMENT_GATEWAY_ERROR"),
        (2, "sandbox:timeout", 504, "PAYMENT_GATEWAY_TIMEOUT"),
    ] {
        let buyer = app.buyer(user);
        buyer.charge_with(1_000_000, json!(detail)).await.refused(status, code);
        buyer.charge(100).await.refused(409, "POINT_LIMIT_EXCEEDED");
        assert_eq!(buyer.balance().await, 0);
    }
    app.pass(seconds(61)).await;
    for user in [1, 2] {
        assert_is_settled(&app, user).await;
    }
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_becomes_points_without_a_retry() {
    let app = start().await;
    let buyer = app.buyer(1);
    let lost = buyer.charge_with(1_000, json!("sandbox:lost")).await;
    lost.refused(504, "PAYMENT_GATEWAY_TIMEOUT");
    app.pass(seconds(61)).await;
    eventually("the points", async || (buyer.balance().await == 1_000).then_some(())).await;
}

/// The sandbox says of both that no money was taken.
async fn assert_is_settled(app: &TestApp, user: i64) {
    let buyer = app.buyer(user);
    eventually("the charge is settled", async || {
        (buyer.charge(1_000_000).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(app.all(&format!("/users/{user}/points/history")).await.len(), 1);
}

#[tokio::test]
async fn the_cut_off_before_the_show_ends_refunds() {
    let app = start().await;
    let show = app.show_in(days(2), 2).await;
    let buyer = app.buyer(1);
    let first = buyer.bought(&show, show.seats[0]).await;
    let second = buyer.bought(&show, show.seats[1]).await;
    app.pass(days(1) - seconds(1)).await;
    buyer.refund(first).await.ok(200);
    app.pass(seconds(2)).await;
    buyer.refund(second).await.refused(409, "REFUND_NOT_ALLOWED");
    assert_eq!(app.seat_status(&show, show.seats[1]).await, "RESERVED");
}

#[tokio::test]
async fn a_key_is_remembered_for_a_day() {
    let app = start().await;
    let buyer = app.buyer(1);
    let charge = || buyer.charge(1_000).key("k");
    charge().await.ok(200);
    app.pass(days(1) - seconds(1)).await;
    assert!(charge().await.replayed());
    app.pass(seconds(2)).await;
    let anew = charge().await;
    assert!(!anew.replayed());
    assert_eq!(anew.ok(200)["totalPoint"], 2_000);
}
