//! Turns at a name among the callers of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use concert_domain::lock::Turn;
use concert_domain::{Error, Result};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::WHAT;

/// How many callers work at one name at once.
const AT_ONCE: usize = 4;
/// How long one waits for a turn.
const WAIT: Duration = Duration::from_secs(2);
/// When there are so many lines, and twice as many as after the last time, those in which nobody
/// stands are dropped.
const SWEEP_FROM: usize = 1_000;

/// The lines in front of names. A line is kept alive by those who stand in it or have a turn.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    lines: HashMap<String, Weak<Semaphore>>,
    swept: usize,
}

impl Turns {
    pub async fn turn(&self, name: &str) -> Result<Turn> {
        let (line, contended) = self.line(name);
        match timeout(WAIT, line.acquire_owned()).await {
            Ok(Ok(place)) => Ok(Turn::with(contended, place)),
            Ok(Err(_)) | Err(_) => Err(Error::unavailable(WHAT)),
        }
    }

    /// The line of a name, and whether somebody is in it.
    fn line(&self, name: &str) -> (Arc<Semaphore>, bool) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.lines.get(name).and_then(Weak::upgrade) {
            return (line, true);
        }
        if lines.lines.len() >= SWEEP_FROM.max(2 * lines.swept) {
            lines.lines.retain(|_, line| line.strong_count() > 0);
            lines.swept = lines.lines.len();
        }
        let line = Arc::new(Semaphore::new(AT_ONCE));
        lines.lines.insert(name.to_owned(), Arc::downgrade(&line));
        (line, false)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_few_have_their_turn_at_a_name_and_the_next_when_one_is_done() {
        let turns = Turns::default();
        let mut working = Vec::new();
        for _ in 0..AT_ONCE {
            working.push(turns.turn("seat").await.unwrap());
        }
        let contended: Vec<_> = working.iter().map(|turn| turn.contended).collect();
        assert_eq!(contended, [false, true, true, true]);
        assert!(turns.turn("seat").now_or_never().is_none(), "the fifth waits");
        assert!(turns.turn("other seat").now_or_never().is_some_and(|turn| turn.is_ok()));
        working.pop();
        assert!(turns.turn("seat").now_or_never().is_some_and(|turn| turn.is_ok()));
        working.clear();
        assert!(!turns.turn("seat").await.unwrap().contended, "everybody has left");
    }

    #[tokio::test]
    async fn lines_in_which_nobody_stands_are_forgotten() {
        let turns = Turns::default();
        for name in 0..5 * SWEEP_FROM {
            turns.turn(&name.to_string()).await.unwrap();
        }
        assert!(turns.0.lock().unwrap().lines.len() <= 2 * SWEEP_FROM);
    }
}
