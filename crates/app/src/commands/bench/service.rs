use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::load::{Wire, cpu_of, get};

/// How long a process may take to listen, to be ready, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// This program once more, as a process of its own that listens; killed when dropped.
pub(super) struct Service {
    child: Child,
    pub addr: SocketAddr,
    /// From the start of the process until it was ready to serve.
    pub ready_after: Duration,
}

/// Resident memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Memory {
    pub now: f64,
    pub peak: f64,
}

impl Service {
    /// `concert serve` on a free port; what is not told here, it takes from the environment.
    pub(super) async fn serve(folder: &Path, variables: &[(&str, String)]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("this program's file")?);
        command.arg("serve").current_dir(folder);
        command.envs([
            ("HTTP_ADDR", "127.0.0.1:0"),
            ("AUTH_MODE", "trusted"),
            ("RATE_LIMIT", "off"),
            ("LOG_FORMAT", "pretty"),
            ("RUST_LOG", "info,rskafka=error"),
        ]);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::start(command, "/readyz").await
    }

    /// `concert bench bare`.
    pub(super) async fn bare() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("this program's file")?);
        command.args(["bench", "bare"]).envs([("LOG_FORMAT", "pretty"), ("RUST_LOG", "info")]);
        Self::start(command, "/").await
    }

    async fn start(mut command: Command, ready: &str) -> Result<Self> {
        let begun = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("this program cannot be started once more")?;
        let log = child.stderr.take().context("its log")?;
        let found = listen(log);
        let addr = match tokio::time::timeout(PATIENCE, found).await {
            Ok(Ok(Ok(addr))) => addr,
            Ok(Ok(Err(log))) => bail!("the service ended before it listened:\n{log}"),
            _ => {
                child.kill().ok();
                bail!("the service did not listen within {} s", PATIENCE.as_secs());
            }
        };
        let mut service = Self { child, addr, ready_after: Duration::ZERO };
        service.wait_until_ready(ready).await?;
        service.ready_after = begun.elapsed();
        Ok(service)
    }

    async fn wait_until_ready(&self, path: &str) -> Result<()> {
        let (end, request) = (Instant::now() + PATIENCE, get(path, ""));
        loop {
            if let Ok(mut wire) = Wire::open(self.addr).await
                && let Ok(answer) = wire.exchange(&request).await
                && answer.status == 200
            {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("the service was not ready within {} s", PATIENCE.as_secs());
            }
            sleep(PAUSE).await;
        }
    }

    /// The number of the process.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Time that the process has spent on the processor.
    pub(super) fn cpu(&self) -> Duration {
        cpu_of(self.child.id()).unwrap_or_default()
    }

    /// Its memory, where the system tells it.
    pub(super) fn memory(&self) -> Option<Memory> {
        memory(&std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?)
    }

    /// Asks it to stop, and waits until it has.
    pub(super) async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().context("kill")?;
        if !sent.success() {
            bail!("process {pid} cannot be asked to stop");
        }
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().context("the service")?.is_none() {
            if Instant::now() > end {
                bail!("the service did not stop within {} s", PATIENCE.as_secs());
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already if it was stopped in order.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reads a log up to the line with the bound address; the rest is read and dropped, so that the
/// service never waits for its log to be read. A log that ends before is answered whole.
fn listen(log: ChildStderr) -> oneshot::Receiver<Result<SocketAddr, String>> {
    let (found, answer) = oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(log).lines().map_while(std::io::Result::ok);
        let mut seen = String::new();
        let addr = lines.find_map(|line| {
            let addr = address(&line);
            seen.push_str(&line);
            seen.push('\n');
            addr
        });
        found.send(addr.ok_or(seen)).ok();
        lines.for_each(drop);
    });
    answer
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, behind) = line.split_once("listening on http://")?;
    behind.split_whitespace().next()?.parse().ok()
}

fn memory(status: &str) -> Option<Memory> {
    let mebibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: f64 =
            line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes / 1_024.0)
    };
    Some(Memory { now: mebibytes("VmRSS")?, peak: mebibytes("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_and_the_memory_are_found() {
        let line = "2026-11-25T17:00:00Z  INFO concert: listening on http://127.0.0.1:4711 a=b";
        assert_eq!(address(line), "127.0.0.1:4711".parse().ok());
        assert_eq!(address("listening"), None);
        let status = "Name:\tconcert\nVmHWM:\t   61440 kB\nVmRSS:\t   51200 kB\n";
        assert_eq!(memory(status), Some(Memory { now: 50.0, peak: 60.0 }));
        assert_eq!(memory(""), None);
    }
}
