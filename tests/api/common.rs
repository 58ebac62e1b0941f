use concert_app::Config;
use concert_tests::{TestApp, quick};
use serde_json::{Value, json};

use crate::engines;

/// A service of its own.
pub async fn start() -> TestApp {
    start_with(quick()).await
}

/// A service of its own, configured.
pub async fn start_with(config: Config) -> TestApp {
    TestApp::with(engines().await, config).await
}

/// A service of its own, with the demo data.
pub async fn start_with_demo() -> TestApp {
    let engines = engines().await;
    let data = concert_app::demo::dataset(engines.now()).expect("the demo data");
    assert!(engines.ports.seeds.load_if_empty(data).await.expect("the store takes it"));
    TestApp::start(engines).await
}

/// An id out of an answer.
pub fn id(value: &Value) -> i64 {
    value.as_i64().expect("an id")
}

/// What is no id, as it stands in a path.
pub const NO_IDS: [&str; 6] =
    ["0", "-1", "9007199254740992", "1000000000000000000000000000000", "1.5", "one"];

/// What is no id, as it stands in a body.
pub fn no_ids() -> Vec<Value> {
    let huge = serde_json::from_str("1e30").expect("a number");
    vec![json!(0), json!(-1), json!(1_i64 << 53), huge, json!(1.5), json!("1"), json!([1])]
}
