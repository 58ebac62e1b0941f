//! Requests of strange shape, byte by byte: each is answered as a whole or refused as a whole, no
//! second request comes out of one, and nobody who is slow keeps others waiting.

use std::time::Duration;

use concert_tests::{Engines, TestApp, quick};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any limit that is tried here; only a hanging service needs it all.
const PATIENCE: Duration = Duration::from_secs(30);

async fn open(app: &TestApp, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(app.address()).await.expect("it listens");
    // A service that has read enough may close before everything is sent.
    stream.write_all(bytes).await.ok();
    stream
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.expect("it does not hang").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses that came back for these bytes, after which nothing more was sent.
async fn statuses(app: &TestApp, bytes: &[u8]) -> Vec<u16> {
    let mut stream = open(app, bytes).await;
    stream.shutdown().await.ok();
    let answer = rest(stream).await;
    let heads = answer.split("HTTP/1.1 ").skip(1);
    heads.map(|head| head[..3].parse().expect("a status")).collect()
}

/// A GET with further header lines.
fn get(lines: &str) -> Vec<u8> {
    format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{lines}\r\n").into_bytes()
}

/// A POST whose head ends with these lines, and what follows the head.
fn post(lines: &str, rest: &str) -> Vec<u8> {
    let always = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    format!("{always}{lines}\r\n{rest}").into_bytes()
}

const BODY: &str = r#"{"name":"x"}"#;
const CHUNKS: &str = "c\r\n{\"name\":\"x\"}\r\n0\r\n\r\n";
const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn no_second_request_comes_out_of_one_whose_length_is_in_doubt() {
    let app = TestApp::start(Engines::embedded().await).await;
    let ended = format!("0\r\n\r\n{SMUGGLED}");
    for (lines, rest) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &*ended),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &*ended),
        ("Content-Length: 12\r\nContent-Length: 12\r\n", BODY),
        ("Content-Length: 12\r\nContent-Length: 0\r\n", BODY),
        ("Content-Length: 12, 12\r\n", BODY),
        ("Content-Length: +12\r\n", BODY),
        ("Content-Length: 0xc\r\n", BODY),
        ("Content-Length: \r\n", BODY),
        ("Content-Length: 99999999999999999999999\r\n", BODY),
        ("Content-Length : 12\r\n", BODY),
        ("Transfer-Encoding: xchunked\r\n", CHUNKS),
        ("Transfer-Encoding: \u{b}chunked\r\n", CHUNKS),
        ("Transfer-Encoding: chunked, identity\r\n", CHUNKS),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
        ("Transfer-Encoding: identity\r\nContent-Length: 12\r\n", BODY),
        ("X: a\r\n Content-Length: 12\r\n", BODY),
        ("X: a\rContent-Length: 12\r\n", BODY),
        ("Transfer-Encoding: chunked\r\n", "c\n{\"name\":\"x\"}\n0\n\n"),
        ("Transfer-Encoding: chunked\r\n", " c\r\n{\"name\":\"x\"}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "c\r\n{\"name\":\"x\"}XX0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n{\"name\":\"x\"}\r\n0\r\n\r\n"),
    ] {
        // What stands behind it must not be taken for a request of its own.
        let bytes = [post(lines, rest), SMUGGLED.into()].concat();
        assert_eq!(statuses(&app, &bytes).await, [400], "{}", bytes.escape_ascii());
    }
    let old = b"POST /api/v1/users HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(statuses(&app, old).await, [400]);
    app.get("//healthz").await.ok(200);
}

#[tokio::test]
async fn what_is_strange_and_allowed_is_one_request() {
    let app = TestApp::start(Engines::embedded().await).await;
    let ended = b"GET /healthz HTTP/1.1\nHost: x\n\n";
    assert_eq!(statuses(&app, ended).await, [200], "a bare LF ends a line (RFC 9112, 2.2)");
    for (lines, rest) in [
        ("Transfer-Encoding: CHUNKED\r\n", CHUNKS),
        ("Transfer-Encoding: chunked\r\n", "c;a=b\r\n{\"name\":\"x\"}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "c\r\n{\"name\":\"x\"}\r\n0\r\nTrailer: x\r\n\r\n"),
        ("Content-Length: 12\r\n", BODY),
    ] {
        let bytes = [post(lines, rest), SMUGGLED.into()].concat();
        assert_eq!(statuses(&app, &bytes).await, [201, 200], "{}", bytes.escape_ascii());
    }
    let with_body = get(&format!("Content-Length: {}\r\n", SMUGGLED.len()));
    let bytes = [with_body, SMUGGLED.into()].concat();
    assert_eq!(statuses(&app, &bytes).await, [200], "the body of a GET is no request");
}

#[tokio::test]
async fn heads_are_bounded_in_lines_and_in_bytes() {
    let app = TestApp::start(Engines::embedded().await).await;
    let lines = |count: usize| (0..count).map(|n| format!("X-{n}: a\r\n")).collect::<String>();
    assert_eq!(statuses(&app, &get(&lines(95))).await, [200]);
    assert_eq!(statuses(&app, &get(&lines(96))).await, [431]);
    let long = |bytes: usize| get(&format!("X: {}\r\n", "a".repeat(bytes)));
    assert_eq!(statuses(&app, &long(100_000)).await, [200]);
    // The rest of it may reset the connection before the refusal is read.
    let refused = statuses(&app, &long(300_000)).await;
    assert!(refused.is_empty() || refused == [431], "{refused:?}");
    let line = |bytes: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(bytes)).into_bytes()
    };
    assert_eq!(statuses(&app, &line(60_000)).await, [404]);
    assert_eq!(statuses(&app, &line(70_000)).await, [400]);
}

#[tokio::test]
async fn what_a_header_says_does_not_come_back_in_a_refusal() {
    let app = TestApp::start(Engines::embedded().await).await;
    for method in ["TRACE", "CONNECT", "PROPFIND"] {
        let request =
            format!("{method} /healthz HTTP/1.1\r\nHost: x\r\nCookie: c-Recognisable\r\n\r\n");
        let mut stream = open(&app, request.as_bytes()).await;
        stream.shutdown().await.ok();
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(!answer.contains("Recognisable"), "{answer}");
    }
}

#[tokio::test]
async fn who_is_slow_is_cut_off_and_keeps_nobody_waiting() {
    // One worker for all of them.
    let app = TestApp::with(Engines::embedded().await, quick()).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(open(&app, b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await);
        slow.push(open(&app, &post("Content-Length: 1000\r\n", "{\"name\":")).await);
        slow.push(open(&app, &post("Transfer-Encoding: chunked\r\n", "c\r\n{")).await);
    }
    for _ in 0..20 {
        app.get("/concerts").await.ok(200);
        app.post("/users").json(serde_json::json!({ "name": "x" })).await.ok(201);
    }
    let ends = futures::future::join_all(slow.into_iter().map(rest)).await;
    for (index, answer) in ends.iter().enumerate() {
        // A head has five seconds, a body ten.
        let wanted = if index % 3 == 0 { "HTTP/1.1 408 " } else { "HTTP/1.1 400 " };
        assert!(answer.starts_with(wanted), "{index}: {answer}");
    }
}

#[tokio::test]
async fn an_upload_that_never_ends_ends_with_its_answer() {
    let app = TestApp::start(Engines::embedded().await).await;
    let head = |line: &str, kind: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n\
             Transfer-Encoding: chunked\r\n\r\nc\r\n{{\"name\":"
        )
    };
    for (line, kind, status) in [
        ("POST /nowhere", "application/json", 404),
        ("POST /api/v1/users", "text/plain", 415),
        ("DELETE /api/v1/queue/tokens", "application/json", 400),
        ("PUT /api/v1/concerts", "application/json", 405),
        ("OPTIONS /api/v1/users", "application/json", 405),
        ("GET /healthz", "application/json", 200),
    ] {
        let stream = open(&app, head(line, kind).as_bytes()).await;
        let answer = rest(stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
}
