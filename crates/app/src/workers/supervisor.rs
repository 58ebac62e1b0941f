use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use concert_domain::{Error, Result};
use futures::FutureExt;
use tokio_util::sync::CancellationToken;

/// The longest wait after a failure.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The wait after the first of several failures, doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Work in small steps.
#[async_trait]
pub trait Worker: Send + Sync {
    /// The name in log lines and metrics.
    fn name(&self) -> &'static str;

    /// Does a bounded piece of work; answers whether there is more to do at once.
    async fn step(&self) -> Result<bool>;

    /// Gives back what it holds, so that others can go on.
    async fn stop(&self) -> Result<()> {
        Ok(())
    }
}

/// Repeats the steps of a worker: at once while there is more to do, else after the interval,
/// after a failure with growing waits. A step that panicked has failed; the worker goes on. A
/// step that has begun is never cut off by the stop.
pub(super) async fn supervise(
    worker: Box<dyn Worker>,
    interval: Duration,
    stop: CancellationToken,
) {
    let mut health = Health { name: worker.name(), failures: 0 };
    while !stop.is_cancelled() {
        let result = AssertUnwindSafe(worker.step()).catch_unwind().await;
        let result = result.unwrap_or_else(|_| Err(Error::bug("the step panicked")));
        health.note(&result);
        let wait = match result {
            Ok(true) => Duration::ZERO,
            Ok(false) => interval,
            Err(_) => backoff(health.failures),
        };
        if wait.is_zero() {
            tokio::task::yield_now().await;
        } else {
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }
    if let Err(error) = worker.stop().await {
        tracing::warn!(worker = worker.name(), %error, "the worker could not hand back its work");
    }
}

fn backoff(failures: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(MAX_BACKOFF)
}

/// Tells a failure once when it begins and once when it ends, not with every step.
struct Health {
    name: &'static str,
    failures: u32,
}

impl Health {
    fn note(&mut self, result: &Result<bool>) {
        match result {
            Ok(_) => {
                if self.failures > 0 {
                    let failures = self.failures;
                    tracing::info!(worker = self.name, failures, "the worker has recovered");
                }
                self.failures = 0;
                metrics::gauge!("concert_worker_heartbeat_seconds", "worker" => self.name)
                    .set(seconds_since_epoch());
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::error!(worker = self.name, %error, "the worker fails; it goes on trying");
                }
                self.failures = self.failures.saturating_add(1);
                metrics::counter!("concert_worker_failures_total", "worker" => self.name)
                    .increment(1);
            }
        }
    }
}

fn seconds_since_epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;

    /// Plays a script of step results, then stops itself.
    struct Scripted {
        script: Mutex<Vec<Option<Result<bool>>>>,
        log: Arc<Mutex<Vec<(&'static str, Duration)>>>,
        started: Instant,
        stop: CancellationToken,
    }

    impl Scripted {
        fn note(&self, what: &'static str) {
            self.log.lock().unwrap().push((what, self.started.elapsed()));
        }
    }

    #[async_trait]
    impl Worker for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        async fn step(&self) -> Result<bool> {
            self.note("step");
            let mut script = self.script.lock().unwrap();
            let next = script.remove(0);
            if script.is_empty() {
                self.stop.cancel();
            }
            drop(script);
            next.unwrap_or_else(|| panic!("a step may panic"))
        }

        async fn stop(&self) -> Result<()> {
            self.note("stop");
            Ok(())
        }
    }

    /// Runs the script (`None` is a panic) and answers what was called when, in milliseconds.
    async fn play(script: Vec<Option<Result<bool>>>) -> Vec<(&'static str, u128)> {
        let (log, stop) = (Arc::default(), CancellationToken::new());
        let worker = Scripted {
            script: Mutex::new(script),
            log: Arc::clone(&log),
            started: Instant::now(),
            stop: stop.clone(),
        };
        supervise(Box::new(worker), Duration::from_secs(60), stop).await;
        let log = log.lock().unwrap();
        log.iter().map(|(what, at)| (*what, at.as_millis())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn more_work_is_done_at_once_and_none_waits_the_interval() {
        let calls = play(vec![Some(Ok(true)), Some(Ok(false)), Some(Ok(false))]).await;
        assert_eq!(calls, [("step", 0), ("step", 0), ("step", 60_000), ("stop", 60_000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_and_panics_are_tried_again_with_growing_waits() {
        let down = || Some(Err(Error::unavailable("store")));
        let calls = play(vec![down(), None, down(), Some(Ok(false))]).await;
        assert_eq!(
            calls,
            [("step", 0), ("step", 100), ("step", 300), ("step", 700), ("stop", 700)]
        );
    }

    #[test]
    fn the_wait_after_a_failure_is_bounded() {
        assert_eq!(backoff(1), FIRST_BACKOFF);
        assert_eq!(backoff(u32::MAX), MAX_BACKOFF);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_worker_stops_at_once() {
        let stop = CancellationToken::new();
        let worker = Scripted {
            script: Mutex::new(vec![Some(Ok(false)), Some(Ok(false))]),
            log: Arc::default(),
            started: Instant::now(),
            stop: stop.clone(),
        };
        let started = Instant::now();
        let running = tokio::spawn(supervise(Box::new(worker), MAX_BACKOFF, stop.clone()));
        tokio::task::yield_now().await;
        stop.cancel();
        running.await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
