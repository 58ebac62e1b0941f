use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::health::Probe;
use concert_domain::{Error, Result};
use concert_tests::TestApp;

use crate::{engines, start};

struct Dead;

#[async_trait]
impl Probe for Dead {
    fn name(&self) -> &'static str {
        "the-dead-one"
    }

    async fn check(&self) -> Result<()> {
        Err(Error::unavailable("the dead one"))
    }
}

#[tokio::test]
async fn a_service_that_runs_is_alive_and_ready() {
    let app = start().await;
    app.get("//healthz").await.ok(200);
    let ready = app.get("//readyz").await.ok(200);
    assert!(!ready["checks"].as_array().expect("each dependency").is_empty(), "{ready}");
}

#[tokio::test]
async fn a_dependency_that_is_down_is_named_and_the_service_is_not_ready() {
    let mut engines = engines().await;
    engines.ports.probes.push(Arc::new(Dead));
    let app = TestApp::start(engines).await;
    app.get("//healthz").await.ok(200);
    let answer = app.get("//readyz").await;
    assert!(answer.header("retry-after").is_some());
    let ready = answer.ok(503);
    assert!(ready.to_string().contains("the-dead-one"), "{ready}");
}

#[tokio::test]
async fn metrics_are_in_the_text_format_of_prometheus() {
    let app = start().await;
    app.get("/concerts").await.ok(200);
    let metrics = app.get("//metrics").await;
    assert!(metrics.header("content-type").is_some_and(|t| t.starts_with("text/plain")));
    let text = String::from_utf8(metrics.bytes.clone()).unwrap();
    assert!(text.contains("# TYPE"), "{text}");
    assert!(text.contains("/api/v1/concerts"), "{text}");
}

#[tokio::test]
async fn the_explorer_is_served_from_the_binary_itself() {
    let app = start().await;
    let page = app.get("//docs/").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.header("content-type").is_some_and(|t| t.starts_with("text/html")));
    let text = String::from_utf8(page.bytes).unwrap();
    assert!(!text.contains("https://"), "the explorer needs nothing from outside");
    for asset in ["swagger-ui-bundle.js", "swagger-ui.css"] {
        let answer = app.get(format!("//docs/{asset}")).await;
        assert_eq!(answer.status, 200, "{asset}");
    }
    let answer = app.get("//docs").await;
    assert_eq!(answer.status, 200, "/docs leads to the page: {answer:?}");
}

#[tokio::test]
async fn every_answer_forbids_to_guess_its_type() {
    let app = start().await;
    for path in ["/concerts", "/nowhere", "//healthz"] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
    }
}
