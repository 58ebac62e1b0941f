use std::time::Duration;

use super::parse;

/// What the service tells of itself, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Telemetry (every flag is also an environment variable)")]
pub struct Telemetry {
    /// The collector that gets spans, by OTLP over HTTP (protobuf): `http://HOST:4318`; unset: none
    /// are made.
    #[arg(long, env, value_name = "URL", value_parser = parse::http_url)]
    pub otel_exporter_otlp_endpoint: Option<String>,

    /// The name under which spans are found.
    #[arg(long, env, value_name = "NAME", default_value = "concert", value_parser = parse::name)]
    pub otel_service_name: String,

    /// Which part of the requests is traced, 0 to 1, unless the caller has decided for its trace.
    #[arg(long, env, value_name = "RATIO", default_value = "0.1", value_parser = parse::ratio)]
    pub otel_traces_sampler_arg: Ratio,

    /// How often a worker samples what all instances share, such as the length of queues; 100ms to
    /// 365d.
    #[arg(long, env, value_name = "TIME", default_value = "5s", value_parser = parse::duration)]
    pub metrics_interval: Duration,
}

/// A part of a whole, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio(pub u32);

/// Where spans go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Collector<'a> {
    /// The address below which it listens.
    pub endpoint: &'a str,
    /// The name of this service there.
    pub service: &'a str,
    /// Which part of the requests is traced.
    pub ratio: f64,
}

impl Telemetry {
    /// The collector, if there is one.
    pub fn collector(&self) -> Option<Collector<'_>> {
        let endpoint = self.otel_exporter_otlp_endpoint.as_deref().filter(|url| !url.is_empty())?;
        let ratio = f64::from(self.otel_traces_sampler_arg.0) / 1e6;
        Some(Collector { endpoint, service: &self.otel_service_name, ratio })
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otel_exporter_otlp_endpoint: None,
            otel_service_name: "concert".to_owned(),
            otel_traces_sampler_arg: Ratio(100_000),
            metrics_interval: Duration::from_secs(5),
        }
    }
}
