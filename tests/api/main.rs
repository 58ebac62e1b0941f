//! The API as a client sees it, one file per slice. Every answer is also checked against the
//! OpenAPI document, by the client.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

mod admin;
mod concert;
mod errors;
mod events;
mod health;
mod idempotency;
mod journey;
mod payment;
mod point;
mod queue;
mod reservation;
mod user;
mod wire;

use concert_tests::{Engines, TestApp};
use serde_json::{Value, json};

/// A service on the embedded engine.
async fn start() -> TestApp {
    TestApp::start(Engines::embedded().await).await
}

/// A service on the embedded engine, with the demo data.
async fn start_with_demo() -> TestApp {
    let engines = Engines::embedded().await;
    let data = concert_app::demo::dataset(engines.now()).expect("the demo data");
    assert!(engines.ports.seeds.load_if_empty(data).await.expect("the store takes it"));
    TestApp::start(engines).await
}

/// An id out of an answer.
fn id(value: &Value) -> i64 {
    value.as_i64().expect("an id")
}

/// What is no id, as it stands in a path.
const NO_IDS: [&str; 6] =
    ["0", "-1", "9007199254740992", "1000000000000000000000000000000", "1.5", "one"];

/// What is no id, as it stands in a body.
fn no_ids() -> Vec<Value> {
    let huge = serde_json::from_str("1e30").expect("a number");
    vec![json!(0), json!(-1), json!(1_i64 << 53), huge, json!(1.5), json!("1"), json!([1])]
}
