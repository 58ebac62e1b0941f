//! The service with a payment gateway over HTTP: kills, faults, traces, and nothing told that must not be.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

// The bridge of the adapter's own tests, so that there is one.
#[path = "../crates/adapter-gateway/tests/bridge/mod.rs"]
mod bridge;

use std::path::Path;

use bridge::{Bridge, Fault, SECRET};
use concert_tests::{Client, Service, concert, eventually};
use futures::future::join_all;
use serde_json::json;

const CARD: &str = "4111 1111 1111 1111";

async fn serve(folder: &Path, bridge: &Bridge) -> Service {
    let variables = [
        ("GATEWAY_URL", bridge.url.as_str()),
        ("GATEWAY_SECRET", SECRET),
        ("GATEWAY_TIMEOUT", "2s"),
        ("GATEWAY_GRACE", "2500ms"),
        ("RECONCILE_INTERVAL", "100ms"),
        ("RATE_LIMIT", "off"),
        ("RUST_LOG", "debug"),
    ];
    Service::start(folder, &variables).await
}

/// Points are what the gateway has taken, and all room is free.
async fn assert_books(client: &Client, bridge: &Bridge, user: i64) {
    let buyer = client.buyer(user);
    let lines = client.all(&format!("/users/{user}/points/history")).await;
    let sum: i64 = lines.iter().map(|line| line["amount"].as_i64().unwrap()).sum();
    assert_eq!((buyer.balance().await, sum), (bridge.money_of(user), sum), "user {user}");
    let room = 1_000_000 - sum;
    buyer.charge_with(room, json!("sandbox:decline")).await.refused(402, "PAYMENT_DECLINED");
}

/// Waits until no charge of the user is open: while one is, its room is not free.
async fn settled(client: &Client, user: i64) {
    let buyer = client.buyer(user);
    eventually("the charges are settled", async || {
        let room = 1_000_000 - buyer.balance().await;
        let declined = buyer.charge_with(room, json!("sandbox:decline")).await;
        (declined.status == 402).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_kill_after_the_money_was_taken_loses_no_points() {
    let (folder, bridge) = (tempfile::tempdir().unwrap(), Bridge::start().await);
    let service = serve(folder.path(), &bridge).await;
    bridge.fail([Fault::HangAfter]);
    let client = service.client.clone();
    let charging = tokio::spawn(client.buyer(1).charge(50_000).attempt());
    eventually("the gateway has taken it", async || (bridge.money_of(1) > 0).then_some(())).await;
    service.kill().await;
    charging.await.unwrap().unwrap_err();

    let service = serve(folder.path(), &bridge).await;
    eventually("the points", async || {
        (service.client.buyer(1).balance().await == 50_000).then_some(())
    })
    .await;
    assert_books(&service.client, &bridge, 1).await;
    assert_eq!(service.terminate().await, Some(0));
}

#[tokio::test]
async fn what_never_arrived_is_voided_and_its_room_is_free_again() {
    let (folder, bridge) = (tempfile::tempdir().unwrap(), Bridge::start().await);
    let service = serve(folder.path(), &bridge).await;
    let buyer = service.client.buyer(1);
    bridge.fail([Fault::Status(500); 3]);
    buyer.charge(1_000_000).await.refused(502, "PAYMENT_GATEWAY_ERROR");
    buyer.charge(100).await.refused(409, "POINT_LIMIT_EXCEEDED");
    settled(&service.client, 1).await;
    assert!(bridge.seen().iter().any(|seen| seen.line.ends_with("/void")));
    assert_books(&service.client, &bridge, 1).await;
    let shown = String::from_utf8(service.client.get("//metrics").await.bytes).unwrap();
    for line in [
        "concert_gateway_calls_total{call=\"charge\",result=\"failed\"} 1",
        "concert_gateway_calls_total{call=\"outcome\",result=\"unknown\"} 1",
        "concert_gateway_calls_total{call=\"void\",result=\"voided\"} 1",
        "concert_charges_reconciled_total{result=\"declined\"} 1",
        "concert_charges_reconciled_total{result=\"waiting\"} 0",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no line {line}:\n{shown}");
    }
}

/// Charges of many users, with every fault and in the middle of it a kill: in the end every user has
/// the points that were paid for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_faults_and_a_kill_leave_books_that_agree() {
    const USERS: i64 = 12;
    let (folder, bridge) = (tempfile::tempdir().unwrap(), Bridge::start().await);
    let service = serve(folder.path(), &bridge).await;
    let faults = [
        Fault::CutAfter,
        Fault::Status(503),
        Fault::HangAfter,
        Fault::Garbage,
        Fault::OtherAmount,
        Fault::Pending,
        Fault::Status(400),
        Fault::OtherKey,
        Fault::Huge,
    ];
    bridge.fail(faults.into_iter().cycle().take(60));
    let client = service.client.clone();
    let charges =
        join_all((1..=USERS).flat_map(|user| (0..4).map(move |n| (user, n))).map(|(user, n)| {
            let charge = client.buyer(user).charge(10_000 + n).key(&format!("key-{n}"));
            async move { charge.attempt().await.ok() }
        }));
    let kill = async {
        eventually("half of them have arrived", async || (bridge.seen().len() >= 24).then_some(()))
            .await;
        service.kill().await;
    };
    tokio::join!(charges, kill);
    bridge.heal();

    let service = serve(folder.path(), &bridge).await;
    // Who knows no better sends it again.
    let (client, bridge) = (&service.client, &bridge);
    join_all((1..=USERS).map(|user| async move {
        client.buyer(user).charge(10_000).key("key-0").attempt().await.ok();
        settled(client, user).await;
        assert_books(client, bridge, user).await;
    }))
    .await;
    assert_eq!(service.terminate().await, Some(0));
}

#[tokio::test]
async fn the_gateway_is_told_the_request_and_its_place_in_a_trace() {
    let (folder, bridge) = (tempfile::tempdir().unwrap(), Bridge::start().await);
    let service = serve(folder.path(), &bridge).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let charge = service.client.buyer(1).charge_with(500, json!("tok_visa"));
    let charge = charge.header("X-Request-Id", "the-charge").header("traceparent", parent);
    charge.await.ok(200);
    let seen = bridge.seen().pop().unwrap();
    assert_eq!(seen.header("x-request-id"), Some("the-charge"));
    assert_eq!(seen.header("traceparent"), Some(parent));
    assert_eq!(seen.body["detail"], "tok_visa");
}

/// What was written into a folder, as text.
fn written(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect()
}

#[tokio::test]
async fn a_card_number_is_nowhere_and_the_secret_in_no_line() {
    let (folder, bridge) = (tempfile::tempdir().unwrap(), Bridge::start().await);
    let service = serve(folder.path(), &bridge).await;
    let digits = CARD.replace(' ', "");
    for detail in [CARD.to_owned(), digits.clone(), CARD.replace(' ', "."), format!("pan-{digits}")]
    {
        let refused = service.client.buyer(1).charge_with(500, json!(detail)).key("k").await;
        refused.names("paymentDetail");
        let answer = String::from_utf8_lossy(&refused.bytes).into_owned();
        assert!(!answer.contains("1111"), "{answer}");
    }
    // A member that nobody asked for goes nowhere either.
    let body = json!({ "userId": 1, "amount": 500, "paymentMethod": "CARD",
                       "paymentDetail": "tok_Recognisable", "cardNumber": digits });
    service.client.patch("/points/charge").json(body).await.ok(200);
    bridge.fail([Fault::Status(401), Fault::Garbage]);
    service.client.buyer(1).charge_with(500, json!("tok_Recognisable")).await;
    let log = service.log();
    assert_eq!(service.terminate().await, Some(0));
    let lines = log.lines().join("\n");
    let store = written(folder.path());
    assert!(store.contains("tok_Recognisable"), "the store is not where it is looked for");
    let sent: String = bridge.seen().iter().map(|seen| seen.body.to_string()).collect();
    for (where_from, text) in [("log", &lines), ("store", &store), ("gateway", &sent)] {
        assert!(!text.contains(&digits) && !text.contains(CARD), "a card number: {where_from}");
    }
    assert!(!lines.contains("tok_Recognisable") && !lines.contains(SECRET), "{lines}");
}

#[tokio::test]
async fn where_strangers_can_connect_the_sandbox_must_be_asked_for() {
    let jwt = [("AUTH_MODE", "jwt"), ("JWT_SECRET", "an example of a secret for tests")];
    let trusted = [("AUTH_MODE", "trusted"), ("AUTH_TRUSTED_ANYWHERE", "true")];
    for callers in [jwt, trusted] {
        let variables = [&[("HTTP_ADDR", "0.0.0.0:0")][..], &callers].concat();
        let output = concert(&["serve"], &variables).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("GATEWAY_URL") && told.contains("GATEWAY_SANDBOX=true"), "{told}");
        assert_eq!(told.trim().lines().count(), 1, "{told}");
    }
}
