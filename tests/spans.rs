//! Spans reach a collector, follow the caller's trace and are pointed to from where an event has
//! its effect; and a collector that is away harms nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use concert_tests::{Collector, PRICE, Service, Show, attribute, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Buys a seat; the payment is a part of the caller's trace.
async fn buy(service: &Service, show: &Show) {
    let buyer = service.client.buyer(1).rich(PRICE).await.admitted(show.concert).await;
    let held = buyer.held(show.schedule, show.seats[0]).await;
    let paying = buyer.pay(held).header("X-Request-Id", "traced-payment");
    paying.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).await.ok(201);
}

#[tokio::test]
async fn a_trace_goes_from_the_caller_to_the_effect_of_the_event() {
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_SERVICE_NAME", "concert-under-test"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("CONSUME_INTERVAL", "100ms"),
    ];
    let service = Service::start(folder.path(), &variables).await;
    let show = service.client.show(1).await;
    buy(&service, &show).await;
    let paid = eventually("the span of the payment", async || {
        collector.spans().into_iter().find(|span| span.name == "POST /api/v1/payments")
    })
    .await;
    assert_eq!((hex(&paid.trace_id).as_str(), hex(&paid.parent_span_id).as_str()), (TRACE, CALLER));
    assert_eq!(attribute(&paid, "request_id").as_deref(), Some("traced-payment"));
    assert_eq!(attribute(&paid, "http.response.status_code").as_deref(), Some("201"));
    assert!(collector.services().iter().all(|name| name == "concert-under-test"));
    // Nobody else asked for a trace, and of their own requests none is traced.
    assert!(collector.spans().iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(service.terminate().await, Some(0));
}

#[tokio::test]
async fn the_effect_of_an_event_points_to_the_request_that_made_it() {
    let collector = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("CONSUME_INTERVAL", "100ms"),
    ];
    let service = Service::start(folder.path(), &variables).await;
    let show = service.client.show(1).await;
    buy(&service, &show).await;
    let sold = eventually("the sales figures", async || {
        service.client.ranked(show.concert).await.filter(|line| line["soldSeats"] == 1)
    });
    sold.await;
    // What was not sent yet is sent at the stop.
    assert_eq!(service.terminate().await, Some(0));
    let spans = collector.spans();
    let paid = spans.iter().find(|span| span.name == "POST /api/v1/payments").unwrap();
    let consumed = spans.iter().find(|span| span.name == "consume").unwrap();
    assert_ne!(consumed.trace_id, paid.trace_id);
    assert_eq!(consumed.links.len(), 1);
    assert_eq!(consumed.links[0].trace_id, paid.trace_id);
    assert_eq!(consumed.links[0].span_id, paid.span_id);
    assert_eq!(attribute(consumed, "request_id").as_deref(), Some("traced-payment"));
}

#[tokio::test]
async fn a_collector_that_is_away_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    // The first port was free a moment ago; behind the other one nobody ever answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [free, silent.local_addr().unwrap()] {
        let endpoint = format!("http://{address}");
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_TRACES_SAMPLER_ARG", "1")];
        let service = Service::start(folder.path(), &variables).await;
        let show = service.client.show(1).await;
        buy(&service, &show).await;
        assert_eq!(service.terminate().await, Some(0));
    }
}
