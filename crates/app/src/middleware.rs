//! What a request passes before its handler: budgets, a place, a deadline.

mod admission;
mod class;
mod client;
mod connections;
mod door;
mod gate;
mod polls;
mod rates;
mod shared;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::rt::net::TcpStream;
use concert_domain::budget::Budgets;

pub use admission::Admission;
use class::Class;
pub use client::client;
use connections::{Connection, Connections};
pub(crate) use door::Door;
use gate::Gate;
use rates::Rates;
use shared::Shared;

use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};

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
    fn check(&self, request: &ServiceRequest, class: Class, crowded: bool) -> Result<(), ApiError> {
        let Some(rates) = &self.0.rates else { return Ok(()) };
        if crowded {
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
        self.0.rates.is_some()
            && connection.is_some_and(|one| one.place() > self.0.limits.connections_per_address)
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
