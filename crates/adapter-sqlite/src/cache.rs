use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::cache::{Cache, Generation, Lookup, Value};
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
    /// By form; a name has few.
    values: Vec<Kept>,
}

struct Kept {
    form: String,
    value: Value,
    until: Timestamp,
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
        self.entries.retain(|_, entry| entry.values.iter().any(|kept| kept.until > now));
        if self.entries.len() >= SWEEP_FROM {
            self.entries.clear();
        }
    }

    fn find(&self, name: &str, form: &str, now: Timestamp) -> Option<Value> {
        let values = &self.entries.get(name)?.values;
        let kept = values.iter().find(|kept| kept.form == form && kept.until > now)?;
        Some(kept.value.clone())
    }

    fn generation(&self, name: &str) -> i64 {
        self.entries.get(name).map_or(self.floor, |entry| entry.generation)
    }
}

#[async_trait]
impl Cache for MemoryCache {
    fn peek(&self, name: &str, form: &str) -> Option<Value> {
        let now = self.clock.now();
        self.state().find(name, form, now)
    }

    async fn get(&self, name: &str, form: &str) -> Result<Lookup> {
        let now = self.clock.now();
        let state = self.state();
        let value = state.find(name, form, now);
        Ok(Lookup { generation: Generation(state.generation(name)), value })
    }

    async fn put(
        &self,
        name: &str,
        form: &str,
        noted: Generation,
        value: Value,
        ttl: Duration,
    ) -> Result<bool> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.generation(name) != noted.0 {
            return Ok(false);
        }
        state.sweep(now);
        let generation = state.generation(name);
        let until = now.plus(ttl.min(MAX_TTL));
        let entry = state.entries.entry(name.to_owned());
        let entry = entry.or_insert_with(|| Entry { generation, values: Vec::new() });
        entry.values.retain(|kept| kept.form != form && kept.until > now);
        entry.values.push(Kept { form: form.to_owned(), value, until });
        Ok(true)
    }

    async fn bump(&self, names: &[String]) -> Result<()> {
        let now = self.clock.now();
        let mut state = self.state();
        state.sweep(now);
        for name in names {
            state.bumps += 1;
            let generation = state.bumps;
            state.entries.insert(name.clone(), Entry { generation, values: Vec::new() });
        }
        Ok(())
    }
}
