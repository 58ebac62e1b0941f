use concert_tests::PRICE;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{NO_IDS, id, no_ids, start};

#[tokio::test]
async fn a_user_who_never_charged_has_no_points() {
    let app = start().await;
    let points = app.get("/points/42").await.ok(200);
    assert_eq!(points, json!({ "userId": 42, "point": 0 }));
    assert!(app.all("/users/42/points/history").await.is_empty());
    for bad in NO_IDS {
        app.get(format!("/points/{bad}")).await.refused(400, "INVALID_INPUT");
        app.get(format!("/users/{bad}/points/history")).await.refused(400, "INVALID_INPUT");
    }
}

#[tokio::test]
async fn a_charge_adds_up_and_is_written_in_the_ledger() {
    let app = start().await;
    let buyer = app.buyer(1).rich(100).await;
    let charged = buyer.charge_with(PRICE, json!("tok_visa")).await.ok(200);
    let expected = json!({
        "userId": 1,
        "amount": PRICE,
        "totalPoint": PRICE + 100,
        "transactionId": charged["transactionId"],
        "chargedAt": charged["chargedAt"],
    });
    app.assert_now(&charged["chargedAt"]);
    assert_eq!(charged, expected);
    assert_eq!(buyer.balance().await, PRICE + 100);
    let ledger = app.all("/users/1/points/history").await;
    let amounts: Vec<_> = ledger.iter().map(|line| id(&line["amount"])).collect();
    assert_eq!(amounts, [PRICE, 100], "newest first");
    let line = json!({
        "transactionId": charged["transactionId"],
        "type": "CHARGE",
        "amount": PRICE,
        "balanceAfter": PRICE + 100,
        "createdAt": charged["chargedAt"],
    });
    assert_eq!(without_nulls(ledger[0].clone()), line);
}

fn without_nulls(mut value: Value) -> Value {
    value.as_object_mut().expect("an object").retain(|_, member| !member.is_null());
    value
}

#[tokio::test]
async fn of_many_charges_at_once_none_is_lost() {
    let app = start().await;
    let buyer = app.buyer(1);
    join_all((0..40).map(|_| async { buyer.charge(1_000).await.ok(200) })).await;
    assert_eq!(buyer.balance().await, 40_000);
    let pages = app.pages("/users/1/points/history", 9).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [9, 9, 9, 9, 4]);
    let after: Vec<_> = pages.concat().iter().map(|line| id(&line["balanceAfter"])).collect();
    assert_eq!(after, (1..=40).rev().map(|n| n * 1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn charges_at_once_never_pass_the_limit() {
    let app = start().await;
    let buyer = app.buyer(1);
    let answers = join_all((0..8).map(|_| async { buyer.charge(300_000).await })).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    assert_eq!((done.len(), refused.len()), (3, 5));
    refused.iter().for_each(|answer| answer.refused(409, "POINT_LIMIT_EXCEEDED"));
    assert_eq!(buyer.balance().await, 900_000);
    buyer.charge(100_001).await.refused(409, "POINT_LIMIT_EXCEEDED");
    buyer.charge(100_000).await.ok(200);
}

#[tokio::test]
async fn an_amount_that_is_none_is_refused() {
    let app = start().await;
    let buyer = app.buyer(1);
    let huge: Value = serde_json::from_str("1000000000000000000000000000000").unwrap();
    for amount in [
        json!(0),
        json!(99),
        json!(-100),
        json!(1_000_001),
        json!(i64::MAX),
        json!(u64::MAX),
        huge,
        json!(100.5),
        json!("100"),
        json!(null),
        json!(true),
        json!([100]),
    ] {
        let body = json!({ "userId": 1, "amount": amount, "paymentMethod": "CARD" });
        app.patch("/points/charge").json(body).await.names("amount");
    }
    buyer.charge(100).await.ok(200);
    buyer.charge(999_900).await.ok(200);
    assert_eq!(buyer.balance().await, 1_000_000);
}

#[tokio::test]
async fn method_detail_and_user_of_a_charge_must_be_well_formed() {
    let app = start().await;
    let charge = |body| app.patch("/points/charge").json(body);
    for method in [json!("CASH"), json!("card"), json!(""), json!(1), json!(null)] {
        let body = json!({ "userId": 1, "amount": 100, "paymentMethod": method });
        charge(body).await.names("paymentMethod");
    }
    for detail in [
        json!("4111 1111 1111 1111"),
        json!("tok/3782.822463.10005"),
        json!("x".repeat(201)),
        json!("토큰"),
        json!(""),
        json!(7),
    ] {
        app.buyer(1).charge_with(100, detail).await.names("paymentDetail");
    }
    for user in no_ids() {
        let body = json!({ "userId": user, "amount": 100, "paymentMethod": "TRANSFER" });
        charge(body).await.names("userId");
    }
    let body = json!({ "amount": 100, "paymentMethod": "TRANSFER" });
    charge(body.clone()).await.refused(401, "UNAUTHENTICATED");
    assert_eq!(charge(body).user(3).await.ok(200)["userId"], 3);
}

#[tokio::test]
async fn what_the_gateway_declines_is_not_charged_and_takes_no_room() {
    let app = start().await;
    let buyer = app.buyer(1);
    buyer.charge_with(1_000_000, json!("sandbox:decline")).await.refused(402, "PAYMENT_DECLINED");
    assert_eq!(buyer.balance().await, 0);
    assert!(app.all("/users/1/points/history").await.is_empty());
    buyer.charge(1_000_000).await.ok(200);
}

#[tokio::test]
async fn every_instrument_of_the_sandbox_does_what_its_description_says() {
    let app = start().await;
    for (user, (detail, status)) in (1..).zip([
        ("sandbox:approve", 200),
        ("sandbox:decline", 402),
        ("sandbox:slow", 200),
        ("sandbox:duplicate", 200),
        ("sandbox:lost", 504),
        ("sandbox:timeout", 504),
        ("sandbox:error", 502),
    ]) {
        let buyer = app.buyer(user);
        let charge = || buyer.charge_with(700, json!(detail)).key("k");
        assert_eq!(charge().await.status, status, "{detail}");
        assert_eq!(buyer.balance().await, if status == 200 { 700 } else { 0 }, "{detail}");
        // The same again finds out what became of it, if anything did.
        let again = charge().await;
        let found = if detail == "sandbox:lost" { 200 } else { status };
        assert_eq!((again.status, again.replayed()), (found, status == 200), "{detail}");
        assert_eq!(buyer.balance().await, if found == 200 { 700 } else { 0 }, "{detail}");
    }
}

#[tokio::test]
async fn the_route_that_charges_has_one_method_and_is_nobodys_balance() {
    let app = start().await;
    for method in ["GET", "POST", "OPTIONS", "DELETE"] {
        let answer = app.call(method.parse().unwrap(), "/points/charge").await;
        answer.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(answer.header("allow"), Some("PATCH"));
    }
}
