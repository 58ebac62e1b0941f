use std::future::Future;

use concert_tests::{Answer, Buyer, PRICE, audit, eventually};
use futures::future::join_all;
use serde_json::json;

use crate::{id, start};

/// Sends one request twenty times at once; checks that all got the same answer, and that only the
/// first is no replay. Answers it.
async fn twenty<F: Future<Output = Answer>>(send: impl Fn() -> F) -> serde_json::Value {
    let answers = join_all((0..20).map(|_| send())).await;
    let fresh = answers.iter().filter(|answer| !answer.replayed()).count();
    assert_eq!(fresh, 1, "{answers:?}");
    for answer in &answers {
        let same = (answer.status, &answer.bytes) == (answers[0].status, &answers[0].bytes);
        assert!(same, "{answer:?} differs from {:?}", answers[0]);
        assert_eq!(answer.header("location"), answers[0].header("location"));
    }
    assert!(answers[0].status < 300, "{:?}", answers[0]);
    answers[0].body.clone()
}

#[tokio::test]
async fn twenty_equal_requests_have_one_effect_and_one_answer() {
    let app = start().await;
    let show = app.show(2).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    twenty(|| async { buyer.charge(2 * PRICE).key("charge").await }).await;
    let held =
        twenty(|| async { buyer.hold(show.schedule, show.seats[0]).key("hold").await }).await;
    let reservation = id(&held["reservationId"]);
    let paid = twenty(|| async { buyer.pay(reservation).key("pay").await }).await;
    let payment = id(&paid["paymentId"]);
    twenty(|| async { buyer.refund(payment).key("refund").await }).await;

    assert_eq!(app.all("/users/1/reservations").await.len(), 1);
    let books = audit(&app, &show, &[1]).await;
    assert_eq!((books.charged, books.paid, books.refunded), (2 * PRICE, PRICE, PRICE));
}

#[tokio::test]
async fn a_replay_answers_after_the_token_has_ended_and_the_state_has_moved_on() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).rich(PRICE).await.admitted(show.concert).await;
    let hold = || buyer.hold(show.schedule, show.seats[0]).key("a");
    let held = hold().await.ok(201);
    let pay = |buyer: &Buyer| buyer.pay(id(&held["reservationId"])).key("b");
    let paid = pay(&buyer).await.ok(201);
    assert_eq!(buyer.standing().await, "EXPIRED");
    buyer.refund(id(&paid["paymentId"])).await.ok(200);

    let again = hold().await;
    assert!(again.replayed());
    assert_eq!(again.ok(201), held);
    let forgetful = buyer.clone().with_token(&"f".repeat(32));
    let again = pay(&forgetful).await;
    assert!(again.replayed(), "the token is no part of what makes a request the same");
    assert_eq!(again.ok(201), paid);
}

#[tokio::test]
async fn a_key_used_for_another_request_is_refused() {
    let app = start().await;
    let show = app.show(2).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let reused = |answer: Answer| answer.refused(422, "IDEMPOTENCY_KEY_REUSED");
    buyer.charge(1_000).key("k").await.ok(200);
    reused(buyer.charge(2_000).key("k").await);
    reused(buyer.charge_with(1_000, json!("tok")).key("k").await);
    buyer.hold(show.schedule, show.seats[0]).key("h").await.ok(201);
    reused(buyer.hold(show.schedule, show.seats[1]).key("h").await);
    assert_eq!(buyer.balance().await, 1_000);
    assert_eq!(app.seat_status(&show, show.seats[1]).await, "AVAILABLE");
}

#[tokio::test]
async fn the_same_request_written_differently_is_still_the_same() {
    let app = start().await;
    let first = app.buyer(1).charge(1_000).key("k").await.ok(200);
    let body = r#"{ "paymentMethod":"CARD", "unknown": [], "amount":1000, "userId":1 }"#;
    let again = app.patch("/points/charge").key("k").raw(body).await;
    assert!(again.replayed());
    assert_eq!(again.ok(200), first);
    let body = json!({ "amount": 1_000, "paymentMethod": "CARD" });
    assert!(app.patch("/points/charge").user(1).key("k").json(body).await.replayed());
}

#[tokio::test]
async fn keys_belong_to_their_caller_and_route() {
    let app = start().await;
    let show = app.show(2).await;
    for (user, seat) in [(1, show.seats[0]), (2, show.seats[1])] {
        let buyer = app.buyer(user).admitted(show.concert).await;
        let charged = buyer.charge(PRICE).key("same").await;
        assert!(!charged.replayed());
        assert_eq!(charged.ok(200)["userId"], user);
        let held = buyer.hold(show.schedule, seat).key("same").await;
        assert!(!held.replayed());
        let paid = buyer.pay(id(&held.ok(201)["reservationId"])).key("same").await;
        assert!(!paid.replayed());
        paid.ok(201);
    }
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    buyer.pay(reservation).key("k").await.refused(402, "INSUFFICIENT_POINTS");
    let buyer = buyer.rich(PRICE).await;
    let paid = buyer.pay(reservation).key("k").await;
    assert!(!paid.replayed());
    paid.ok(201);
}

#[tokio::test]
async fn a_declined_charge_can_be_tried_again_under_its_key() {
    let app = start().await;
    let declined = || app.buyer(1).charge_with(1_000, json!("sandbox:decline")).key("k");
    declined().await.refused(402, "PAYMENT_DECLINED");
    declined().await.refused(402, "PAYMENT_DECLINED");
    assert_eq!(app.buyer(1).balance().await, 0);
}

#[tokio::test]
async fn a_key_is_visible_ascii_of_bounded_length() {
    let app = start().await;
    for bad in ["", "with space", "한", &"x".repeat(256)] {
        app.buyer(1).charge(1_000).key(bad).await.names("Idempotency-Key");
    }
    app.buyer(1).charge(1_000).key("a").key("b").await.names("Idempotency-Key");
    assert_eq!(app.buyer(1).balance().await, 0);
    app.buyer(1).charge(1_000).key(&"~".repeat(255)).await.ok(200);
}

#[tokio::test]
async fn a_replay_of_a_sale_makes_no_second_event() {
    let app = start().await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).rich(PRICE).await.admitted(show.concert).await;
    let reservation = buyer.held(show.schedule, show.seats[0]).await;
    for _ in 0..3 {
        buyer.pay(reservation).key("k").await.ok(201);
    }
    let other = app.show(1).await;
    app.buyer(2).bought(&other, other.seats[0]).await;
    eventually("the later sale is counted", async || {
        let line = app.ranked(other.concert).await?;
        (line["soldSeats"] == 1).then_some(())
    })
    .await;
    assert_eq!(audit(&app, &show, &[1]).await.sold, 1);
}
