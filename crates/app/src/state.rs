//! What every request handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use concert_domain::Ports;
use concert_domain::ports::Services;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;

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
    /// Whether new work is welcome.
    pub readiness: Readiness,
    /// Compares waits with what was told.
    pub waits: Waits,
    /// Keeps too much away.
    pub guard: Guard,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It opens its stores.
    Starting,
    /// It brings the store to its own version.
    Migrating,
    /// It serves.
    Serving,
    /// It was told to stop, and finishes what runs.
    Draining,
}

/// Whether this process takes new work: not before it has started, not while it stops. Copies are
/// the same one.
#[derive(Clone)]
pub struct Readiness(Arc<AtomicU8>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Starting as u8)))
    }
}

impl Readiness {
    /// Says what the process does from now on.
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// What the process does.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            phase if phase == Phase::Migrating as u8 => Phase::Migrating,
            phase if phase == Phase::Serving as u8 => Phase::Serving,
            phase if phase == Phase::Draining as u8 => Phase::Draining,
            _ => Phase::Starting,
        }
    }

    /// Is new work welcome?
    pub fn get(&self) -> bool {
        self.phase() == Phase::Serving
    }
}
