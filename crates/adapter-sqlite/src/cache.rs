use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::cache::{Cache, Generation, Lookup};
use concert_domain::{Clock, Result, Timestamp};

/// No value is older than this: another process on the same file (`concert seed`, a second
/// `concert serve`) has no way to make values of this one old, and a read that starts a second
/// after a change must show it.
const MAX_TTL: Duration = Duration::from_secs(1);

/// When so many values are kept, those whose time is over are dropped first.
const SWEEP_FROM: usize = 10_000;

/// A cache of one process, in memory.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts every bump of any name. A name's generation is the count at its last bump, so that
    /// forgetting a name and counting on never gives an old number again.
    bumps: i64,
    /// What a name that is not in `entries` counts as.
    floor: i64,
    entries: HashMap<String, Entry>,
}

struct Entry {
    generation: i64,
    value: Option<(Vec<u8>, Timestamp)>,
}

impl MemoryCache {
    /// Nothing is kept.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets what is over. What is forgotten counts as bumped now, so that a fill that noted
    /// an older generation stores nothing.
    fn sweep(&mut self, now: Timestamp) {
        if self.entries.len() < SWEEP_FROM {
            return;
        }
        self.bumps += 1;
        self.floor = self.bumps;
        self.entries.retain(|_, entry| entry.value.as_ref().is_some_and(|(_, until)| *until > now));
    }

    fn generation(&self, name: &str) -> i64 {
        self.entries.get(name).map_or(self.floor, |entry| entry.generation)
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, name: &str) -> Result<Lookup> {
        let now = self.clock.now();
        let state = self.state();
        let value = state.entries.get(name).and_then(|entry| entry.value.as_ref());
        let value = value.filter(|(_, until)| *until > now).map(|(bytes, _)| bytes.clone());
        Ok(Lookup { generation: Generation(state.generation(name)), value })
    }

    async fn put(
        &self,
        name: &str,
        noted: Generation,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<bool> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.generation(name) != noted.0 {
            return Ok(false);
        }
        state.sweep(now);
        let value = Some((value, now.plus(ttl.min(MAX_TTL))));
        let generation = state.generation(name);
        state.entries.insert(name.to_owned(), Entry { generation, value });
        Ok(true)
    }

    async fn bump(&self, names: &[String]) -> Result<()> {
        let now = self.clock.now();
        let mut state = self.state();
        state.sweep(now);
        for name in names {
            state.bumps += 1;
            let generation = state.bumps;
            state.entries.insert(name.clone(), Entry { generation, value: None });
        }
        Ok(())
    }
}
