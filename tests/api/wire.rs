//! What no HTTP library would send.

use std::time::Duration;

use concert_tests::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::start;

/// Sends bytes as they are, says that no more will come, and reads to the end.
async fn told(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.address()).await.expect("it listens");
    // A service that has read enough may close before everything is sent.
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("it does not hang").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request with a JSON body and a head of one's own.
fn post(head: &str, body: &str) -> Vec<u8> {
    let always = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    format!("{always}{head}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_service_goes_on() {
    let app = start().await;
    let requests: [&[u8]; 12] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"EHLO concert\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /api/v1/concerts/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        &post("Content-Length: -1\r\n", "{}"),
        &post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
        &post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "0\r\n\r\n"),
        &post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    ];
    for request in requests {
        let answer = told(&app, request).await;
        let shown = request.escape_ascii();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{shown}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{shown}: {answer}");
    }
    let endless = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1_000_000));
    let answer = told(&app, endless.as_bytes()).await;
    // The rest of it may reset the connection before the refusal is read.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    app.get("//healthz").await.ok(200);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let app = start().await;
    for request in [
        post("Content-Length: 20\r\n", "{\"name\":"),
        post("Transfer-Encoding: chunked\r\n", "c\r\n{\"name\""),
        post("Transfer-Encoding: chunked\r\n", "zz\r\n{\"name\":\"x\"}\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "-1\r\n{}\r\n0\r\n\r\n"),
    ] {
        let answer = told(&app, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("\"field\":\"body\""), "{answer}");
    }
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    let app = start().await;
    let get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let made = post("Content-Length: 12\r\n", "{\"name\":\"x\"}");
    let chunked = post("Transfer-Encoding: chunked\r\n", "c\r\n{\"name\":\"x\"}\r\n0\r\n\r\n");
    let bad = post("Content-Length: 1\r\n", "{");
    let answer = told(&app, &[get.clone(), made, bad, chunked, get].concat()).await;
    let order: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|text| &text[..3]).collect();
    assert_eq!(order, ["200", "201", "400", "201", "200"], "{answer}");
}
