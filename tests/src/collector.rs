use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A collector of spans that reads what it is sent.
pub struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub endpoint: String,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let received = Arc::<Mutex<Vec<_>>>::default();
        let all = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&all)));
            }
        });
        Self { endpoint, received }
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().expect("nobody panics in here");
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).cloned().collect()
    }

    /// The names of the services that have sent them.
    pub fn services(&self) -> Vec<String> {
        let received = self.received.lock().expect("nobody panics in here");
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let attributes = resources.filter_map(|r| r.resource.as_ref()).flat_map(|r| &r.attributes);
        let named = attributes.filter(|attribute| attribute.key == "service.name");
        named.filter_map(|name| text(name.value.as_ref()?.value.as_ref()?)).collect()
    }
}

/// The text of an attribute of a span.
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    text(found.value.as_ref()?.value.as_ref()?)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Answers `200` to whatever has a `Content-Length` and can be read.
async fn serve(
    mut stream: TcpStream,
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            stream.read_buf(&mut buffer).await.ok().filter(|read| *read > 0)?;
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
        assert!(text.starts_with("post /v1/traces http/1.1"), "{text}");
        assert!(text.contains("content-type: application/x-protobuf"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        let end = head + length.trim().parse::<usize>().ok()?;
        while buffer.len() < end {
            stream.read_buf(&mut buffer).await.ok().filter(|read| *read > 0)?;
        }
        let request = ExportTraceServiceRequest::decode(&buffer[head..end]).expect("spans");
        received.lock().expect("nobody panics in here").push(request);
        buffer.drain(..end);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
    }
}
