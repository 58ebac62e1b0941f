use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How callers say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Whatever is in front of the service has authenticated the caller.
    Trusted,
}

impl fmt::Display for AuthMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted => f.write_str("trusted"),
        }
    }
}

/// Which engine keeps the data, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The embedded engine, in this file.
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    pub(super) const DEFAULT: &str = "sqlite:var/concert.db";

    /// Where the file of the embedded engine is.
    pub fn path(&self) -> &Path {
        let Self::Sqlite(path) = self;
        path
    }
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self::Sqlite(PathBuf::from("var/concert.db"))
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        database_url(text)
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

pub(super) fn limit(text: &str) -> Result<u32, String> {
    number(text, 1..=1_000_000)
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
    if text.starts_with("mysql:") {
        return Err("this build has the embedded engine only; use sqlite:PATH".to_owned());
    }
    let path = text.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match path {
        // SQLite's own name for a store without a file, which would keep nothing.
        None | Some("" | ":memory:") => {
            Err("must be sqlite:PATH, such as sqlite:var/concert.db".to_owned())
        }
        Some(path) => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
    }
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
        "jwt" => Err("this build cannot check bearer tokens yet; use trusted".to_owned()),
        _ => Err("must be trusted".to_owned()),
    }
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

/// A URL as it may be shown: what stands between `//` and `@` is left out.
pub(super) fn without_password(url: &str) -> String {
    match url.split_once("//") {
        Some((scheme, rest)) if rest.contains('@') => {
            let host = rest.rsplit('@').next().unwrap_or_default();
            format!("{scheme}//...@{host}")
        }
        _ => url.to_owned(),
    }
}
