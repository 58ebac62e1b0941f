use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// Ticks in a second in which Linux counts time on the processor.
const TICKS: u64 = 100;

/// Runs work on a thread of its own, which nothing else shares. What it makes need not be sent
/// between threads.
pub(in super::super) async fn on_own_thread<T, F>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    let (done, answer) = oneshot::channel();
    let thread = std::thread::Builder::new().name("load".to_owned());
    thread
        .spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let answer = runtime
                .context("a runtime for the load")
                .and_then(|runtime| LocalSet::new().block_on(&runtime, work()));
            // Nobody listens any more if the bench was stopped.
            done.send(answer).ok();
        })
        .context("a thread for the load")?;
    answer.await.context("the load generator panicked")?
}

/// The time that a process or a thread has spent on the processor, where the system tells it:
/// `self`, `thread-self` or a process id.
pub(in super::super) fn cpu_of(who: impl std::fmt::Display) -> Option<Duration> {
    ticks(&std::fs::read_to_string(format!("/proc/{who}/stat")).ok()?)
        .map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS))
}

/// User and system time, the 14th and 15th field; the second one is a name that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    Some(field()? + field()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_on_the_processor_is_found_behind_any_name() {
        let stat = "7 (a ) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 99 1 1";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("nothing"), None);
    }

    #[tokio::test]
    async fn work_of_one_thread_answers_and_a_panic_is_an_error() {
        let shared = on_own_thread(async || Ok(std::rc::Rc::new(7).as_ref() + 1)).await;
        assert_eq!(shared.unwrap(), 8);
        let panicked: Result<()> = on_own_thread(async || panic!("on purpose")).await;
        assert!(panicked.is_err());
    }
}
