//! One running service: built (which binds the address), then run until it is told to stop.

mod browsers;
mod edge;
mod lobby;
mod upload;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use anyhow::{Context, Result};
use concert_domain::Ports;
use concert_domain::cache::NoCache;
use concert_domain::ports::Services;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::edge::Edge;
use crate::auth::{Authority, Bearers};
use crate::config::Config;
use crate::middleware::{Door, Guard};
use crate::state::{AppState, Phase, Readiness};
use crate::waits::Waits;
use crate::warm::warm;
use crate::{demo, routes, telemetry, workers};
pub use lobby::Lobby;

/// How long a connection may stand idle between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to send the head of a request.
const REQUEST_HEAD: Duration = Duration::from_secs(5);
/// How long a connection that is being closed is waited for.
const DISCONNECT: Duration = Duration::from_secs(2);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 2_048;
/// More threads than this serve requests only when told: the store is what they would wait for.
const MOST_DEFAULT_THREADS: usize = 8;
/// How often the samples behind `/metrics` are summed up, scraped or not.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A service that is ready to run.
pub struct Application {
    config: Config,
    ports: Ports,
    services: Services,
    readiness: Readiness,
    bearers: Option<Arc<Bearers>>,
    guard: Guard,
    server: Option<(Server, SocketAddr)>,
    lobby: Option<Lobby>,
}

impl Application {
    /// Wires the service over its ports, loads the demo data if that is wanted, and, if it serves
    /// requests, binds the address. Connections are answered from
    /// [`Application::run_until_stopped`] on.
    pub async fn build(config: Config, ports: Ports) -> Result<Self> {
        let lobby = if config.roles.api { Some(Lobby::bound(&config)?) } else { None };
        Self::build_behind(lobby, config, ports).await
    }

    /// The same on an address that is bound already. Without one no requests are served.
    pub async fn build_behind(
        lobby: Option<Lobby>,
        config: Config,
        mut ports: Ports,
    ) -> Result<Self> {
        let authority = Authority::open(config.auth()?)?;
        if !config.caching.cache {
            ports.cache = Arc::new(NoCache);
        }
        let bearers = match &authority {
            Authority::Jwt(bearers) => Some(bearers.clone()),
            Authority::Trusted => None,
        };
        if config.seed_demo && demo::load_if_empty(&*ports.seeds).await? {
            tracing::info!("the store was empty; the demo data is loaded");
        }
        let services = Services::new(&ports, config.settings());
        // Once here, so that no request depends on the database for it.
        services.queue.seal().await?;
        config.check_drain()?;
        services.queue.refresh_policies().await.context("the policies of queues")?;
        let readiness =
            lobby.as_ref().map_or_else(Readiness::default, |lobby| lobby.readiness.clone());
        let guard = Guard::new(&config.limits, ports.budgets.clone());
        let state = AppState {
            services: services.clone(),
            ports: ports.clone(),
            authority,
            readiness: readiness.clone(),
            waits: Waits::new(config.queue_active_ttl),
            guard: guard.clone(),
            metrics: telemetry::metrics(),
        };
        let server = match &lobby {
            Some(lobby) => Some((listen(&config, state, lobby)?, lobby.address()?)),
            None => None,
        };
        Ok(Self { config, ports, services, readiness, bearers, guard, server, lobby })
    }

    /// The bound address; of a process that serves no requests, the configured one.
    pub fn addr(&self) -> SocketAddr {
        self.server.as_ref().map_or(self.config.http_addr, |(_, addr)| *addr)
    }

    /// Runs until `stop` is ready, then lets running requests finish and the workers hand back
    /// what they hold, all within the configured grace.
    pub async fn run_until_stopped(mut self, stop: impl Future<Output = ()>) -> Result<()> {
        let cancel = CancellationToken::new();
        let background = self.start_background(&cancel);
        let mut serving = tokio::spawn(serve(self.server, cancel.clone()));
        self.readiness.set(Phase::Serving);
        if let Some(left) = self.lobby.as_mut().and_then(Lobby::leave) {
            tokio::spawn(left);
        }
        // The address is held by the server alone from here on, and free when that has stopped.
        drop(self.lobby.take());
        let ended = tokio::select! {
            () = stop => None,
            ended = &mut serving => Some(ended),
        };
        self.readiness.set(Phase::Draining);
        tracing::info!("stopping");
        let deadline = Instant::now() + self.config.shutdown_grace;
        if ended.is_none() {
            // Balancers see that it is not ready before it stops to listen.
            tokio::time::sleep(self.config.limits.drain_delay).await;
        }
        cancel.cancel();
        let finish = async {
            background.wait().await;
            match ended {
                Some(ended) => ended,
                None => serving.await,
            }
        };
        match tokio::time::timeout_at(deadline, finish).await {
            Ok(served) => served.context("the HTTP server panicked")?.context("the HTTP server")?,
            Err(_) => {
                tracing::warn!("the grace ended before all work had; what is left is cut off")
            }
        }
        tracing::info!("stopped");
        Ok(())
    }

    fn start_background(&self, cancel: &CancellationToken) -> TaskTracker {
        let tasks = TaskTracker::new();
        workers::start_always(&self.config, &self.services, cancel, &tasks);
        if self.config.roles.worker {
            workers::start(&self.config, &self.ports, &self.services, cancel, &tasks);
        }
        tasks.spawn(cancel.clone().run_until_cancelled_owned(keep_metrics_small()));
        if let Some(bearers) = self.bearers.clone() {
            tasks.spawn(cancel.clone().run_until_cancelled_owned(bearers.watch()));
        }
        if self.config.roles.api && self.config.caching.cache {
            let (store, concerts) = (self.ports.concerts.clone(), self.services.concerts.clone());
            let warmed = async move { warm(&*store, &concerts).await };
            tasks.spawn(cancel.clone().run_until_cancelled_owned(warmed));
        }
        let guard = self.guard.clone();
        tasks.spawn(cancel.clone().run_until_cancelled_owned(guard.keep_small()));
        tasks.close();
        tasks
    }
}

fn listen(config: &Config, state: AppState, lobby: &Lobby) -> Result<Server> {
    let guard = state.guard.clone();
    let door = Door::new(guard.clone(), state.readiness.clone());
    let state = web::Data::new(state);
    let told = config.browsers.clone();
    let app = move || {
        // What is wrapped last is asked first.
        App::new()
            .wrap(door.clone())
            .wrap(browsers::cors(&told))
            .wrap(Edge::new(&told))
            .app_data(state.clone())
            .configure(routes::mount)
    };
    let threads = config.http_workers.unwrap_or_else(default_threads);
    let connections = config.http_max_connections as usize;
    let server = HttpServer::new(app)
        .disable_signals()
        .workers(threads)
        .max_connections(connections.div_ceil(threads))
        // What does not fit into one write would wait 40 ms for the client to acknowledge the first.
        .tcp_nodelay(true)
        .on_connect(move |io, data| guard.connected(io, data))
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_HEAD)
        .client_disconnect_timeout(DISCONNECT)
        // The grace is bounded to the millisecond around it; this one only must not end earlier.
        .shutdown_timeout(config.shutdown_grace.as_secs() + 1)
        .listen(lobby.listener.try_clone()?)?;
    Ok(server.run())
}

pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_DEFAULT_THREADS)
}

/// Serves until told to stop, then finishes what has begun. A process without a listener waits.
async fn serve(server: Option<(Server, SocketAddr)>, stop: CancellationToken) -> io::Result<()> {
    let Some((server, addr)) = server else {
        tracing::info!("working without a listener, as ROLES does not name api");
        stop.cancelled().await;
        return Ok(());
    };
    tracing::info!("listening on http://{addr}");
    let handle = server.handle();
    let stopped = async {
        stop.cancelled().await;
        handle.stop(true).await;
    };
    tokio::select! {
        served = server => served,
        () = stopped => Ok(()),
    }
}

async fn keep_metrics_small() {
    loop {
        tokio::time::sleep(METRICS_UPKEEP).await;
        telemetry::metrics().run_upkeep();
    }
}
