use std::future::Future;
use std::time::{Duration, Instant};

/// Longer than any lease: after a crash, what the dead process held comes back only then.
const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(15);

/// Asks until there is something, and fails with `what` when it takes too long.
pub async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
