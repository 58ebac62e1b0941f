//! What every request handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::HeaderValue;
use concert_domain::Ports;
use concert_domain::ports::Services;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::auth::Authority;
use crate::middleware::Guard;
use crate::waits::Waits;

/// Shared by every handler of one application.
pub struct AppState {
    /// The use cases.
    pub services: Services,
    /// The ports themselves, for probes and operator commands.
    pub ports: Ports,
    /// How callers are known.
    pub authority: Authority,
    /// What browsers are told of HTTPS, if anything.
    pub transport_security: Option<HeaderValue>,
    /// Whether new work is welcome.
    pub readiness: Readiness,
    /// Compares waits with what was told.
    pub waits: Waits,
    /// Keeps too much away.
    pub guard: Guard,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
}

/// Whether this process takes new work: not before it has started, not while it stops.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// New work is welcome, or not any more.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Is new work welcome?
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
