//! Logs have the name of the request in every line, and no secret and nothing personal in any.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::time::Duration;

use concert_tests::{FullSet, Log, PRICE, Service, eventually};
use serde_json::{Value, json};

/// What clients send that must never be read in a log.
const SECRETS: &[&str] = &[
    "Gertrude-Recognisable",
    "key-Recognisable",
    "tok_Recognisable",
    "bearer-Recognisable",
    "cookie-Recognisable",
    "body-Recognisable",
    "query-Recognisable",
];

const LOUD: [(&str, &str); 2] = [("LOG_FORMAT", "json"), ("RUST_LOG", "debug")];

/// Journeys that go well and journeys that go wrong, with secrets wherever a client can put one.
/// Answers the queue tokens that were given.
async fn storm(service: &Service) -> Vec<String> {
    let client = &service.client;
    let named = json!({ "name": "Gertrude-Recognisable" });
    client.post("/users").json(named).key("key-Recognisable-0").await.ok(201);
    let show = client.show(8).await;
    let mut tokens = Vec::new();
    for user in 1..=8 {
        let buyer = client.buyer(user);
        let detail = json!(format!("tok_Recognisable_{user}"));
        let charging = buyer.charge_with(PRICE, detail).key(&format!("key-Recognisable-{user}"));
        charging.header("Authorization", "Bearer bearer-Recognisable").await;
        let declined = buyer.charge_with(PRICE, json!("sandbox:decline"));
        declined.header("Cookie", "session=cookie-Recognisable").await;
        let buyer = buyer.rich(PRICE).await.admitted(show.concert).await;
        tokens.push(buyer.token.clone());
        let seat = show.seats[user as usize - 1];
        let held = buyer.held(show.schedule, seat).await;
        buyer.pay(held).key(&format!("key-Recognisable-p{user}")).await.ok(201);
        buyer.hold(show.schedule, seat).await;
        let raw = client.post("/payments").token(&buyer.token);
        raw.raw("{\"reservationId\":\"body-Recognisable\"").await;
        client.get("/concerts?limit=query-Recognisable").await;
        client.get("/queue/status").token("0123456789abcdef0123456789abcdef").await;
    }
    let last = client.get("/concerts").header("X-Request-Id", "the-last-request");
    last.await.ok(200);
    tokens
}

async fn finished(log: &Log) -> Vec<String> {
    eventually("the last request is logged", async || {
        let lines = log.lines();
        lines.iter().any(|line| line.contains("the-last-request")).then_some(lines)
    })
    .await
}

#[track_caller]
fn assert_silent(lines: &[String], secrets: impl Iterator<Item = String>) {
    for secret in secrets {
        let told = lines.iter().find(|line| line.contains(&secret));
        assert!(told.is_none(), "{secret:?} is in the log: {told:?}");
    }
}

#[tokio::test]
async fn no_line_has_a_secret_and_every_line_of_a_request_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &LOUD).await;
    let tokens = storm(&service).await;
    let lines = finished(&service.log()).await;
    assert_silent(&lines, SECRETS.iter().map(|text| (*text).to_owned()).chain(tokens));
    let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &parsed {
        for member in ["timestamp", "level", "message", "target"] {
            assert!(line[member].is_string(), "{line}");
        }
    }
    let answered: Vec<_> = parsed.iter().filter(|line| line["message"] == "answered").collect();
    assert!(answered.len() > 80, "{}", answered.len());
    for line in answered {
        assert!(line["span"]["request_id"].is_string(), "{line}");
        assert!(line["route"].is_string() && line["status"].is_number(), "{line}");
    }
}

#[tokio::test]
async fn on_the_full_set_neither_passwords_nor_tokens_are_logged() {
    let set = FullSet::shared().await;
    let service = Service::on(&set, &LOUD).await;
    let tokens = storm(&service).await;
    let lines = finished(&service.log()).await;
    let password = set.database().url().split('@').next().unwrap();
    let password = password.rsplit(':').next().unwrap().to_owned();
    assert!(password.len() > 3, "the server's user has a password");
    let secrets = SECRETS.iter().map(|text| (*text).to_owned());
    assert_silent(&lines, secrets.chain(tokens).chain([password]));
    tokio::time::timeout(Duration::from_secs(60), service.terminate()).await.unwrap();
}
