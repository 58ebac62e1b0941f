//! What answers of every kind give away: the rules for browsers in each, and nothing of the inside.

use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::id::IdBlocks;
use concert_domain::{Error, IdBlock, IdKind, Result};
use concert_tests::{Answer, Engines, TestApp};
use reqwest::Method;
use serde_json::json;

/// Counters that answer as they are told.
struct Broken(Error);

#[async_trait]
impl IdBlocks for Broken {
    async fn take(&self, _: IdKind, _: u32) -> Result<IdBlock> {
        Err(self.0.clone())
    }
}

async fn broken(error: Error) -> Answer {
    let mut engines = Engines::embedded().await;
    engines.ports.ids = Arc::new(Broken(error));
    let app = TestApp::start(engines).await;
    app.post("/users").json(json!({ "name": "x" })).await
}

/// One answer of every status that can be had without waiting.
async fn answers() -> Vec<Answer> {
    let app = TestApp::start(Engines::embedded().await).await;
    let show = app.show(2).await;
    let buyer = app.buyer(7).admitted(show.concert).await;
    let seats = app.get(format!("/schedules/{}/seats", show.schedule)).token(&buyer.token).await;
    let tag = seats.header("etag").expect("a tag").to_owned();
    let again = app.get(format!("/schedules/{}/seats", show.schedule)).token(&buyer.token);
    let again = again.header("If-None-Match", &tag).await;
    let held = buyer.hold(show.schedule, show.seats[0]).await;
    let own = held.body["reservationId"].clone();
    let said = format!(r#"{{"title":"{}"}}"#, "x".repeat(70_000));
    vec![
        seats,
        held,
        again,
        app.post("/users").raw("{").await,
        app.get("/queue/status").token("nonsense").await,
        buyer.pay(own.as_i64().expect("an id")).await,
        app.buyer(8).with_token(&buyer.token).hold(show.schedule, show.seats[1]).await,
        app.get("/reservations/4711").user(7).await,
        app.get("/nowhere").await,
        app.get("/concerts/%27%20OR%201=1--").await,
        app.call(Method::PUT, "/concerts").await,
        buyer.hold(show.schedule, show.seats[0]).await,
        app.post("/admin/concerts").raw(said).await,
        app.post("/users").typed("text/plain", "x").await,
        app.delete("/queue/tokens").token(&buyer.token).await,
        app.get("//healthz").await,
        app.get("//readyz").await,
        app.get("//metrics").await,
        app.get("//docs").await,
        app.get("//openapi.json").await,
        broken(Error::unavailable("the store")).await,
        broken(Error::bug("panicked at src/secret.rs:7: SELECT password")).await,
    ]
}

#[tokio::test]
async fn every_kind_of_answer_has_the_rules_for_browsers_and_nothing_of_the_inside() {
    let answers = answers().await;
    let mut seen: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    seen.sort_unstable();
    seen.dedup();
    let wanted = [200, 201, 204, 304, 400, 401, 402, 403, 404, 405, 409, 413, 415, 500, 503];
    assert_eq!(seen, wanted);
    for answer in answers {
        answer.has_rules_for_browsers();
        for name in ["server", "x-powered-by", "via", "access-control-allow-origin"] {
            assert_eq!(answer.header(name), None, "{name} of {answer:?}");
        }
        if answer.status >= 400 {
            let text = String::from_utf8_lossy(&answer.bytes);
            for inside in ["SELECT", "panicked", ".rs:", "password", "sqlite", "diesel"] {
                assert!(!text.contains(inside), "{inside:?} in {answer:?}");
            }
        }
    }
}
