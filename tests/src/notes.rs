use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::{Answer, Call};

/// No request may take longer, whatever has become of the servers behind the service.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// What clients saw: how often each answer came, and how long the slowest one took.
#[derive(Default)]
pub struct Notes(Mutex<Table>);

/// Notes that are not written any more.
#[derive(Default, Clone)]
pub struct Table(BTreeMap<(&'static str, String), (u32, Duration)>);

impl Notes {
    /// Sends a request and notes what comes of it; `None` if nobody answers. An answer that takes
    /// too long, and one that no client should ever get, is a failure.
    pub async fn send(&self, what: &'static str, call: Call) -> Option<Answer> {
        let begun = Instant::now();
        let answer = call.attempt().await;
        let took = begun.elapsed();
        assert!(took < DEADLINE, "{what} took {took:?}: {answer:?}");
        self.note(what, seen(answer.as_ref().ok()), took);
        let answer = answer.ok()?;
        assert!(answer.status != 500, "{answer:?}");
        if answer.status == 503 {
            answer.refused(503, "SERVICE_UNAVAILABLE");
        }
        Some(answer)
    }

    fn note(&self, what: &'static str, seen: String, took: Duration) {
        let mut table = self.0.lock().expect("nobody panics in here");
        let (count, slowest) = table.0.entry((what, seen)).or_default();
        *count += 1;
        *slowest = took.max(*slowest);
    }

    /// Takes what was noted since the last time.
    pub fn take(&self) -> Table {
        std::mem::take(&mut self.0.lock().expect("nobody panics in here"))
    }
}

fn seen(answer: Option<&Answer>) -> String {
    let Some(answer) = answer else { return "no answer".to_owned() };
    match answer.body["code"].as_str() {
        Some(code) => format!("{} {code}", answer.status),
        None => answer.status.to_string(),
    }
}

impl Table {
    /// How often the answers that `matches` says something about came.
    pub fn count(&self, what: &str, seen: &str) -> u32 {
        let lines = self.0.iter().filter(|((w, s), _)| *w == what && s.starts_with(seen));
        lines.map(|(_, (count, _))| count).sum()
    }

    /// How many requests met something that was not in order: no answer, or a server's failure.
    pub fn disturbed(&self) -> u32 {
        let lines = self.0.iter().filter(|((_, s), _)| s.starts_with(['5', 'n']));
        lines.map(|(_, (count, _))| count).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((what, seen), (count, slowest)) in &self.0 {
            let slowest = slowest.as_secs_f64();
            writeln!(f, "    {what:<12} {seen:<32} {count:>6} times, at most {slowest:.2} s")?;
        }
        Ok(())
    }
}
