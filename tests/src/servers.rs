use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");

/// Where MySQL, Redis and Kafka answer.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// `mysql://user:password@host:port/database`; the user may make databases `concert...`.
    pub mysql: String,
    /// `redis://host:port`.
    pub redis: String,
    /// `host:port`.
    pub kafka: String,
}

impl Addresses {
    /// The servers that all tests share.
    pub fn shared() -> Self {
        Self {
            mysql: variable("TEST_MYSQL_URL"),
            redis: variable("TEST_REDIS_URL"),
            kafka: variable("TEST_KAFKA_BROKERS"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test run is told this way where its servers are")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} names no server: run this with `scripts/services run -- COMMAND`")
    })
}

/// One of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The database.
    Mysql,
    /// Queue, lock and cache.
    Redis,
    /// The event log.
    Kafka,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mysql, Self::Redis, Self::Kafka];

    fn name(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Kafka => "kafka",
        }
    }
}

/// Servers of a test's own, which it may pause, kill and start again.
pub struct Servers {
    folder: TempDir,
    guard: Child,
    guard_input: Option<ChildStdin>,
}

impl Servers {
    /// Starts these.
    pub async fn start(which: &[Server]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Stops the servers when its input closes: when this value is dropped, and also when the
        // whole test program is gone without a chance to drop anything.
        let script = r#"read -r || true; "$0" down --dir "$1"; rm -rf "$1""#;
        let mut guard = Command::new("setsid")
            .args(["bash", "-c", script, SCRIPT])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setsid and bash run");
        let guard_input = guard.stdin.take();
        let servers = Self { folder, guard, guard_input };
        servers.up(which).await;
        servers
    }

    /// Starts servers, on the port and with the data that they had before if they were killed, and
    /// waits until they answer.
    pub async fn up(&self, servers: &[Server]) {
        // Not the standard library's: those who share the thread go on meanwhile.
        let output = tokio::process::Command::new(SCRIPT)
            .args(["up", "--dir"])
            .arg(self.folder.path())
            .args(servers.iter().map(|server| server.name()))
            .stdin(Stdio::null())
            .output()
            .await
            .expect("scripts/services runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no servers of the test's own: {said}");
    }

    /// Where they answer; those that were not started are the shared ones.
    pub fn addresses(&self) -> Addresses {
        let env = std::fs::read_to_string(self.folder.path().join("env")).expect("the addresses");
        let address = |variable: &str, shared: &str| {
            let start = format!("export {variable}='");
            let own = env.lines().find_map(|line| line.strip_prefix(&start));
            own.map_or_else(|| self::variable(shared), |own| own.trim_end_matches('\'').to_owned())
        };
        Addresses {
            mysql: address("DATABASE_URL", "TEST_MYSQL_URL"),
            redis: address("REDIS_URL", "TEST_REDIS_URL"),
            kafka: address("KAFKA_BROKERS", "TEST_KAFKA_BROKERS"),
        }
    }

    /// Stops every thread of a server; its port stays open and nobody answers there.
    pub async fn pause(&self, server: Server) {
        self.signal(server, "STOP");
        let threads = format!("/proc/{}/task", self.read(server, "pid"));
        until(|| {
            std::fs::read_dir(&threads).expect("it lives").flatten().all(|t| stands(&t.path()))
        })
        .await;
    }

    /// Lets a paused server go on.
    pub fn go_on(&self, server: Server) {
        self.signal(server, "CONT");
    }

    /// Ends a server as a power cut does.
    pub async fn kill(&self, server: Server) {
        let process = format!("/proc/{}/fd", self.read(server, "pid"));
        self.signal(server, "KILL");
        until(|| !Path::new(&process).exists()).await;
    }

    /// Has every server run again, whatever was done to it.
    pub async fn mend(&self) {
        for server in Server::ALL {
            // A server that was killed has no process to be woken.
            Command::new("kill").args(["-CONT", &self.read(server, "pid")]).output().ok();
        }
        self.up(&Server::ALL).await;
    }

    fn signal(&self, server: Server, signal: &str) {
        let pid = self.read(server, "pid");
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.expect("kill runs").success(), "SIG{signal} to {server:?}");
    }

    fn read(&self, server: Server, file: &str) -> String {
        let path = self.folder.path().join(server.name()).join(file);
        std::fs::read_to_string(path).expect("a file of scripts/services").trim().to_owned()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Their data is worth nothing now, so they need not say goodbye.
        for server in Server::ALL {
            let pid = self.folder.path().join(server.name()).join("pid");
            if let Ok(pid) = std::fs::read_to_string(pid) {
                Command::new("kill")
                    .args(["-KILL", pid.trim()])
                    .stderr(Stdio::null())
                    .status()
                    .ok();
            }
        }
        self.guard_input = None;
        self.guard.wait().ok();
    }
}

/// Whether a thread stands still; one that has just ended does too.
fn stands(thread: &Path) -> bool {
    let Ok(stat) = std::fs::read_to_string(thread.join("stat")) else { return true };
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
