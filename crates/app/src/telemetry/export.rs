//! Spans on their way to a collector (OTLP over HTTP). It may be slow or away: requests never wait
//! for it, what does not fit the bounded queue is dropped, and the stop waits for a bounded time.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use tokio::runtime::Handle;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::Registry;

use super::trace;
use crate::config::Collector;

/// Spans that wait to be sent; more are dropped.
const QUEUE: usize = 8_192;
/// How often they are sent, together.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the collector may take for a batch.
const SEND: Duration = Duration::from_secs(3);
/// How long the stop waits for the last batch.
const FLUSH: Duration = Duration::from_secs(2);
/// More than this of a collector's answer is not read.
const ANSWER_BYTES: usize = 64 * 1024;

/// The spans of this process; sent nowhere by default.
#[derive(Default)]
pub struct Spans(Option<SdkTracerProvider>);

type Exporter = Box<dyn Layer<Registry> + Send + Sync>;

impl Spans {
    /// Spans for a collector, and the layer that hands them over.
    pub(super) fn sent_to(collector: Collector<'_>) -> Result<(Self, Option<Exporter>)> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new()?)
            .with_endpoint(format!("{}/v1/traces", collector.endpoint.trim_end_matches('/')))
            .with_timeout(SEND)
            .build()
            .context("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_scheduled_delay(INTERVAL)
            .build();
        let ratio = Sampler::TraceIdRatioBased(collector.ratio);
        let resource = Resource::builder()
            .with_service_name(collector.service.to_owned())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(
                BatchSpanProcessor::builder(exporter).with_batch_config(batches).build(),
            )
            .with_sampler(Sampler::ParentBased(Box::new(ratio)))
            .with_resource(resource.build())
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("concert"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            // Only our own: what libraries trace is for their authors.
            .with_filter(filter_fn(|of| of.target().starts_with("concert")));
        trace::exported();
        Ok((Self(Some(provider)), Some(layer.boxed())))
    }

    /// Sends what waits, for a bounded time.
    pub async fn stop(self) {
        let Some(provider) = self.0 else { return };
        let flush = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH));
        match tokio::time::timeout(FLUSH + SEND, flush).await {
            Ok(Ok(Ok(()))) => {}
            _ => tracing::warn!("the last spans could not be sent"),
        }
    }
}

/// The exporter's thread has no runtime; its requests run on ours.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

impl Client {
    fn new() -> Result<Self> {
        // Another one that was chosen before is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().timeout(SEND).no_proxy().build();
        Ok(Self { http: http.context("a client for the collector")?, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let sent = self.runtime.spawn(send(self.http.clone(), request)).await?;
        if let Err(error) = &sent {
            tracing::warn!(%error, "the collector did not take spans");
        }
        sent
    }
}

async fn send(
    http: reqwest::Client,
    request: reqwest::Request,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request).await.map_err(reqwest::Error::without_url)?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err("the collector's answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(response.body(Bytes::from(body))?)
}
