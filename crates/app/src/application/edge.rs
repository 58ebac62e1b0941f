//! What every request passes first and every answer last: its name and its span, what browsers are
//! told, that it is counted, and that a body without an end keeps no connection. The outermost layer: also what is refused before a route has a name
//! is counted.

use std::future::{Ready, ready};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpMessage};
use futures::future::{FutureExt, LocalBoxFuture};
use tracing::{Instrument, Level, Span, field};

use super::browsers;
use super::upload::{self, Answering};
use crate::config::Browsers;
use crate::request_id::{REQUEST_ID, RequestId};
use crate::telemetry::{count_request, trace};

/// The layer.
#[derive(Clone)]
pub(super) struct Edge {
    transport_security: Option<HeaderValue>,
}

impl Edge {
    pub fn new(browsers: &Browsers) -> Self {
        Self { transport_security: browsers::transport_security(browsers) }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Edge
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + Unpin,
{
    type Response = ServiceResponse<Answering<B>>;
    type Error = Error;
    type Transform = WithEdge<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(WithEdge { inner, edge: self.clone() }))
    }
}

/// What lies within, behind the layer.
pub(super) struct WithEdge<S> {
    inner: S,
    edge: Edge,
}

impl<S, B> Service<ServiceRequest> for WithEdge<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + Unpin,
{
    type Response = ServiceResponse<Answering<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(inner);

    /// The request and its time are counted by method, route pattern and status. The pattern, never
    /// the path: a client must not be able to make new time series.
    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let started = Instant::now();
        let method = known(request.method());
        let id = RequestId::of(request.headers());
        request.extensions_mut().insert(id.clone());
        let span = span(&request, method, &id);
        let policy = browsers::policy(request.path());
        let reader = upload::reader(&mut request);
        let secure = self.edge.transport_security.clone();
        let answer = span.in_scope(|| self.inner.call(request)).instrument(span.clone());
        async move {
            let mut answer = answer.await;
            let (status, route) = match &mut answer {
                Ok(response) => {
                    let headers = response.headers_mut();
                    headers.insert(REQUEST_ID, id.to_header());
                    browsers::protect(headers, policy, secure);
                    (response.status(), response.request().match_pattern())
                }
                Err(error) => (error.as_response_error().status_code(), None),
            };
            let route = route.as_deref().unwrap_or("none");
            note(&span, method, route, status, started.elapsed());
            answer.map(|answer| answer.map_body(|_, body| Answering { body, reader }))
        }
        .boxed_local()
    }
}

/// Its level is that of errors, so that a line of any level that is written has the request's name.
fn span(request: &ServiceRequest, method: &'static str, id: &RequestId) -> Span {
    if !trace::is_exported() {
        return tracing::error_span!("request", request_id = id.as_str());
    }
    let route = request.match_pattern();
    let span = tracing::error_span!(
        "request",
        request_id = id.as_str(),
        "otel.name" = format!("{method} {}", route.as_deref().unwrap_or("none")),
        "otel.kind" = "server",
        "http.request.method" = method,
        "http.route" = field::Empty,
        "http.response.status_code" = field::Empty,
    );
    trace::follow(&span, request.headers());
    span
}

fn note(span: &Span, method: &'static str, route: &str, status: StatusCode, took: Duration) {
    count_request(method, route, status, took);
    if trace::is_exported() {
        span.record("http.route", route).record("http.response.status_code", status.as_u16());
    }
    let failed = status.is_server_error();
    if !failed && !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let _in_span = span.enter();
    let (code, millis) = (status.as_u16(), took.as_millis());
    if failed {
        tracing::warn!(method, route, status = code, millis, "a request failed");
    } else {
        tracing::debug!(method, route, status = code, millis, "answered");
    }
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
