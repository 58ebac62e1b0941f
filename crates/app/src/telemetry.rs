//! Log lines, metrics and spans of this process.

mod bursts;
mod export;
mod http;
mod names;
pub mod trace;

use std::sync::OnceLock;

use anyhow::Result;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogArgs, LogFormat, Telemetry};
pub use export::Spans;
pub use http::count_request;
pub use names::all as metric_names;

/// Upper bounds in seconds: from a poll that is answered from memory to a client that gave up.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The same for waits in a queue: from none to half a day.
const WAITS: [f64; 13] =
    [0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 10_800.0, 43_200.0];

/// The same for how many go together.
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Left out unless asked for: what clients send that is no HTTP, which the server's dispatcher would
/// call errors, so that a stranger could fill the log with them.
const CLIENTS_FAULTS: &str = "actix_http::h1::dispatcher=off";

/// Starts writing log lines to the standard error stream, and, if that is configured, sending spans
/// to a collector. A second call changes nothing: the first one decides for the process.
///
/// Must be called on the runtime that ends last: spans are sent from there.
pub fn start(args: &LogArgs, telemetry: Option<&Telemetry>) -> Result<Spans> {
    let (spans, exporter) = match telemetry.and_then(Telemetry::collector) {
        Some(collector) => Spans::sent_to(collector)?,
        None => (Spans::default(), None),
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match args.log_format {
        LogFormat::Pretty => {
            lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let all = tracing_subscriber::registry()
        .with(exporter)
        .with(lines)
        .with(bursts::Bursts::default())
        .with(filter(&args.rust_log));
    tracing::subscriber::set_global_default(all).ok();
    Ok(spans)
}

fn filter(wanted: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{CLIENTS_FAULTS},{wanted}"))
}

/// The metrics of this process. There is one recorder per process, however many applications run
/// in it.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

fn install() -> PrometheusHandle {
    // The only refusal is that of an empty list of bounds.
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).unwrap_or_default();
    let waits = Matcher::Prefix("concert_queue_wait_".to_owned());
    let builder = builder.set_buckets_for_metric(waits, &WAITS).unwrap_or_default();
    let sizes = Matcher::Full("concert_batch_items".to_owned());
    let builder = builder.set_buckets_for_metric(sizes, &SIZES).unwrap_or_default();
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed; /metrics will be empty");
    }
    names::describe();
    handle
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn what_clients_get_wrong_is_no_error_of_ours_unless_asked_for() {
        let logged = |wanted| {
            let lines = tracing_subscriber::registry().with(super::filter(wanted));
            tracing::subscriber::with_default(
                lines,
                || tracing::enabled!(target: "actix_http::h1::dispatcher", tracing::Level::ERROR),
            )
        };
        assert!(!logged("info"));
        assert!(!logged("debug,actix_http=debug"));
        assert!(logged("info,actix_http::h1::dispatcher=error"));
    }

    #[test]
    fn two_applications_in_one_process_share_the_metrics() {
        let (first, second) = (super::metrics(), super::metrics());
        metrics::counter!("telemetry_test_total").increment(3);
        assert!(first.render().contains("telemetry_test_total 3"));
        assert!(second.render().contains("telemetry_test_total 3"));
    }

    #[test]
    fn counters_that_alerts_look_at_are_there_from_the_start_with_their_meaning() {
        let shown = super::metrics().render();
        assert!(shown.contains("# HELP concert_double_sales_prevented_total ALARM"), "{shown}");
        assert!(shown.contains("\nconcert_double_sales_prevented_total 0\n"), "{shown}");
    }
}
