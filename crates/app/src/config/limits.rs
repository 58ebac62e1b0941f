use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::parse;

/// How much is taken from whom, and at once.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Limits (every flag is also an environment variable)")]
pub struct Limits {
    /// Answer 429 to those who ask far more often than people do: `on` or `off`.
    #[arg(long, env, value_name = "SWITCH", default_value = "on", value_parser = parse::switch,
          action = clap::ArgAction::Set)]
    pub rate_limit: bool,

    /// Proxies whose X-Forwarded-For or Forwarded header is believed: addresses or networks
    /// such as 10.0.0.0/8, separated by commas; unset: nobody's.
    #[arg(long, env, value_name = "NETWORKS", default_value = "", hide_default_value = true,
          value_parser = proxies)]
    pub trusted_proxies: Proxies,

    /// Most joins of a queue from one address in a minute, 1 to 1000000.
    #[arg(long, env, value_name = "COUNT", default_value = "6000", value_parser = parse::limit)]
    pub joins_per_address: u32,

    /// Most seats of one concert that a user holds at once, 1 to 1000000.
    #[arg(long, env, value_name = "COUNT", default_value = "4", value_parser = parse::limit)]
    pub holds_per_user: u32,

    /// Most connections of one address that is no trusted proxy, 1 to 1000000.
    #[arg(long, env, value_name = "COUNT", default_value = "1000", value_parser = parse::limit)]
    pub connections_per_address: u32,

    /// Most requests that are worked on at once, 1 to 1000000 [default: 128 per core, at least
    /// 256, at most 1024].
    #[arg(long, env, value_name = "COUNT", value_parser = parse::limit)]
    pub max_in_flight: Option<u32>,

    /// Longest time to work on a request, but for the admin routes; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "10s", value_parser = parse::duration)]
    pub request_deadline: Duration,

    /// How long a stopping process, not ready any more, still takes connections; 0s to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "0s", value_parser = parse::delay)]
    pub drain_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate_limit: true,
            trusted_proxies: Proxies::default(),
            joins_per_address: 6_000,
            holds_per_user: 4,
            connections_per_address: 1_000,
            max_in_flight: None,
            request_deadline: Duration::from_secs(10),
            drain_delay: Duration::ZERO,
        }
    }
}

impl Limits {
    /// Enough to keep the cores and the connections to a database busy; what is beyond it would
    /// only wait inside instead of being refused at once.
    pub fn in_flight(&self) -> u32 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        self.max_in_flight.unwrap_or_else(|| cores.saturating_mul(128).clamp(256, 1_024))
    }
}

/// Those who may say for whom they ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Whether this address is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

pub(super) fn proxies(text: &str) -> Result<Proxies, String> {
    let network =
        |part: &str| part.parse().ok().or_else(|| Some(part.parse::<IpAddr>().ok()?.into()));
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(network).collect::<Option<_>>().map(Proxies).ok_or_else(|| {
        "must be addresses or networks, such as 10.0.0.0/8,::1, separated by commas".to_owned()
    })
}

impl std::str::FromStr for Proxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        proxies(text)
    }
}
