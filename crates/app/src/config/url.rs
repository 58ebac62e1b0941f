use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// The address of a server, which may hold a password: it is written without it, also by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// The address of a Redis server; empty, as Compose files write it, is none.
    pub fn redis(text: &str) -> Result<Self, String> {
        let number = |path: &str| path.is_empty() || path.parse::<u16>().is_ok();
        let fits = |url: Url| number(url.path().trim_start_matches('/'));
        if text.is_empty() || server("redis", text).is_some_and(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err("must be redis://[USER:PASSWORD@]HOST:PORT[/NUMBER]".to_owned())
    }

    /// The address as it was given, for the engine alone.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Which engine keeps the data, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The embedded engine, in this file.
    Sqlite(PathBuf),
    /// A MySQL server.
    Mysql(ServerUrl),
}

impl DatabaseUrl {
    pub(super) const DEFAULT: &str = "sqlite:var/concert.db";
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Mysql(url) => url.fmt(f),
        }
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
        if text.starts_with("mysql:") {
            return mysql(text).map(Self::Mysql).ok_or_else(|| {
                "must be mysql://USER:PASSWORD@HOST:PORT/DATABASE, special characters in it \
                 percent-encoded"
                    .to_owned()
            });
        }
        let path = text.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        match path {
            // SQLite's own name for a store without a file, which would keep nothing.
            None | Some("" | ":memory:") => Err("must be sqlite:PATH, such as \
                 sqlite:var/concert.db, or mysql://USER:PASSWORD@HOST:PORT/DATABASE"
                .to_owned()),
            Some(path) => Ok(Self::Sqlite(PathBuf::from(path))),
        }
    }
}

fn mysql(text: &str) -> Option<ServerUrl> {
    let url = server("mysql", text)?;
    let database = url.path().strip_prefix('/')?;
    let named = !database.is_empty() && !database.contains('/');
    named.then(|| ServerUrl(text.to_owned()))
}

fn server(scheme: &str, text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let fits = url.scheme() == scheme && url.host_str().is_some_and(|host| !host.is_empty());
    fits.then_some(url)
}

/// The addresses of Kafka brokers; empty, as Compose files write it, is none.
pub(super) fn brokers(text: &str) -> Result<String, String> {
    let is_address = |broker: &str| {
        broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse().is_ok_and(|port: u16| port > 0)
        })
    };
    if text.is_empty() || text.split(',').all(is_address) {
        return Ok(text.to_owned());
    }
    Err("must be HOST:PORT, or several separated by commas".to_owned())
}

/// A URL as it may be shown: what stands in front of the host or behind a question mark is left
/// out. Only an address with an `@` can hold a password.
pub(super) fn without_password(url: &str) -> String {
    let Some((front, host)) = url.rsplit_once('@') else { return url.to_owned() };
    let scheme = front.split_once(':').map_or("", |(scheme, _)| scheme);
    let host = host.split('?').next().unwrap_or_default();
    format!("{scheme}://...@{host}")
}
