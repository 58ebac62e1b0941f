//! What a request pays for its name and its span, whatever else it does:
//! `cargo run --release -p concert-app --example request_cost`

use std::hint::black_box;
use std::time::Instant;

use actix_web::http::header::HeaderMap;
use concert_app::request_id::RequestId;
use tracing::field;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, fmt};

const ROUNDS: u32 = 1_000_000;

fn measure(what: &str, mut work: impl FnMut()) {
    (0..ROUNDS / 10).for_each(|_| work());
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| work());
    println!("{:>6} ns  {what}", (start.elapsed() / ROUNDS).as_nanos());
}

fn main() {
    let (none, mut brought) = (HeaderMap::new(), HeaderMap::new());
    brought.insert(concert_app::request_id::REQUEST_ID, RequestId::fresh().to_header());
    measure("a name is made", || drop(black_box(RequestId::of(&none))));
    measure("a name is taken over", || drop(black_box(RequestId::of(&brought))));
    let lines = fmt::layer().json().flatten_event(true).with_span_list(false);
    let all = tracing_subscriber::registry()
        .with(lines.with_writer(std::io::sink))
        .with(EnvFilter::new("info"));
    let id = RequestId::fresh();
    tracing::subscriber::with_default(all, || {
        measure("a span with the name, entered four times, and a line that is not written", || {
            let span = tracing::error_span!(
                "request",
                request_id = id.as_str(),
                "http.route" = field::Empty,
            );
            (0..4).for_each(|_| span.in_scope(|| black_box(())));
            span.in_scope(|| tracing::debug!("answered"));
        });
    });
}
