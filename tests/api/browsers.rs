use std::time::Duration;

use concert_app::Config;
use concert_app::config::{Browsers, Origins};
use concert_tests::{Answer, Client, quick};
use reqwest::Method;
use serde_json::json;

use crate::{start, start_with};

const SHOP: &str = "https://shop.example";

#[tokio::test]
async fn every_answer_tells_browsers_to_keep_to_the_rules() {
    let app = start().await;
    let answers = [
        app.get("/concerts").await,
        app.get("/nowhere").await,
        app.get("/reservations/1").await,
        app.post("/admin/concerts").raw("{").await,
        app.post("/admin/concerts").json(json!({ "title": "t" })).await,
        app.call(Method::PUT, "/concerts").await,
        app.call(Method::HEAD, "/concerts").await,
        app.get("//docs").await,
        app.get("//docs/swagger-ui-bundle.js").await,
        app.get("//healthz").await,
        app.get("//metrics").await,
    ];
    for answer in answers {
        answer.has_rules_for_browsers();
        assert!(answer.header("cache-control").is_some(), "{answer:?}");
        for name in ["server", "x-powered-by", "strict-transport-security"] {
            assert_eq!(answer.header(name), None, "{name} of {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_explorer_needs_no_more_than_its_policy_allows() {
    let app = start().await;
    let page = app.get("//docs").await;
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.contains("script-src 'self';"), "{policy}");
    let html = String::from_utf8(page.bytes).expect("a page");
    let scripts: Vec<_> = html.split("<script").skip(1).collect();
    assert!(!scripts.is_empty());
    for script in scripts {
        assert!(script.starts_with(" src=\"/docs/"), "no script of the page itself: {script}");
    }
    assert!(!html.contains("<style") && !html.contains("http://") && !html.contains("https://"));
}

#[tokio::test]
async fn personal_answers_are_kept_by_nobody() {
    let app = start().await;
    for path in
        ["/points/7", "/users/7/reservations", "/users/7/payments", "/users/7/points/history"]
    {
        let answer = app.get(path).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    }
    let show = app.show(1).await;
    let buyer = app.buyer(7).admitted(show.concert).await;
    assert_eq!(buyer.status().await.header("cache-control"), Some("no-store"));
}

async fn preflight(app: &Client, origin: &str) -> Answer {
    app.call(Method::OPTIONS, "/reservations")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,concert-queue-token,content-type")
        .await
}

#[tokio::test]
async fn other_sites_are_told_nothing_unless_configured() {
    let app = start().await;
    for answer in [preflight(&app, SHOP).await, app.get("/concerts").header("Origin", SHOP).await] {
        assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
    }
}

#[tokio::test]
async fn pages_of_a_configured_site_may_call() {
    let browsers = Browsers {
        cors_allowed_origins: Some(Origins(vec![SHOP.to_owned()])),
        hsts_max_age: Some(Duration::from_secs(3_600)),
    };
    let app = start_with(Config { browsers, ..quick() }).await;
    let allowed = preflight(&app, SHOP).await;
    assert!(matches!(allowed.status, 200 | 204), "{allowed:?}");
    assert_eq!(allowed.header("access-control-allow-origin"), Some(SHOP));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let headers = allowed.header("access-control-allow-headers").expect("headers");
    assert!(headers.to_ascii_lowercase().contains("concert-queue-token"), "{headers}");
    let read = app.get("/concerts").header("Origin", SHOP).await;
    assert_eq!(read.header("access-control-allow-origin"), Some(SHOP));
    let shown = read.header("access-control-expose-headers").expect("headers");
    assert!(shown.to_ascii_lowercase().contains("retry-after"), "{shown}");
    assert_eq!(read.header("strict-transport-security"), Some("max-age=3600"));
    for stranger in ["https://evil.example", "http://shop.example", "null"] {
        let refused = preflight(&app, stranger).await;
        assert_eq!(refused.header("access-control-allow-origin"), None, "{stranger}");
        let read = app.get("/concerts").header("Origin", stranger).await;
        assert_eq!(read.header("access-control-allow-origin"), None, "{stranger}");
    }
}
