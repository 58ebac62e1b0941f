//! What is counted and logged of every request.

use std::time::Instant;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;

/// Counts the request and its time by method, route pattern and status. The pattern, never the
/// path: a client must not be able to make new time series.
pub(super) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let method = known(request.method());
    let answer = next.call(request).await;
    let (status, pattern) = match &answer {
        Ok(response) => (response.status(), response.request().match_pattern()),
        Err(error) => (error.as_response_error().status_code(), None),
    };
    let pattern = pattern.unwrap_or_else(|| "none".to_owned());
    let took = started.elapsed();
    if status.is_client_error() || status.is_server_error() {
        let (status, millis) = (status.as_u16(), took.as_millis());
        tracing::debug!(method, pattern, status, millis, "request failed");
    }
    let labels =
        [("method", method.to_owned()), ("route", pattern), ("status", status.as_str().to_owned())];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels).record(took);
    answer
}

/// The method's name, or one name for all that nobody has heard of.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
