use concert_domain::event::{Event, PAYMENT_TOPIC, REQUEST_ID, TRACEPARENT};
use concert_tests::{PRICE, TestApp, eventually};

use crate::{engines, start};

#[tokio::test]
async fn every_answer_says_the_name_of_its_request() {
    let app = start().await;
    for path in ["/concerts", "//healthz", "//metrics", "/nothing/here", "/users/0"] {
        let (one, other) = (app.get(path).await, app.get(path).await);
        let name = one.header("x-request-id").unwrap();
        assert_eq!(name.len(), 32, "{one:?}");
        assert_ne!(other.header("x-request-id"), Some(name));
        let taken = app.get(path).header("X-Request-Id", "my-own.1").await;
        assert_eq!(taken.header("x-request-id"), Some("my-own.1"));
        if taken.status >= 400 {
            assert_eq!(taken.body["requestId"], "my-own.1", "{taken:?}");
        }
    }
}

#[tokio::test]
async fn a_name_that_is_not_well_formed_is_replaced_and_no_reason_to_refuse() {
    let app = start().await;
    for bad in ["two words", "", &"x".repeat(129), "caf\u{e9}"] {
        let answer = app.get("/concerts").header("X-Request-Id", bad).await;
        assert_eq!((answer.status, answer.header("x-request-id").unwrap().len()), (200, 32));
    }
    let twice = app.get("/concerts").header("X-Request-Id", "a").header("X-Request-Id", "b").await;
    assert_eq!((twice.status, twice.header("x-request-id").unwrap().len()), (200, 32));
}

#[tokio::test]
async fn an_event_has_the_name_of_the_request_that_made_it() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let engines = engines().await;
    let log = engines.ports.log.clone();
    let app = TestApp::start(engines).await;
    let show = app.show(1).await;
    let buyer = app.buyer(1).rich(PRICE).await.admitted(show.concert).await;
    let held = buyer.held(show.schedule, show.seats[0]).await;
    let paying = buyer.pay(held).header("X-Request-Id", "the-payment");
    paying.header("traceparent", PARENT).await.ok(201);
    let record = eventually("the event is in the log", async || {
        for partition in 0..log.partitions() {
            let read = log.read(PAYMENT_TOPIC, partition, 0, 1).await.unwrap();
            if let Some(entry) = read.into_iter().next() {
                return Some(entry.record);
            }
        }
        None
    })
    .await;
    assert_eq!(record.headers.get(REQUEST_ID), Some("the-payment"));
    assert_eq!(record.headers.get(TRACEPARENT), Some(PARENT));
    let event: Event = serde_json::from_slice(&record.value).unwrap();
    assert_eq!(event.request_id.as_deref(), Some("the-payment"));
}
