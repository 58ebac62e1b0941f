//! Log lines and metrics of this process.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

use crate::config::{LogArgs, LogFormat};

/// Upper bounds in seconds: from a poll that is answered from memory to a client that gave up.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Left out unless asked for: what clients send that is no HTTP, which the server's dispatcher would
/// call errors, so that a stranger could fill the log with them.
const CLIENTS_FAULTS: &str = "actix_http::h1::dispatcher=off";

/// Starts writing log lines to the standard error stream. A second call changes nothing: the
/// first one decides for the process.
pub fn log(args: &LogArgs) {
    let filter = filter(&args.rust_log);
    let lines = Subscriber::builder().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Pretty => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            tracing::subscriber::set_global_default(lines.with_ansi(ansi).finish()).ok()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).finish();
            tracing::subscriber::set_global_default(lines).ok()
        }
    };
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
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed; /metrics will be empty");
    }
    handle
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_clients_get_wrong_is_no_error_of_ours_unless_asked_for() {
        let logged = |wanted| {
            let lines = super::Subscriber::builder().with_env_filter(super::filter(wanted));
            tracing::subscriber::with_default(
                lines.finish(),
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
}
