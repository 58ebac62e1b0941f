//! What the tests share: the broker of the run, topics of one's own, and a broker of one's own.
// Not every test file needs all of it.
#![allow(dead_code)]

use std::fs::DirEntry;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use concert_adapter_kafka::Kafka;
use concert_domain::event::{EventLog, LogEntry, PAYMENT_TOPIC, Record};
use tempfile::TempDir;

/// Few, because each costs the broker files; more than one, so that keys spread.
pub const PARTITIONS: u32 = 4;

const SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/services");

/// The broker that the run was given.
pub fn brokers() -> String {
    // The rule against reading the environment is for the service; a test is told this way.
    #[allow(clippy::disallowed_methods)]
    let brokers = std::env::var("TEST_KAFKA_BROKERS");
    brokers.expect("TEST_KAFKA_BROKERS is not set: run this with scripts/services run -- COMMAND")
}

/// A topic prefix that no other test has, in this run or an earlier one on the same broker.
pub fn fresh_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("t{now}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub async fn open(brokers: &str, prefix: &str) -> Kafka {
    Kafka::connect(brokers, prefix, PARTITIONS).await.unwrap()
}

/// Records of one key with these values.
pub fn records(key: &str, values: &[&str]) -> Vec<Record> {
    let record = |v: &&str| Record::new(key, v.as_bytes());
    values.iter().map(record).collect()
}

pub fn values(entries: &[LogEntry]) -> Vec<String> {
    entries.iter().map(|e| String::from_utf8_lossy(&e.record.value).into_owned()).collect()
}

/// Repeats a call until the log is there again; the error of the last try if it never is.
pub async fn append_when_back(log: &Kafka, records: &[Record]) {
    let give_up = tokio::time::Instant::now() + Duration::from_secs(30);
    while let Err(error) = log.append(PAYMENT_TOPIC, records).await {
        assert!(tokio::time::Instant::now() < give_up, "still {error}");
    }
}

/// A Kafka of the test's own, which it may pause and kill.
pub struct Broker {
    folder: TempDir,
    // Stops the broker when its input closes: when this value is dropped, and also when the whole
    // test process is gone without a chance to drop anything.
    guard: Child,
    guard_input: Option<ChildStdin>,
}

impl Broker {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"read -r || true; "$0" down --dir "$1" kafka; rm -rf "$1""#;
        let mut guard = Command::new("setsid")
            .args(["bash", "-c", script, SERVICES])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setsid and bash run");
        let guard_input = guard.stdin.take();
        let broker = Self { folder, guard, guard_input };
        broker.up();
        broker
    }

    /// Starts it; again on the same port and data if it was killed.
    pub fn up(&self) {
        let mut up = Command::new(SERVICES)
            .args(["up", "--dir"])
            .arg(self.folder.path())
            .arg("kafka")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("scripts/services runs");
        let mut said = String::new();
        up.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(up.wait().unwrap().success(), "no Kafka of the test's own: {said}");
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.read("port"))
    }

    /// Another address, where it can be told to start the next time. Like its first port, this
    /// one lies below those that the system gives to outgoing connections.
    pub fn other_address(&self) -> String {
        let first: u16 = self.read("port").parse().unwrap();
        let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        format!("127.0.0.1:{}", (first + 1..).find(free).unwrap())
    }

    /// Has it start at another address the next time.
    pub fn move_to(&self, address: &str) {
        let (_, port) = address.split_once(':').unwrap();
        std::fs::write(self.folder.path().join("kafka/port"), port).unwrap();
    }

    /// Answers when every thread stands still; the signal alone is not yet that.
    pub async fn pause(&self) {
        self.signal("STOP");
        let threads = format!("/proc/{}/task", self.read("pid"));
        let stopped = |thread: std::io::Result<DirEntry>| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
            // A thread that has just ended stands still too.
            stat.map_or(true, |stat| stat.rsplit(") ").next().unwrap().starts_with('T'))
        };
        while !std::fs::read_dir(&threads).unwrap().all(stopped) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn go_on(&self) {
        self.signal("CONT");
    }

    pub async fn kill(&self) {
        self.signal("KILL");
        let process = format!("/proc/{}/fd", self.read("pid"));
        while Path::new(&process).exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.read("pid");
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(&pid).status();
        assert!(sent.expect("kill runs").success(), "SIG{signal} to {pid}");
    }

    fn read(&self, file: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("kafka").join(file)).unwrap();
        text.trim().to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Its data is worth nothing now, so it need not say goodbye.
        let pid = self.read("pid");
        Command::new("kill").args(["-KILL", &pid]).stderr(Stdio::null()).status().ok();
        self.guard_input = None;
        self.guard.wait().ok();
    }
}
