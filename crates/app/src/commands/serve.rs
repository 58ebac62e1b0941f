//! `concert serve`.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::say;
use crate::auth::Authority;
use crate::config::{Config, LogArgs, LogFormat, Telemetry};
use crate::{Application, Lobby, composition};

/// How the service is to run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert serve --seed-demo
  HTTP_ADDR=127.0.0.1:0 DATABASE_URL=sqlite:/tmp/try.db concert serve
  concert serve --roles worker
  concert serve --http-addr 0.0.0.0:8080 --auth-mode trusted --auth-trusted-anywhere --gateway-sandbox
  JWT_SECRET=... GATEWAY_URL=https://... GATEWAY_SECRET=... concert serve --http-addr 0.0.0.0:8080 --auth-mode jwt
  concert serve --auth-mode jwt --jwt-algorithm RS256 --jwt-jwks-file keys.json

A time has a unit: 300ms, 2s, 5m, 24h, 30d. Ctrl-C or SIGTERM stops the service in order.")]
pub struct Args {
    #[command(flatten)]
    config: Config,
}

impl Args {
    /// What the service tells of itself.
    pub fn telemetry(&self) -> &Telemetry {
        &self.config.telemetry
    }
}

/// Runs the command.
pub async fn run(args: Args, log: &LogArgs) -> Result<()> {
    let config = args.config;
    // Before the store is touched: what is wrong with the configuration needs no store.
    Authority::open(config.auth()?)?;
    config.check_drain()?;
    config.gateway()?;
    let guided = config.seed_demo && config.roles.api && log.log_format == LogFormat::Pretty;
    let stop = stop_signal()?;
    let lobby = if config.roles.api { Some(Lobby::open(&config)?) } else { None };
    if config.migrate_on_start {
        lobby.iter().for_each(Lobby::migrating);
        composition::migrate(&config.engines).await?;
    }
    let ports = composition::engine(&config).await?;
    let app = Application::build_behind(lobby, config, ports).await?;
    if guided {
        say(walk(app.addr()))?;
    }
    app.run_until_stopped(stop).await
}

/// Ends with the first Ctrl-C or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate =
        signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be listened for")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The lines that walk the main job on the demo data, to be pasted into another terminal.
fn walk(addr: SocketAddr) -> String {
    let steps = WALK.replace("{addr}", &addr.to_string());
    format!("Serving on http://{addr} (explorer: http://{addr}/docs).\n{steps}")
}

const WALK: &str = r#"Buy a seat of concert 1 as user 1, by pasting these lines into another terminal:

  API=http://{addr}/api/v1 JSON='content-type: application/json'
  TOKEN=$(curl -s $API/queue/tokens -H "$JSON" -d '{"userId":1,"concertId":1}' | grep -o '[0-9a-f]\{32\}'); PASS="concert-queue-token: $TOKEN"
  curl -sw '\n' $API/queue/status -H "$PASS"
  SEAT=$(curl -s "$API/schedules/1/seats?status=AVAILABLE" -H "$PASS" | grep -o '"id":[0-9]*' | tail -1 | cut -d: -f2)
  HOLD=$(curl -s $API/reservations -H "$JSON" -H "$PASS" -d '{"userId":1,"scheduleId":1,"seatId":'$SEAT'}'); echo "$HOLD"
  curl -sw '\n' -X PATCH $API/points/charge -H "$JSON" -d '{"userId":1,"amount":80000,"paymentMethod":"CARD"}'
  curl -sw '\n' $API/payments -H "$JSON" -H "$PASS" -d '{"userId":1,'$(echo "$HOLD" | grep -o '"reservationId":[0-9]*')'}'

Stop with Ctrl-C."#;
