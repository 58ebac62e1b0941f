use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::{DatabaseUrl, Ratio};

/// How callers say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Whatever is in front of the service has authenticated the caller.
    Trusted,
    /// The caller has a bearer token.
    Jwt,
}

impl fmt::Display for AuthMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted => f.write_str("trusted"),
            Self::Jwt => f.write_str("jwt"),
        }
    }
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Serves requests.
    pub api: bool,
    /// Runs the workers.
    pub worker: bool,
}

impl Default for Roles {
    fn default() -> Self {
        Self { api: true, worker: true }
    }
}

/// For whom log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| (SHORTEST..=LONGEST).contains(time))
        .ok_or_else(|| {
            "must be a time with its unit, such as 300ms, 2s, 5m, 24h or 30d, from 100ms to 365d"
                .to_owned()
        })
}

/// A duration that may be none at all.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).ok().filter(|time| *time <= LONGEST).ok_or_else(|| {
        "must be a time with its unit, such as 0s, 300ms, 2s or 5m, up to 365d".to_owned()
    })
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    }
}

pub(super) fn limit(text: &str) -> Result<u32, String> {
    number(text, 1..=1_000_000)
}

pub(super) fn connections(text: &str) -> Result<usize, String> {
    number(text, 1..=64)
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    number(text, 1..=256)
}

fn number<T>(text: &str, allowed: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    text.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| {
        format!("must be a whole number from {} to {}", allowed.start(), allowed.end())
    })
}

/// Six digits behind the point are enough to tell one request in a million.
pub(super) fn ratio(text: &str) -> Result<Ratio, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    let ratio = number.map(|number| Ratio((number * 1e6).round() as u32));
    ratio.ok_or_else(|| "must be a number from 0 to 1, such as 0.1".to_owned())
}

/// An address below which something is asked by HTTP, or nothing.
pub(super) fn http_url(text: &str) -> Result<String, String> {
    let is_http = |url: &::url::Url| matches!(url.scheme(), "http" | "https");
    let plain = |url: &::url::Url| url.query().is_none() && url.fragment().is_none();
    let fits = ::url::Url::parse(text).is_ok_and(|url| is_http(&url) && plain(&url));
    if text.is_empty() || fits {
        Ok(text.to_owned())
    } else {
        Err("must be http://HOST:PORT or https://HOST:PORT, perhaps with a path".to_owned())
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

/// An IP address and a port. `localhost` is taken for the IPv4 loopback address: looking names
/// up would make the start depend on a name server.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    local
        .map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "must be an IP address and a port, such as 127.0.0.1:8080".to_owned())
}

pub(super) fn database_url(text: &str) -> Result<DatabaseUrl, String> {
    text.parse()
}

pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = (1..=100).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 100 letters, digits, dots, dashes or underscores".to_owned())
    }
}

pub(super) fn roles(text: &str) -> Result<Roles, String> {
    let mut roles = Roles { api: false, worker: false };
    for role in text.split(',').map(str::trim) {
        match role {
            "api" => roles.api = true,
            "worker" => roles.worker = true,
            _ => return Err("must be api, worker or api,worker".to_owned()),
        }
    }
    Ok(roles)
}

pub(super) fn auth_mode(text: &str) -> Result<AuthMode, String> {
    match text {
        "trusted" => Ok(AuthMode::Trusted),
        "jwt" => Ok(AuthMode::Jwt),
        _ => Err("must be jwt or trusted".to_owned()),
    }
}

pub(super) fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text {
        "HS256" => Ok(Algorithm::HS256),
        "RS256" => Ok(Algorithm::RS256),
        "ES256" => Ok(Algorithm::ES256),
        "EdDSA" => Ok(Algorithm::EdDSA),
        _ => Err("must be HS256, RS256, ES256 or EdDSA".to_owned()),
    }
}

/// A file's name; an empty one is as good as none.
pub(super) fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be pretty or json".to_owned()),
    }
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::builder()
        .parse(text)
        .map(|_| text.to_owned())
        .map_err(|_| "must be log levels, such as info or warn,concert_app=debug".to_owned())
}
