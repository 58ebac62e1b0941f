//! The server that tests share, and servers of their own for tests that would disturb others.
// Each test program uses a part of this only.
#![allow(dead_code)]
// What a server is reached by comes from whoever started it.
#![allow(clippy::disallowed_methods)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use concert_adapter_redis::Redis;
use concert_domain::UserId;
use concert_domain::health::Probe;
use concert_domain::queue::QueueToken;
use tempfile::TempDir;

/// What the shared server is reached by.
pub fn address() -> String {
    std::env::var("TEST_REDIS_URL").expect(
        "TEST_REDIS_URL names no Redis server: run this with `scripts/services run -- COMMAND`",
    )
}

/// A prefix that no other test uses, so that tests share a server without seeing each other.
pub fn own_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}:", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The shared server under a prefix.
pub async fn shared(prefix: &str) -> Redis {
    Redis::connect(&address(), prefix).await.unwrap()
}

/// A plain connection, for what the adapter does not do.
pub async fn plain(address: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(address).unwrap();
    // A connection of a test is no service: it may wait for as long as the server is busy.
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// A server of its own: the program of the shared one, on a socket in a folder that goes with it.
pub struct PrivateServer {
    child: Child,
    folder: TempDir,
    options: Vec<String>,
}

impl PrivateServer {
    pub async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// A cluster of one, which has every slot.
    pub async fn start_cluster() -> Self {
        // Free a moment ago. Nobody connects to it, but the server insists on one.
        let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = format!("--cluster-enabled yes --bind 127.0.0.1 --cluster-port {bus}");
        Self::start_with(options.split(' ').map(str::to_owned).collect()).await
    }

    async fn start_with(options: Vec<String>) -> Self {
        let folder = TempDir::new().unwrap();
        let child = launch(&folder, &options);
        let server = Self { child, folder, options };
        server.wait_until_it_answers().await;
        server
    }

    pub fn address(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("socket").display())
    }

    pub async fn connect(&self) -> Redis {
        Redis::connect(&self.address(), "").await.unwrap()
    }

    /// Stops every thread of the server; its socket stays open.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// A server without any data takes the place of this one, which gets no time to say goodbye.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(&self.folder, &self.options);
    }

    async fn wait_until_it_answers(&self) {
        let redis = self.connect().await;
        until("the server answers", async || redis.check().await.is_ok()).await;
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(status.success(), "no {name} for the server");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The shared server's own command line, but for its last word, the configuration file.
fn launch(folder: &TempDir, options: &[String]) -> Child {
    let pid = std::env::var("TEST_REDIS_PID").expect(
        "TEST_REDIS_PID names no Redis server: run this with `scripts/services run -- COMMAND`",
    );
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let mut words: Vec<&str> = line.split_terminator('\0').collect();
    words.pop();
    Command::new(words[0])
        .args(&words[1..])
        .args(["--port", "0", "--save", "", "--unixsocket", "socket", "--dir"])
        .arg(folder.path())
        .args(options)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// So many users from `first` on, each with a token made of the user's number.
pub fn users(first: i64, count: u32) -> Vec<(UserId, QueueToken)> {
    let pair = |user: i64| {
        let token = QueueToken::from_bytes(i128::from(user).to_be_bytes());
        (UserId::try_from(user).unwrap(), token)
    };
    (first..).take(count as usize).map(pair).collect()
}

/// Waits until the condition holds, and fails if it does not within ten seconds.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(10), "still waiting until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
