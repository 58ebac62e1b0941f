//! What a request passes before its handler: budgets, a place, a deadline.

mod admission;
mod class;
mod client;
mod connections;
mod gate;
mod polls;
mod rates;
mod shared;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, web};
use concert_domain::budget::Budgets;

pub use admission::Admission;
use class::Class;
pub use client::client;
use connections::{Connection, Connections};
use gate::Gate;
use rates::Rates;
use shared::Shared;

use crate::AppState;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};
use crate::request_id::RequestId;

/// How often budgets that are full again are forgotten.
const UPKEEP: Duration = Duration::from_secs(5);

/// What protects one application from too much. Copies are the same one.
#[derive(Clone)]
pub struct Guard(Arc<Parts>);

struct Parts {
    limits: Limits,
    /// None: nobody is told that it asks too often.
    rates: Option<Rates>,
    shared: Shared,
    connections: Connections,
    gate: Arc<Gate>,
}

impl Guard {
    /// With these limits and budgets of all instances, and nobody inside.
    pub fn new(limits: &Limits, budgets: Arc<dyn Budgets>) -> Self {
        Self(Arc::new(Parts {
            limits: limits.clone(),
            rates: limits.rate_limit.then(|| Rates::new(limits)),
            shared: Shared::new(budgets),
            connections: Connections::default(),
            gate: Gate::new(limits.in_flight()),
        }))
    }

    /// Counts a connection that was accepted.
    pub fn connected(&self, io: &dyn Any, data: &mut Extensions) {
        let peer = io.downcast_ref::<TcpStream>().and_then(|stream| stream.peer_addr().ok());
        if let Some(peer) = peer.filter(|peer| !self.0.limits.trusted_proxies.trusts(peer.ip())) {
            data.insert(self.0.connections.opened(peer.ip()));
        }
    }

    /// Keeps what is remembered of clients small; never ends.
    pub async fn keep_small(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            if let Some(rates) = &self.0.rates {
                rates.upkeep();
                self.0.shared.upkeep();
            }
        }
    }

    /// Refuses who asks too often.
    fn check(&self, request: &ServiceRequest, class: Class) -> Result<(), ApiError> {
        let Some(rates) = &self.0.rates else { return Ok(()) };
        if self.is_crowded(request) {
            return Err(limited("connections", Duration::from_secs(5)));
        }
        if let Some(wait) = rates.take(request, class) {
            return Err(limited(class.name(), wait));
        }
        let poller = (class == Class::Poll).then(|| rates.caller(request)).flatten();
        match poller.and_then(|poller| rates.polls.early(poller)) {
            Some(wait) => Err(limited("early_poll", wait)),
            None => Ok(()),
        }
    }

    /// Refuses who asks too often of all instances together.
    async fn check_with_others(
        &self,
        request: &ServiceRequest,
        class: Class,
    ) -> Result<(), ApiError> {
        let Some(rates) = &self.0.rates else { return Ok(()) };
        let Some((name, quota)) = rates.shared(request, class) else { return Ok(()) };
        match self.0.shared.take(&name, quota).await {
            Some(wait) => Err(limited(class.name(), wait)),
            None => Ok(()),
        }
    }

    /// Whether the request came on a connection too many.
    fn is_crowded(&self, request: &ServiceRequest) -> bool {
        let connection = request.request().conn_data::<Connection>();
        connection.is_some_and(|one| one.place() > self.0.limits.connections_per_address)
    }
}

fn limited(budget: &'static str, wait: Duration) -> ApiError {
    metrics::counter!("concert_requests_limited_total", "budget" => budget).increment(1);
    let detail = match budget {
        "early_poll" => "the poll comes far earlier than the answer before asked for",
        "connections" => "this address has too many connections",
        _ => "these requests come more often than one client may send them",
    };
    ApiError::later(ErrorCode::TooManyRequests, detail, wait)
}

/// Lets a request through to its handler, or refuses it. While the process drains, every answer
/// ends its connection, so that clients leave before they are left.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(state) = request.app_data::<web::Data<AppState>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let crowded = state.guard.0.rates.is_some() && state.guard.is_crowded(&request);
    let mut response = match Class::of(request.method(), request.path()) {
        Some(class) => admitted(&state.guard, class, request, next).await?,
        None => next.call(request).await?.map_into_boxed_body(),
    };
    if crowded || !state.readiness.get() {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

async fn admitted(
    guard: &Guard,
    class: Class,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if let Err(refusal) = guard.check(&request, class) {
        return Ok(request.error_response(refusal));
    }
    if let Err(refusal) = guard.check_with_others(&request, class).await {
        return Ok(request.error_response(refusal));
    }
    let poller = guard.0.rates.as_ref().filter(|_| class == Class::Poll);
    let poller = poller.and_then(|rates| Some((rates, rates.caller(&request)?)));
    let response = with_place(guard, class, request, next).await?;
    if let Some((rates, poller)) = poller.filter(|_| response.status() == StatusCode::OK) {
        let told = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let seconds = told.and_then(|text| text.parse().ok()).unwrap_or(1);
        rates.polls.told(poller, Duration::from_secs(seconds));
    }
    Ok(response)
}

/// Works on a request in a place of its own, for a limited time. Operators' work may be large and
/// takes the time that it takes.
async fn with_place(
    guard: &Guard,
    class: Class,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let admission = Admission::new(guard.0.gate.clone(), class);
    // The others enter when their body has been read.
    if !has_body(&request)
        && let Err(refusal) = admission.enter().await
    {
        return Ok(request.error_response(refusal));
    }
    request.extensions_mut().insert(admission.clone());
    let path = request.path().to_owned();
    let id = request.extensions().get::<RequestId>().cloned();
    let overdue = async {
        match class {
            Class::Admin => std::future::pending().await,
            _ => admission.overdue(guard.0.limits.request_deadline).await,
        }
    };
    // Dropping the handler cancels no statement: those run in tasks and threads of the stores.
    let answer = tokio::select! {
        biased;
        answer = next.call(request) => answer.map(ServiceResponse::map_into_boxed_body),
        () = overdue => Err(Overdue { path, id }.into()),
    };
    admission.leave();
    answer
}

/// Whether a handler reads a body before it does anything else.
fn has_body(request: &ServiceRequest) -> bool {
    let method = request.method();
    (*method == Method::POST || *method == Method::PATCH) && !request.path().ends_with("/refund")
}

/// A request that was worked on for too long.
#[derive(Debug, thiserror::Error)]
#[error("the request to {path} was not done in time")]
struct Overdue {
    path: String,
    id: Option<RequestId>,
}

impl Overdue {
    fn refusal() -> ApiError {
        let detail = "this took too long; it may or may not have had its effect, so repeat it \
                      with the same Idempotency-Key";
        ApiError::later(ErrorCode::ServiceUnavailable, detail, Duration::from_secs(1))
    }
}

impl ResponseError for Overdue {
    fn status_code(&self) -> StatusCode {
        Self::refusal().code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response =
            Self::refusal().answer(&self.path, self.id.as_ref().map(RequestId::as_str));
        let headers = response.headers_mut();
        for (name, value) in [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")] {
            headers.insert(name, actix_web::http::header::HeaderValue::from_static(value));
        }
        response
    }
}
