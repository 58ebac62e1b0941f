//! For operators and their tools: is the process alive, can it serve, what does it measure?

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse, get, web};
use concert_domain::health::Probe;
use futures::future::join_all;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Routes, State};
use crate::error::{ApiError, ErrorCode};
use crate::state::{Phase, Readiness};

/// How long a dependency may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(health).service(readiness).service(metrics);
}

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
struct HealthView {
    /// Always `alive`.
    #[schema(example = "alive")]
    status: &'static str,
}

/// Whether the service can serve.
#[derive(Debug, Serialize, ToSchema)]
struct ReadinessView {
    /// The verdict.
    status: Verdict,
    /// What the process is doing.
    phase: Phase,
    /// What it needs for that, and what it can do without for a while.
    checks: Vec<CheckView>,
}

/// Whether new work is welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// It is.
    Ready,
    /// A dependency is down, or the process is starting or stopping.
    NotReady,
}

/// A dependency.
#[derive(Debug, Serialize, ToSchema)]
struct CheckView {
    /// Its name.
    #[schema(example = "database")]
    name: &'static str,
    /// Whether it answers.
    status: CheckStatus,
    /// Whether the service is not ready without it.
    required: bool,
    /// How long it took, in milliseconds.
    #[schema(example = 1)]
    millis: u64,
}

/// Whether a dependency answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CheckStatus {
    /// It does.
    Up,
    /// It does not, or not in time.
    Down,
}

/// Ask whether the process is alive.
#[utoipa::path(
    tag = "operations",
    responses((status = 200, description = "It is", body = HealthView)),
)]
#[get("/healthz")]
async fn health() -> HttpResponse {
    HttpResponse::Ok().json(HealthView { status: "alive" })
}

/// Ask whether the service can serve; every dependency is named.
#[utoipa::path(
    tag = "operations",
    responses(
        (status = 200, description = "It can", body = ReadinessView),
        (status = 503, description = "It cannot", body = ReadinessView,
            headers(("Retry-After" = u64, description = "Seconds to the next try"))),
    ),
)]
#[get("/readyz")]
async fn readiness(state: State) -> HttpResponse {
    let probes = state.ports.probes.iter();
    let checks = join_all(probes.map(|probe| check(probe, PROBE_TIMEOUT))).await;
    let phase = state.readiness.phase();
    if can_serve(&checks) && phase == Phase::Serving {
        return HttpResponse::Ok().json(ReadinessView { status: Verdict::Ready, phase, checks });
    }
    not_ready(phase, checks)
}

fn not_ready(phase: Phase, checks: Vec<CheckView>) -> HttpResponse {
    HttpResponse::ServiceUnavailable().insert_header((RETRY_AFTER, "1")).json(ReadinessView {
        status: Verdict::NotReady,
        phase,
        checks,
    })
}

/// The routes of a process that has not opened its stores yet: alive, not ready, and nothing else.
pub(super) fn configure_lobby(cfg: &mut actix_web::web::ServiceConfig) {
    cfg.service(health)
        .route("/readyz", web::get().to(readiness_of_lobby))
        .default_service(web::to(refuse_in_lobby));
}

async fn readiness_of_lobby(process: web::Data<Readiness>) -> HttpResponse {
    not_ready(process.phase(), Vec::new())
}

async fn refuse_in_lobby(request: HttpRequest) -> HttpResponse {
    let detail = "the service is starting";
    let refusal = ApiError::later(ErrorCode::ServiceUnavailable, detail, Duration::from_secs(1));
    refusal.answer(request.path(), None)
}

fn can_serve(checks: &[CheckView]) -> bool {
    checks.iter().all(|check| check.status == CheckStatus::Up || !check.required)
}

async fn check(probe: &Arc<dyn Probe>, limit: Duration) -> CheckView {
    let started = Instant::now();
    let status = match tokio::time::timeout(limit, probe.check()).await {
        Ok(Ok(())) => CheckStatus::Up,
        Ok(Err(error)) => {
            tracing::warn!(dependency = probe.name(), %error, "a dependency is down");
            CheckStatus::Down
        }
        Err(_) => {
            tracing::warn!(dependency = probe.name(), "a dependency does not answer in time");
            CheckStatus::Down
        }
    };
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    CheckView { name: probe.name(), status, required: probe.required(), millis }
}

/// What the process measures, for Prometheus.
#[utoipa::path(
    tag = "operations",
    responses((status = 200, description = "The figures", body = String,
        content_type = "text/plain")),
)]
#[get("/metrics")]
async fn metrics(state: State) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(state.metrics.render())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use concert_domain::{Error, Result};

    use super::*;

    struct Fixed(Result<()>);

    #[async_trait]
    impl Probe for Fixed {
        fn name(&self) -> &'static str {
            "fixed"
        }

        async fn check(&self) -> Result<()> {
            self.0.clone()
        }
    }

    struct Silent;

    #[async_trait]
    impl Probe for Silent {
        fn name(&self) -> &'static str {
            "silent"
        }

        async fn check(&self) -> Result<()> {
            std::future::pending().await
        }
    }

    #[test]
    fn only_what_is_required_keeps_the_service_from_being_ready() {
        let check =
            |required| CheckView { name: "fixed", status: CheckStatus::Down, required, millis: 1 };
        assert!(can_serve(&[check(false)]));
        assert!(!can_serve(&[check(false), check(true)]));
    }

    #[tokio::test]
    async fn a_dependency_that_fails_or_keeps_silent_is_down() {
        let probes: [(Arc<dyn Probe>, CheckStatus); 3] = [
            (Arc::new(Fixed(Ok(()))), CheckStatus::Up),
            (Arc::new(Fixed(Err(Error::unavailable("store")))), CheckStatus::Down),
            (Arc::new(Silent), CheckStatus::Down),
        ];
        for (probe, status) in probes {
            let limit = Duration::from_millis(20);
            assert_eq!(check(&probe, limit).await.status, status, "{}", probe.name());
        }
    }
}
