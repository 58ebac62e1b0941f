//! What is counted, logged and traced of every request. The outermost layer: also what is refused
//! before a route has a name and is counted.

use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use tracing::{Instrument, Span, field};

use crate::request_id::{REQUEST_ID, RequestId};
use crate::telemetry::{count_request, trace};

/// Gives the request its name and its span, and counts it and its time by method, route pattern
/// and status. The pattern, never the path: a client must not be able to make new time series.
pub(super) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let method = known(request.method());
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let span = span(&request, method, &id);
    let mut answer = next.call(request).instrument(span.clone()).await;
    let (status, route) = match &mut answer {
        Ok(response) => {
            response.headers_mut().insert(REQUEST_ID, id.to_header());
            (response.status(), response.request().match_pattern())
        }
        Err(error) => (error.as_response_error().status_code(), None),
    };
    let route = route.unwrap_or_else(|| "none".to_owned());
    note(&span, method, &route, status, started.elapsed());
    answer
}

/// Its level is that of errors, so that a line of any level that is written has the request's name.
fn span(request: &ServiceRequest, method: &'static str, id: &RequestId) -> Span {
    let exported = trace::is_exported();
    let name = exported.then(|| {
        let route = request.match_pattern();
        format!("{method} {}", route.as_deref().unwrap_or("none"))
    });
    let span = tracing::error_span!(
        "request",
        request_id = id.as_str(),
        "otel.name" = name,
        "otel.kind" = exported.then_some("server"),
        "http.request.method" = exported.then_some(method),
        "http.route" = field::Empty,
        "http.response.status_code" = field::Empty,
    );
    if exported {
        trace::follow(&span, request.headers());
    }
    span
}

fn note(span: &Span, method: &'static str, route: &str, status: StatusCode, took: Duration) {
    if trace::is_exported() {
        span.record("http.route", route).record("http.response.status_code", status.as_u16());
    }
    let _in_span = span.enter();
    let millis = took.as_millis();
    let code = status.as_u16();
    if status.is_server_error() {
        tracing::warn!(method, route, status = code, millis, "a request failed");
    } else {
        tracing::debug!(method, route, status = code, millis, "answered");
    }
    count_request(method, route, status, took);
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
