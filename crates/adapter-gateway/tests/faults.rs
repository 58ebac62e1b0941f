//! What the gateway over HTTP makes of a bridge that fails.
// Test code: a failure is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bridge;

use std::time::Duration;

use bridge::{Bridge, Fault, SECRET};
use concert_adapter_gateway::{HttpGateway, Options};
use concert_domain::event::Origin;
use concert_domain::point::GatewayVerdict::{self, Approved, Declined};
use concert_domain::point::{ChargeIntent, PaymentGateway};
use concert_domain::{Error, Result, Won};
use concert_testkit::gateway::intent_with;

const PATIENT: Duration = Duration::from_secs(30);

fn gateway(url: &str, secret: &str, deadline: Duration) -> HttpGateway {
    let options = Options { url: url.to_owned(), secret: secret.into(), deadline };
    HttpGateway::new(options).unwrap()
}

/// A bridge, a gateway that speaks with it, and a charge.
async fn pair(deadline: Duration) -> (Bridge, HttpGateway, ChargeIntent) {
    let bridge = Bridge::start().await;
    let gateway = gateway(&bridge.url, SECRET, deadline);
    (bridge, gateway, intent_with("tok_visa"))
}

async fn charge(gateway: &HttpGateway, intent: &ChargeIntent) -> Result<GatewayVerdict> {
    gateway.charge(intent, &Origin::default()).await
}

#[tokio::test]
async fn what_is_sent_is_what_the_protocol_says() {
    let (bridge, gateway, intent) = pair(PATIENT).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let origin = Origin {
        request_id: Some("the-request".to_owned()),
        traceparent: Some(parent.to_owned()),
        tracestate: Some("vendor=1".to_owned()),
    };
    gateway.charge(&intent, &origin).await.unwrap();
    gateway.outcome(&intent).await.unwrap();
    gateway.void(&intent).await.unwrap();
    let key = intent.id.to_string();
    let seen = bridge.seen();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let paths = ["POST /v1/charges".to_owned(), format!("GET /v1/charges/{key}")];
    assert_eq!(lines, [&*paths[0], &*paths[1], &*format!("POST /v1/charges/{key}/void")]);
    assert!(seen.iter().all(|seen| seen.header("idempotency-key") == Some(&key)));
    let expected = serde_json::json!({
        "key": key,
        "userId": 7,
        "amount": 500,
        "currency": "KRW",
        "method": "CARD",
        "detail": "tok_visa",
    });
    assert_eq!(seen[0].body, expected);
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("x-request-id"), Some("the-request"));
    assert_eq!(seen[0].header("traceparent"), Some(parent));
    assert_eq!(seen[0].header("tracestate"), Some("vendor=1"));
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_takes_nothing() {
    let (bridge, _, intent) = pair(PATIENT).await;
    let stranger = gateway(&bridge.url, "a secret that somebody has guess", PATIENT);
    assert_eq!(charge(&stranger, &intent).await, Err(Error::GatewayFailed));
    assert_eq!(stranger.outcome(&intent).await, Err(Error::GatewayFailed));
    assert_eq!(stranger.void(&intent).await, Err(Error::GatewayFailed));
    assert_eq!((bridge.taken(intent.id), bridge.seen().len()), (Won::ZERO, 0));
}

#[tokio::test]
async fn what_fails_for_a_moment_is_tried_again() {
    let (bridge, gateway, _) = pair(PATIENT).await;
    for status in [500, 502, 503, 429, 408] {
        let intent = intent_with("tok_visa");
        bridge.fail([Fault::Status(status), Fault::Status(status)]);
        assert_eq!(charge(&gateway, &intent).await, Ok(Approved), "{status}");
        assert_eq!(bridge.taken(intent.id), Won::of(500));
    }
}

#[tokio::test]
async fn tries_are_bounded() {
    let (bridge, gateway, intent) = pair(PATIENT).await;
    bridge.fail([Fault::Status(503); 3]);
    assert_eq!(charge(&gateway, &intent).await, Err(Error::GatewayFailed));
    assert_eq!(bridge.seen().len(), 3);
    assert_eq!(gateway.outcome(&intent).await, Ok(None));
}

#[tokio::test]
async fn what_will_not_change_is_not_tried_again() {
    let (bridge, gateway, _) = pair(PATIENT).await;
    let faults = [400, 401, 403, 404, 409, 422].map(Fault::Status);
    for (tries, fault) in (1..).zip(faults.into_iter().chain([Fault::Redirect])) {
        bridge.fail([fault]);
        let charged = charge(&gateway, &intent_with("tok_visa")).await;
        assert_eq!(charged, Err(Error::GatewayFailed), "{fault:?}");
        assert_eq!(bridge.seen().len(), tries, "{fault:?}");
    }
}

/// A charge that is sent again takes the money twice here if the key is not the same.
#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_again() {
    let (bridge, gateway, intent) = pair(PATIENT).await;
    bridge.fail([Fault::CutAfter]);
    assert_eq!(charge(&gateway, &intent).await, Ok(Approved));
    assert_eq!(bridge.taken(intent.id), Won::of(500));
    let keys: Vec<_> = bridge.seen().iter().map(|seen| seen.body["key"].clone()).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_found_by_looking_it_up() {
    let (bridge, gateway, intent) = pair(Duration::from_secs(4)).await;
    bridge.fail([Fault::HangAfter; 2]);
    assert_eq!(charge(&gateway, &intent).await, Err(Error::GatewayTimedOut));
    bridge.heal();
    assert_eq!(bridge.taken(intent.id), Won::of(500));
    let patient = self::gateway(&bridge.url, SECRET, PATIENT);
    assert_eq!(patient.outcome(&intent).await, Ok(Some(Approved)));
    patient.void(&intent).await.unwrap();
    assert_eq!(patient.outcome(&intent).await, Ok(Some(Declined)));
    assert_eq!(bridge.taken(intent.id), Won::ZERO);
}

#[tokio::test]
async fn an_answer_that_is_none_decides_nothing() {
    let (bridge, gateway, _) = pair(PATIENT).await;
    for fault in [Fault::Garbage, Fault::Huge, Fault::OtherKey, Fault::OtherAmount] {
        let intent = intent_with("tok_visa");
        bridge.fail([fault]);
        assert_eq!(charge(&gateway, &intent).await, Err(Error::GatewayFailed), "{fault:?}");
        assert_eq!(gateway.outcome(&intent).await, Ok(Some(Approved)), "{fault:?}");
    }
}

#[tokio::test]
async fn what_is_not_decided_yet_is_unknown() {
    let (bridge, gateway, intent) = pair(PATIENT).await;
    bridge.fail([Fault::Pending; 3]);
    assert_eq!(charge(&gateway, &intent).await, Err(Error::GatewayTimedOut));
    assert_eq!(gateway.outcome(&intent).await, Ok(None));
    assert_eq!(gateway.void(&intent).await, Err(Error::GatewayTimedOut));
}

#[tokio::test]
async fn a_wrong_address_voids_nothing() {
    let (bridge, _, intent) = pair(PATIENT).await;
    let lost = gateway(&format!("{}/elsewhere", bridge.url), SECRET, PATIENT);
    assert_eq!(lost.outcome(&intent).await, Err(Error::GatewayFailed));
    assert_eq!(lost.void(&intent).await, Err(Error::GatewayFailed));
}

#[tokio::test]
async fn nobody_at_the_address_is_a_failure() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = gateway(&format!("http://{free}"), SECRET, PATIENT);
    assert_eq!(charge(&nobody, &intent_with("tok_visa")).await, Err(Error::GatewayFailed));
}

#[tokio::test]
async fn who_never_answers_is_not_waited_for() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let waiting = gateway(&url, SECRET, Duration::from_millis(200));
    let intent = intent_with("tok_visa");
    assert_eq!(charge(&waiting, &intent).await, Err(Error::GatewayTimedOut));
    assert_eq!(waiting.outcome(&intent).await, Err(Error::GatewayTimedOut));
    assert_eq!(waiting.void(&intent).await, Err(Error::GatewayTimedOut));
}

#[test]
fn options_do_not_show_the_secret() {
    let options = Options { url: "http://b".into(), secret: SECRET.into(), deadline: PATIENT };
    assert!(!format!("{options:?}").contains("secret"));
    let gateway = HttpGateway::new(options.clone()).unwrap();
    assert!(!format!("{gateway:?}").contains("secret"));
    assert!(HttpGateway::new(Options { url: "nowhere".into(), ..options }).is_err());
}
