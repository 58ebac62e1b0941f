use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::id::IdBlocks;
use concert_domain::{Error, IdBlock, IdKind, Result};
use concert_tests::{Call, TestApp};
use reqwest::Method;
use serde_json::json;

use crate::{engines, start};

/// Every route that takes a JSON body and no queue token.
fn with_bodies(app: &TestApp) -> [Call; 10] {
    [
        app.post("/queue/tokens").user(1),
        app.patch("/points/charge").user(1),
        app.post("/users"),
        app.post("/admin/concerts"),
        app.patch("/admin/concerts/1"),
        app.post("/admin/concerts/1/schedules"),
        app.patch("/admin/schedules/1"),
        app.post("/admin/schedules/1/seats"),
        app.patch("/admin/seats/1"),
        app.patch("/admin/concerts/1/queue"),
    ]
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_on_every_route() {
    let app = start().await;
    let malformed: [&[u8]; 9] = [
        b"",
        b"{",
        b"{\"a\":}",
        b"nonsense",
        b"[]",
        b"null",
        b"{\"title\":\"\xff\xfe\"}",
        b"{} {}",
        b"\x00\x01",
    ];
    for body in malformed {
        for call in with_bodies(&app) {
            call.raw(body).await.refused(400, "INVALID_INPUT");
        }
    }
}

#[tokio::test]
async fn a_body_nested_without_end_is_refused() {
    let app = start().await;
    let deep = format!("{{\"title\":{}", "[".repeat(20_000));
    app.post("/admin/concerts").raw(deep).await.refused(400, "INVALID_INPUT");
    let deep = format!("{{\"title\":\"t\",\"x\":{}1{}}}", "[".repeat(900), "]".repeat(900));
    app.post("/admin/concerts").raw(deep).await.refused(400, "INVALID_INPUT");
}

#[tokio::test]
async fn a_member_given_twice_is_named() {
    let app = start().await;
    let body = r#"{"userId":1,"amount":100,"amount":100000,"paymentMethod":"CARD"}"#;
    app.patch("/points/charge").raw(body).await.names("amount");
    app.post("/admin/concerts").raw(r#"{"title":"a","title":"b"}"#).await.names("title");
    let body = r#"{"mode":"OPEN","mode":"HOLD"}"#;
    let concert = app.concert().await;
    app.patch(format!("/admin/concerts/{concert}/queue")).raw(body).await.names("mode");
    assert_eq!(app.buyer(1).balance().await, 0);
}

#[tokio::test]
async fn unknown_members_are_ignored() {
    let app = start().await;
    let body = json!({ "title": "t", "colour": { "deep": [1, 2, 3] }, "version": 99 });
    assert_eq!(app.post("/admin/concerts").json(body).await.ok(201)["version"], 1);
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_on_every_route() {
    let app = start().await;
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"] {
        for call in with_bodies(&app) {
            call.typed(media, "{}").await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        }
    }
    let body = r#"{"title":"t"}"#;
    let call = app.post("/admin/concerts");
    call.typed("application/json; charset=utf-8", body).await.ok(201);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let app = start().await;
    let padded = |kib: usize| format!(r#"{{"title":"t","x":"{}"}}"#, "x".repeat(kib * 1024));
    app.post("/admin/concerts").raw(padded(63)).await.ok(201);
    app.post("/admin/concerts").raw(padded(65)).await.refused(413, "PAYLOAD_TOO_LARGE");
    app.patch("/points/charge").raw(padded(10_000)).await.refused(413, "PAYLOAD_TOO_LARGE");
    let seats = || app.post("/admin/schedules/1/seats");
    seats().raw(padded(3_000)).await.refused(400, "INVALID_INPUT");
    seats().raw(padded(5_000)).await.refused(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn an_unknown_route_is_a_404_of_its_own() {
    let app = start().await;
    for path in ["/nowhere", "//", "//api", "//api/v2/concerts", "/concerts/1/seats/9", "/queue"] {
        app.get(path).await.refused(404, "ROUTE_NOT_FOUND");
    }
    app.post("/nowhere").raw("{").await.refused(404, "ROUTE_NOT_FOUND");
}

#[tokio::test]
async fn a_wrong_method_tells_which_are_right() {
    let app = start().await;
    for (method, path, allowed) in [
        (Method::PUT, "/concerts", vec!["GET"]),
        (Method::GET, "/queue/tokens", vec!["DELETE", "POST"]),
        (Method::DELETE, "/payments", vec!["POST"]),
        (Method::POST, "/reservations/1", vec!["DELETE", "GET"]),
        (Method::POST, "/concerts/ranking", vec!["GET"]),
        (Method::POST, "/admin/concerts/1/queue", vec!["GET", "PATCH"]),
        (Method::POST, "//healthz", vec!["GET"]),
    ] {
        let answer = app.call(method, path).await;
        answer.refused(405, "METHOD_NOT_ALLOWED");
        let allow = answer.header("allow").expect("a 405 has Allow");
        let told: Vec<_> = allow.split(',').map(str::trim).collect();
        for method in allowed {
            assert!(told.contains(&method), "{path}: {allow}");
        }
    }
}

#[tokio::test]
async fn a_user_in_the_header_must_be_one() {
    let app = start().await;
    for bad in ["0", "-1", "me", "9007199254740992"] {
        let call = app.get("/reservations/1").header("X-User-Id", bad);
        let answer = call.await;
        assert!(matches!(answer.status, 400 | 401), "{answer:?}");
    }
    app.get("/reservations/1").await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn who_is_calling_is_asked_before_what_is_asked() {
    let app = start().await;
    app.get("/reservations/zero").await.refused(401, "UNAUTHENTICATED");
    app.post("/payments/zero/refund").await.refused(401, "UNAUTHENTICATED");
    app.post("/reservations").token("garbage").raw("{").await.refused(401, "TOKEN_NOT_FOUND");
}

/// Counters that answer as they are told.
struct Broken(Error);

#[async_trait]
impl IdBlocks for Broken {
    async fn take(&self, _: IdKind, _: u32) -> Result<IdBlock> {
        Err(self.0.clone())
    }
}

async fn broken(error: Error) -> TestApp {
    let mut engines = engines().await;
    engines.ports.ids = Arc::new(Broken(error));
    TestApp::start(engines).await
}

#[tokio::test]
async fn a_dependency_that_is_down_is_a_503_with_a_time_to_try_again() {
    let app = broken(Error::unavailable("the store")).await;
    app.buyer(1).charge(100).await.refused(503, "SERVICE_UNAVAILABLE");
    app.get("/concerts").await.ok(200);
}

#[tokio::test]
async fn a_bug_is_a_500_that_gives_nothing_away() {
    let app = broken(Error::bug("password=hunter2")).await;
    let answer = app.buyer(1).charge(100).await;
    answer.refused(500, "INTERNAL");
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("hunter2"));
}
