use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{Client, FullSet};

/// Like [`quick`](crate::quick), for a process of its own.
const OFTEN: &[(&str, &str)] = &[
    ("HTTP_WORKERS", "1"),
    ("RATE_LIMIT", "off"),
    ("QUEUE_TICK", "100ms"),
    ("SWEEP_INTERVAL", "100ms"),
    ("RELAY_INTERVAL", "100ms"),
    ("CONSUME_INTERVAL", "100ms"),
    ("RECONCILE_INTERVAL", "100ms"),
];

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary of this build, which lies beside the tests' own folder.
fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own file");
    let path = own.ancestors().nth(2).expect("a profile folder").join("concert");
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build -p concert-app` first",
        path.display()
    );
    path
}

/// A command that sees no configuration but what the test gives it.
fn command(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(folder).env_clear().envs(variables.iter().copied());
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs `concert` to its end in a folder.
pub async fn concert_in(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let run = command(folder, arguments, variables).output();
    let ended = tokio::time::timeout(PATIENCE, run).await.expect("the command ends");
    ended.expect("the command runs")
}

/// Begins to run `concert` in a folder; it is killed when dropped.
pub fn concert_begun(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
    command(folder, arguments, variables).spawn().expect("the command runs")
}

/// Runs `concert` to its end, where no folder matters.
pub async fn concert(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    concert_in(folder.path(), arguments, variables).await
}

/// A `concert serve` in a process of its own, killed when dropped.
pub struct Service {
    child: Child,
    log: Log,
    /// A client of it.
    pub client: Client,
}

impl Service {
    /// Starts one on the full set, with workers that look often.
    pub async fn on(set: &FullSet, variables: &[(&str, &str)]) -> Self {
        let variables = [&set.variables()[..], OFTEN, variables].concat();
        Self::start(set.folder(), &variables).await
    }

    /// Starts one on a free port over the data in a folder, and waits until it listens.
    pub async fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let always = [("HTTP_ADDR", "127.0.0.1:0"), ("DATABASE_URL", "sqlite:concert.db")];
        let variables: Vec<_> = always.iter().chain(variables).copied().collect();
        Self::until(folder, &variables, "http://127.0.0.1:").await
    }

    /// Starts one and waits only until it answers that it is starting.
    pub async fn starting(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let variables = [&[("HTTP_ADDR", "127.0.0.1:0")], variables].concat();
        Self::until(folder, &variables, "starting; 127.0.0.1:").await
    }

    /// Starts one and waits for the line of its log in which its port follows these words.
    async fn until(folder: &Path, variables: &[(&str, &str)], words: &'static str) -> Self {
        let mut command = command(folder, &["serve"], variables);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = child.stderr.take().expect("its log is piped");
        let lines = Log::default();
        let found = tokio::time::timeout(PATIENCE, address(log, lines.clone(), words)).await;
        let client = Client::of(found.expect("the service listens in time"));
        Self { child, log: lines, client }
    }

    /// What it has written to its log so far.
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Ends it as a power cut does.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process is killed");
    }

    /// Asks it to stop; answers its exit status.
    pub async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(sent.expect("kill runs").success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the service stops in time").expect("it has a status").code()
    }
}

/// The lines of a log, which grow while the service runs.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics in here").clone()
    }

    fn push(&self, line: String) {
        self.0.lock().expect("nobody panics in here").push(line);
    }
}

/// Reads the log up to the line with the bound address; the rest is read in the background, so that
/// the service never waits for its log to be read.
async fn address(log: tokio::process::ChildStderr, seen: Log, words: &str) -> String {
    let mut lines = BufReader::new(log).lines();
    while let Some(line) = lines.next_line().await.expect("the log is text") {
        let origin = origin(&line, words);
        seen.push(line);
        if let Some(origin) = origin {
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    seen.push(line);
                }
            });
            return origin;
        }
    }
    panic!("the service ended before it listened:\n{}", seen.lines().join("\n"));
}

fn origin(line: &str, words: &str) -> Option<String> {
    let start = line.find(words)?;
    let digits = line[start + words.len()..].chars();
    let port: String = digits.take_while(char::is_ascii_digit).collect();
    Some(format!("http://127.0.0.1:{port}"))
}
