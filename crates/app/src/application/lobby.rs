//! The address is bound before the store is opened and brought to its version, which may take
//! long: who asks meanwhile learns that the process is alive and not ready, instead of nothing.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::KeepAlive;
use actix_web::{App, HttpServer, web};
use anyhow::{Context, Result};
use tokio::net::TcpSocket;

use super::{BACKLOG, REQUEST_HEAD};
use crate::config::Config;
use crate::routes;
use crate::state::{Phase, Readiness};

/// A bound address, and whoever answers there until the service does.
pub struct Lobby {
    pub(super) listener: TcpListener,
    pub(super) readiness: Readiness,
    server: Option<ServerHandle>,
}

impl Lobby {
    /// Binds the configured address and answers there. Must be called on the runtime that outlives
    /// the start.
    pub fn open(config: &Config) -> Result<Self> {
        let lobby = Self::bound(config)?;
        let (listener, readiness) = (lobby.listener.try_clone()?, lobby.readiness.clone());
        let app = move || {
            App::new().app_data(web::Data::new(readiness.clone())).configure(routes::mount_lobby)
        };
        // No connection is kept: the next request is for the service itself.
        let server = HttpServer::new(app)
            .disable_signals()
            .workers(1)
            .keep_alive(KeepAlive::Disabled)
            .client_request_timeout(REQUEST_HEAD)
            .shutdown_timeout(1)
            .listen(listener)?
            .run();
        tracing::info!("starting; {} answers that it is not ready yet", lobby.address()?);
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self { server: Some(handle), ..lobby })
    }

    /// Binds the configured address; connections wait.
    pub(super) fn bound(config: &Config) -> Result<Self> {
        let addr = config.http_addr;
        let listen = || {
            let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(addr)?;
            socket.listen(BACKLOG)?.into_std()
        };
        let listener =
            listen().with_context(|| format!("HTTP_ADDR {addr} cannot be listened on"))?;
        Ok(Self { listener, readiness: Readiness::default(), server: None })
    }

    /// The bound address.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().context("the bound address")
    }

    /// Says that the store is brought to this program's version.
    pub fn migrating(&self) {
        self.readiness.set(Phase::Migrating);
    }

    /// Takes the one who answers here away, when it is done with whom it has. Connections that
    /// nobody has accepted are left to the service.
    pub(super) fn leave(&mut self) -> Option<impl Future<Output = ()> + use<>> {
        let server = self.server.take()?;
        Some(async move {
            // Not for longer than it takes to answer: it has no work of its own.
            tokio::time::timeout(Duration::from_secs(2), server.stop(true)).await.ok();
        })
    }
}
