use std::time::Duration;

use concert_app::Config;
use concert_tests::{PRICE, audit, quick, seconds};
use futures::future::join_all;
use serde_json::json;

use crate::{NO_IDS, id, no_ids, start, start_with};

#[tokio::test]
async fn a_payment_confirms_sells_spends_and_ends_the_token_together() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).rich(PRICE + 1_000).await.admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    let answer = buyer.pay(reservation).await;
    let location = answer.header("location").expect("a Location").to_owned();
    let paid = answer.ok(201);
    let expected = json!({
        "paymentId": paid["paymentId"],
        "reservationId": reservation,
        "status": "COMPLETED",
        "paidAmount": PRICE,
        "paidAt": paid["paidAt"],
    });
    app.assert_now(&paid["paidAt"]);
    assert_eq!(paid, expected);
    assert_eq!(location, format!("/api/v1/payments/{}", paid["paymentId"]));

    assert_eq!(buyer.payment(id(&paid["paymentId"])).await.ok(200), paid);
    assert_eq!(buyer.reservation(reservation).await.ok(200)["status"], "CONFIRMED");
    assert_eq!(app.seat_status(&show, show.seats[0]).await, "RESERVED");
    assert_eq!(buyer.balance().await, 1_000);
    assert_eq!(buyer.standing().await, "EXPIRED");
    let line = &app.all("/users/1/points/history").await[0];
    assert_eq!((&line["type"], &line["amount"]), (&json!("USE"), &json!(-PRICE)));
    assert_eq!(line["paymentId"], paid["paymentId"]);
}

#[tokio::test]
async fn without_points_nothing_is_paid_and_the_hold_stays() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).rich(PRICE - 1).await.admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    buyer.pay(reservation).await.refused(402, "INSUFFICIENT_POINTS");
    assert_eq!(buyer.balance().await, PRICE - 1);
    assert_eq!(buyer.reservation(reservation).await.ok(200)["status"], "PENDING");
    assert_eq!(buyer.standing().await, "ACTIVE");
    buyer.charge(100).await.ok(200);
    buyer.pay(reservation).await.ok(201);
}

#[tokio::test]
async fn twenty_payments_at_once_pay_once() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).rich(10 * PRICE).await.admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    let answers = join_all((0..20).map(|_| async { buyer.pay(reservation).await })).await;
    let (paid, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 201);
    assert_eq!(paid.len(), 1);
    for answer in refused {
        assert!(matches!(answer.status, 401 | 409), "{answer:?}");
    }
    assert_eq!(audit(&app, &show, &[1]).await.paid, PRICE);
}

#[tokio::test]
async fn what_is_paid_cancelled_or_expired_cannot_be_paid() {
    let app = start_with(Config { hold_ttl: seconds(3), ..quick() }).await;
    let show = app.show(3).await;
    let buyer = app.buyer(1).rich(3 * PRICE).await.admitted(show.concert).await;
    let cancelled = buyer.held(show.schedule, show.seats[0]).await;
    buyer.cancel(cancelled).await.ok(204);
    buyer.pay(cancelled).await.refused(409, "RESERVATION_NOT_PENDING");
    let expired = buyer.held(show.schedule, show.seats[1]).await;
    app.pass(seconds(3)).await;
    buyer.pay(expired).await.refused(410, "RESERVATION_EXPIRED");
    let paid = buyer.held(show.schedule, show.seats[2]).await;
    buyer.pay(paid).await.ok(201);
    buyer.pay(paid).await.refused(401, "TOKEN_EXPIRED");
    let buyer = buyer.admitted(show.concert).await;
    buyer.pay(paid).await.refused(409, "RESERVATION_NOT_PENDING");
    assert_eq!(buyer.balance().await, 2 * PRICE);
}

#[tokio::test]
async fn the_price_is_that_of_the_hold() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).rich(PRICE).await.admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    let edit = app.patch(format!("/admin/seats/{}", show.seats[0])).json(json!({ "price": 1 }));
    edit.await.refused(409, "SEAT_NOT_AVAILABLE");
    assert_eq!(buyer.pay(reservation).await.ok(201)["paidAmount"], PRICE);
}

#[tokio::test]
async fn a_payment_needs_the_owner_and_a_token_of_the_concert() {
    let app = start().await;
    let (show, other) = (app.show(1).await, app.show(1).await);
    let buyer = app.buyer(1).rich(PRICE).await.admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    let stranger = app.buyer(2).rich(PRICE).await.admitted(show.concert).await;
    stranger.pay(reservation).await.refused(404, "RESERVATION_NOT_FOUND");
    stranger.pay(reservation + 9_999).await.refused(404, "RESERVATION_NOT_FOUND");
    let thief = app.buyer(2).with_token(&buyer.token);
    thief.pay(reservation).await.refused(403, "TOKEN_MISMATCH");
    let elsewhere = buyer.clone().admitted(other.concert).await;
    elsewhere.pay(reservation).await.refused(403, "TOKEN_MISMATCH");
    assert_eq!((buyer.balance().await, stranger.balance().await), (PRICE, PRICE));
}

#[tokio::test]
async fn a_payment_must_be_well_formed() {
    let app = start().await;
    let concert = app.concert().await;
    let buyer = app.buyer(1).admitted(concert).await;
    for bad in no_ids() {
        let body = json!({ "userId": 1, "reservationId": bad });
        app.post("/payments").token(&buyer.token).json(body).await.names("reservationId");
    }
    app.post("/payments").token(&buyer.token).json(json!({})).await.names("reservationId");
    let body = json!({ "userId": 1, "reservationId": 1 });
    app.post("/payments").json(body).await.refused(400, "MISSING_HEADER");
    app.post("/payments").token("garbage").raw("{").await.refused(401, "TOKEN_NOT_FOUND");
}

#[tokio::test]
async fn someone_elses_payment_answers_as_a_missing_one() {
    let app = start().await;
    let show = app.show(1).await;
    let payment = app.buyer(1).bought(&show, show.seats[0]).await;
    let stranger = app.buyer(2);
    for id in [payment, payment + 9_999] {
        stranger.payment(id).await.refused(404, "PAYMENT_NOT_FOUND");
        stranger.refund(id).await.refused(404, "PAYMENT_NOT_FOUND");
    }
    app.get(format!("/payments/{payment}")).await.refused(401, "UNAUTHENTICATED");
    app.post(format!("/payments/{payment}/refund")).await.refused(401, "UNAUTHENTICATED");
    for bad in NO_IDS {
        app.get(format!("/payments/{bad}")).user(1).await.refused(400, "INVALID_INPUT");
        let path = format!("/payments/{bad}/refund");
        app.post(path).user(1).await.refused(400, "INVALID_INPUT");
    }
    assert_eq!(app.buyer(1).payment(payment).await.ok(200)["status"], "COMPLETED");
}

#[tokio::test]
async fn a_refund_gives_everything_back_once() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1);
    let payment = buyer.bought(&show, show.seats[0]).await;
    let refunded = buyer.refund(payment).await.ok(200);
    assert_eq!(refunded["status"], "REFUNDED");
    app.assert_now(&refunded["refundedAt"]);
    assert_eq!(buyer.payment(payment).await.ok(200), refunded);
    let reservation = buyer.reservation(id(&refunded["reservationId"])).await.ok(200);
    assert_eq!(reservation["status"], "CANCELLED");
    assert_eq!(buyer.balance().await, PRICE);
    assert_eq!(app.all("/users/1/points/history").await[0]["type"], "REFUND");
    buyer.refund(payment).await.refused(409, "REFUND_NOT_ALLOWED");
    app.buyer(2).bought(&show, show.seats[0]).await;
    let books = audit(&app, &show, &[1, 2]).await;
    assert_eq!((books.refunded, books.sold), (PRICE, 1));
}

#[tokio::test]
async fn twenty_refunds_at_once_refund_once() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1);
    let payment = buyer.bought(&show, show.seats[0]).await;
    let answers = join_all((0..20).map(|_| async { buyer.refund(payment).await })).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    assert_eq!(done.len(), 1);
    refused.iter().for_each(|answer| answer.refused(409, "REFUND_NOT_ALLOWED"));
    assert_eq!(audit(&app, &show, &[1]).await.refunded, PRICE);
}

#[tokio::test]
async fn a_refund_that_the_balance_has_no_room_for_waits() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1);
    let payment = buyer.bought(&show, show.seats[0]).await;
    buyer.charge(1_000_000).await.ok(200);
    buyer.refund(payment).await.refused(409, "POINT_LIMIT_EXCEEDED");
    assert_eq!(buyer.payment(payment).await.ok(200)["status"], "COMPLETED");
}

#[tokio::test]
async fn the_history_is_the_users_own_newest_first_in_pages() {
    let app = start().await;
    let show = app.show(3).await;
    let buyer = app.buyer(1);
    let mut made = Vec::new();
    for seat in &show.seats {
        made.push(buyer.bought(&show, *seat).await);
        app.pass(Duration::from_millis(5)).await;
    }
    made.reverse();
    let pages = app.pages("/users/1/payments", 2).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    let items = pages.concat();
    let ids: Vec<_> = items.iter().map(|item| id(&item["paymentId"])).collect();
    assert_eq!(ids, made);
    assert_eq!(items[0], buyer.payment(made[0]).await.ok(200));
    assert!(app.all("/users/2/payments").await.is_empty());
}
