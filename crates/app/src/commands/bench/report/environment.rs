//! On what the figures were found: machine, versions, commit.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::config::{DatabaseUrl, Engines};

/// How long a server has to say its version.
const ANSWER: Duration = Duration::from_secs(2);

/// Where and with what a part was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Environment {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    /// Name and version of the compiler and of the servers that were used.
    pub versions: BTreeMap<String, String>,
    pub commit: String,
    pub date: String,
    /// `release` or `debug`; figures of a debug build say little.
    pub build: String,
}

impl Environment {
    /// This machine, this build, and the servers that these engines name.
    pub async fn of(engines: &Engines) -> Self {
        let mut versions = BTreeMap::from([("rustc".to_owned(), rustc().to_owned())]);
        if let DatabaseUrl::Mysql(url) = &engines.database_url {
            versions.insert("MySQL".into(), told(mysql_version(url.expose()).await));
        }
        if let Some(url) = engines.redis() {
            versions.insert("Redis".into(), told(redis_version(url.expose()).await));
        }
        if engines.kafka().is_some() {
            versions.insert("Kafka".into(), "as set up; its protocol does not tell".into());
        }
        Self { versions, ..Self::here() }
    }

    fn here() -> Self {
        let cpu = file("/proc/cpuinfo").and_then(|text| field(&text, "model name"));
        let memory = file("/proc/meminfo").and_then(|text| field(&text, "MemTotal"));
        let kib: f64 = memory.and_then(|m| m.split(' ').next()?.parse().ok()).unwrap_or(0.0);
        Self {
            cpu: told(cpu),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib / 1_048_576.0 * 10.0).round() / 10.0,
            kernel: told(file("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned())),
            versions: BTreeMap::new(),
            commit: commit(),
            date: date(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        }
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let versions: Vec<_> = self
            .versions
            .iter()
            .map(|(name, version)| {
                if version.starts_with(name) {
                    version.clone()
                } else {
                    format!("{name} {version}")
                }
            })
            .collect();
        format!(
            "{} x {}, {} GiB, Linux {}; {}; {} build of {}; {}",
            self.cores,
            self.cpu,
            self.memory_gib,
            self.kernel,
            versions.join(", "),
            self.build,
            self.commit,
            self.date
        )
    }
}

fn rustc() -> &'static str {
    env!("CONCERT_RUSTC")
}

fn date() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = DateTime::from_timestamp(i64::try_from(since.as_secs()).unwrap_or(0), 0);
    told(now.map(|now| now.to_rfc3339_opts(SecondsFormat::Secs, true)))
}

fn told(answer: Option<String>) -> String {
    answer.unwrap_or_else(|| "unknown".to_owned())
}

fn file(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The value behind the first `name: value` of a file of the kernel.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The commit of the working folder, with a plus if something was changed since.
fn commit() -> String {
    let git = |args: &[&str]| {
        let out =
            Command::new("git").args(args).output().ok().filter(|out| out.status.success())?;
        String::from_utf8(out.stdout).ok()
    };
    let Some(hash) = git(&["rev-parse", "--short", "HEAD"]) else { return told(None) };
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", "crates"]);
    let mark = if changed.is_some_and(|text| !text.is_empty()) { "+" } else { "" };
    format!("{}{mark}", hash.trim())
}

/// MySQL says its version in the first packet, before anybody logs in.
async fn mysql_version(url: &str) -> Option<String> {
    let greeting = exchange(url, 3306, &[]).await?;
    let version = greeting.get(5..)?.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(version).into_owned())
}

async fn redis_version(url: &str) -> Option<String> {
    let parsed = Url::parse(url).ok()?;
    let mut ask = String::new();
    if let Some(password) = parsed.password() {
        let user = if parsed.username().is_empty() { "default" } else { parsed.username() };
        ask.push_str(&format!("AUTH {user} {password}\r\n"));
    }
    ask.push_str("INFO server\r\n");
    let answer = exchange(url, 6379, ask.as_bytes()).await?;
    field(&String::from_utf8_lossy(&answer), "redis_version")
}

/// Says something to a server and answers what it says first.
async fn exchange(url: &str, port: u16, ask: &[u8]) -> Option<Vec<u8>> {
    let url = Url::parse(url).ok()?;
    let host = (url.host_str()?.to_owned(), url.port().unwrap_or(port));
    let talk = async {
        let mut stream = TcpStream::connect(host).await.ok()?;
        stream.write_all(ask).await.ok()?;
        let mut answer = vec![0; 4_096];
        let count = stream.read(&mut answer).await.ok()?;
        answer.truncate(count);
        Some(answer)
    };
    timeout(ANSWER, talk).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_machine_has_a_compiler_and_a_date() {
        let here = Environment::of(&Engines::default()).await;
        assert!(here.cores > 0 && here.versions["rustc"].starts_with("rustc "));
        assert!(here.line().contains(&here.date), "{}", here.line());
    }

    #[test]
    fn fields_are_found_by_name() {
        let text = "vendor: x\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(text, "nothing"), None);
    }
}
