//! What pages, dashboards and alerts look at is what the service shows.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use concert_app::telemetry::metric_names;
use concert_tests::{PRICE, Service, eventually};
use serde_json::json;

/// Of what the embedded engine on its own, undisturbed, has nothing to show.
const ELSEWHERE: &[&str] = &[
    // MySQL's batches and connections
    "concert_batch_alone_total",
    "concert_batch_items",
    "concert_batch_refused_total",
    "concert_db_connection_wait_seconds",
    "concert_db_connections_in_use",
    // only when it happens
    "concert_requests_limited_total",
    "concert_requests_shed_total",
    "concert_worker_failures_total",
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Pages, dashboards and rules, with their texts.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = vec![project().join("docs/OPERATIONS.md"), project().join("README.md")];
    for folder in ["docker/grafana", "docker/prometheus"] {
        collect(&project().join(folder), &mut files);
    }
    let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(path).unwrap());
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// The metrics that a text names, without what a histogram adds.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let known: BTreeSet<&str> = metric_names().collect();
    let base = |word: &str| {
        let plain = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        plain.filter(|plain| known.contains(plain)).unwrap_or(word).to_owned()
    };
    let ours = |word: &&str| {
        ["concert_", "http_request"].iter().any(|start| word.starts_with(start))
            && ["_total", "_seconds", "_bucket", "_sum", "_count"].iter().any(|e| word.ends_with(e))
            || known.contains(word)
    };
    words.filter(ours).map(base).collect()
}

/// Somebody waits, somebody buys, somebody gives up, somebody is refused.
async fn journey(service: &Service) -> String {
    let client = &service.client;
    let show = client.show(3).await;
    client.policy(show.concert, json!({ "activeLimit": 1 })).await;
    let buyer = client.buyer(1).rich(2 * PRICE).await.admitted(show.concert).await;
    let next = client.buyer(2).join(show.concert).await;
    buyer.seats(show.schedule).await.ok(200);
    let cancelled = buyer.held(show.schedule, show.seats[1]).await;
    buyer.cancel(cancelled).await.ok(204);
    let held = buyer.held(show.schedule, show.seats[0]).await;
    buyer.pay(held).await.ok(201);
    assert_eq!(next.standing().await, "ACTIVE");
    next.hold(show.schedule, show.seats[0]).await.refused(409, "SEAT_NOT_AVAILABLE");
    eventually("the worker has sampled", async || {
        let shown = String::from_utf8(client.get("//metrics").await.bytes).unwrap();
        let sampled = |what: &str| shown.lines().any(|line| line.starts_with(what));
        let all = sampled("concert_consumer_lag") && sampled("concert_queue_admitted{");
        (all && sampled("concert_outbox_pending 0")).then_some(shown)
    })
    .await
}

#[tokio::test]
async fn every_metric_that_is_named_is_shown_with_its_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("METRICS_INTERVAL", "100ms"), ("CONSUME_INTERVAL", "100ms")];
    let service = Service::start(folder.path(), &variables).await;
    let shown = journey(&service).await;
    let known: BTreeSet<&str> = metric_names().collect();
    for (path, text) in sources() {
        for name in named(&text) {
            assert!(known.contains(&*name), "{}: there is no metric {name}", path.display());
        }
    }
    for name in known.iter().filter(|name| !ELSEWHERE.contains(name)) {
        assert!(shown.contains(&format!("# HELP {name} ")), "{name} is not shown:\n{shown}");
    }
    for line in shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(known.contains(name), "{name} has no meaning");
    }
}

#[tokio::test]
async fn a_journey_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("METRICS_INTERVAL", "100ms"), ("CONSUME_INTERVAL", "100ms")];
    let service = Service::start(folder.path(), &variables).await;
    let shown = journey(&service).await;
    for line in [
        "concert_holds_total 2",
        "concert_holds_cancelled_total 1",
        "concert_payments_total 1",
        "concert_refunds_total 0",
        "concert_queue_joins_total 3",
        "concert_queue_wait_observed_seconds_count 3",
        "concert_refusals_total{code=\"SEAT_NOT_AVAILABLE\"} 1",
        "concert_lock_attempts_total{result=\"acquired\"} 2",
        "concert_double_sales_prevented_total 0",
        "concert_queue_waiting{concert=\"other\"} 0",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no line {line}:\n{shown}");
    }
}
