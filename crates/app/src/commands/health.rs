//! `concert health`: the readiness of a running service, for a place that has no other HTTP client,
//! such as its container.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::bench::load::{Wire, get};
use super::say;
use crate::config;

/// Which service is asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert health
  concert health --http-addr 127.0.0.1:9090 --timeout 1s

The exit status is 0 if the service can serve and 1 if it cannot; the output says what is missing.")]
pub struct Args {
    /// The address that the service listens on; 0.0.0.0 stands for this machine.
    #[arg(long, env, value_name = "ADDRESS", default_value = "127.0.0.1:8080",
          value_parser = config::address)]
    http_addr: SocketAddr,
    /// How long the service may take to answer.
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = config::duration)]
    timeout: Duration,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let addr = reachable(args.http_addr);
    tokio::time::timeout(args.timeout, ask(addr))
        .await
        .with_context(|| format!("http://{addr} does not answer in time"))?
}

async fn ask(addr: SocketAddr) -> Result<()> {
    let mut service = Wire::open(addr).await?;
    let answer = service.exchange(&get("/readyz", "")).await?;
    if answer.status == 200 {
        return say(format_args!("http://{addr} is ready."));
    }
    let readiness = serde_json::from_slice(answer.body).context("the answer is no JSON")?;
    match down(&readiness)[..] {
        [] => bail!("http://{addr} is not ready: it is starting or stopping"),
        ref names => bail!("http://{addr} is not ready: {} is down", names.join(", ")),
    }
}

/// The dependencies that do not answer.
fn down(readiness: &Value) -> Vec<&str> {
    let checks = readiness["checks"].as_array().map_or(&[][..], Vec::as_slice);
    let down = checks.iter().filter(|check| check["status"] == "down");
    down.filter_map(|check| check["name"].as_str()).collect()
}

/// Where to connect for a service that listens there: not every system lets a client connect to the
/// address that stands for all of its own.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{down, reachable};

    #[test]
    fn only_what_does_not_answer_is_named() {
        let readiness = json!({"checks": [
            {"name": "mysql", "status": "down"},
            {"name": "redis", "status": "up"},
            {"name": "kafka", "status": "down"},
        ]});
        assert_eq!(down(&readiness), ["mysql", "kafka"]);
        assert!(down(&json!("no such thing")).is_empty());
    }

    #[test]
    fn a_service_that_listens_everywhere_is_asked_on_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(reachable(listening.parse().unwrap()).to_string(), asked);
        }
    }
}
