//! Copies under the versioned protocol. The keys of a name have one hash tag:
//!
//! * `cache:{NAME}:g` is the generation, kept for fifteen minutes after its last change. One that is missing
//!   starts at the server's time in microseconds, and one that is bumped never falls behind that
//!   time: no number comes back, whatever was lost in between.
//! * `cache:{NAME}:v:FORM` is a value behind the generation that it belongs to, in eight bytes. It
//!   ends with its time to live, or counts for nothing from the next bump on.
//! * `cache:{NAME}:f:FORM` says which process is reading the store for it.
//!
//! In front of them lies what this process has seen (`near.rs`).

mod bumps;
mod near;
mod owed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use concert_domain::cache::{Cache, Generation, Lookup, Value};
use concert_domain::{Error, Result};
use redis::Script;
use tokio::time::sleep;

use crate::Redis;
pub(crate) use bumps::{Bumps, bumps};
pub(crate) use near::Near;
use near::Seen;
pub(crate) use owed::Owed;

const WHAT: &str = "the cache";

/// A generation, a value behind its own, and for how many milliseconds the value lives.
type Found = ((Option<i64>, Option<Vec<u8>>), i64);

/// How long a generation is kept: longer than any value, and not so long that asking for what does
/// not exist fills the memory. A fill that takes longer stores nothing.
const KEEP: Duration = Duration::from_secs(15 * 60);
/// How long others wait for a process that reads the store and does not come back.
const FILL: Duration = Duration::from_millis(500);
/// How often they look.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct CacheScripts {
    claim: Script,
    put: Script,
    bump: Script,
}

impl Default for CacheScripts {
    fn default() -> Self {
        Self {
            claim: Script::new(include_str!("cache/claim.lua")),
            put: Script::new(include_str!("cache/put.lua")),
            bump: Script::new(include_str!("cache/bump.lua")),
        }
    }
}

#[async_trait]
impl Cache for Redis {
    fn peek(&self, name: &str, form: &str) -> Option<Value> {
        self.near.fresh(name, form)
    }

    async fn get(&self, name: &str, form: &str) -> Result<Lookup> {
        if self.owed.has(name) {
            return Err(Error::unavailable(WHAT));
        }
        if let Some(seen) = self.near.seen(name, form)
            && let Some(lookup) = self.confirm(name, form, seen).await?
        {
            return Ok(lookup);
        }
        let until = Instant::now() + FILL;
        loop {
            if let Some(lookup) = self.fetch(name, form).await? {
                return Ok(lookup);
            }
            let mut claim = self.scripts.cache.claim.key(self.generation_key(name));
            claim.key(self.fill_key(name, form));
            claim.arg(KEEP.as_secs()).arg(&*self.owner).arg(FILL.as_millis() as u64);
            let (generation, ours): (i64, bool) = self.script(WHAT, &claim).await?;
            if ours || Instant::now() >= until {
                return Ok(Lookup { generation: Generation(generation), value: None });
            }
            sleep(LOOK).await;
        }
    }

    async fn put(
        &self,
        name: &str,
        form: &str,
        noted: Generation,
        value: Value,
        ttl: Duration,
    ) -> Result<bool> {
        let Ok(millis @ 1..) = u32::try_from(ttl.as_millis().min(u128::from(u32::MAX))) else {
            return Ok(false);
        };
        let (mark, now) = (self.near.mark(name), Instant::now());
        let mut named = Vec::with_capacity(8 + value.len());
        named.extend(noted.0.to_be_bytes());
        named.extend_from_slice(&value);
        let mut put = self.scripts.cache.put.key(self.generation_key(name));
        put.key(self.value_key(name, form)).key(self.fill_key(name, form));
        put.arg(noted.0).arg(named).arg(millis);
        let stored = self.script(WHAT, &put).await?;
        if stored {
            let until = now + Duration::from_millis(millis.into());
            self.near.keep(name, form, Seen { generation: noted, value, until }, now, mark);
        }
        Ok(stored)
    }

    async fn bump(&self, names: &[String]) -> Result<()> {
        // A caller that goes away, or a server that does, leaves the debt to a task.
        let debt = self.owed.debt(self, names);
        self.near.forget(names);
        let bumped = self.bump_with_others(names).await;
        self.near.forget(names);
        if bumped.is_ok() {
            debt.paid();
        }
        bumped
    }
}

impl Redis {
    /// What is near, if the server still has its generation: its bytes need not be moved.
    async fn confirm(&self, name: &str, form: &str, seen: Seen) -> Result<Option<Lookup>> {
        let (mark, now) = (self.near.mark(name), Instant::now());
        let get = redis::Cmd::get(self.generation_key(name));
        let generation: Option<i64> = self.command(WHAT, &get).await?;
        if generation != Some(seen.generation.0) {
            return Ok(None);
        }
        let lookup = Lookup { generation: seen.generation, value: Some(seen.value.clone()) };
        self.near.keep(name, form, seen, now, mark);
        Ok(Some(lookup))
    }

    /// What the server has.
    async fn fetch(&self, name: &str, form: &str) -> Result<Option<Lookup>> {
        let (mark, now) = (self.near.mark(name), Instant::now());
        let key = self.value_key(name, form);
        let mut pipe = redis::pipe();
        // One instant: a value must not get the time to live of the one that replaced it.
        pipe.atomic();
        pipe.cmd("MGET").arg(self.generation_key(name)).arg(&key).cmd("PTTL").arg(&key);
        let ((generation, named), left): Found = self.commands(WHAT, &pipe).await?;
        let (Some(generation), Some(mut named), Ok(left @ 1..)) =
            (generation, named, u64::try_from(left))
        else {
            return Ok(None);
        };
        if named.get(..8) != Some(&generation.to_be_bytes()) {
            return Ok(None);
        }
        named.drain(..8);
        let value = Arc::new(named);
        let generation = Generation(generation);
        let until = now + Duration::from_millis(left);
        let seen = Seen { generation, value: value.clone(), until };
        self.near.keep(name, form, seen, now, mark);
        Ok(Some(Lookup { generation, value: Some(value) }))
    }

    fn generation_key(&self, name: &str) -> String {
        self.key(format_args!("cache:{{{name}}}:g"))
    }

    fn value_key(&self, name: &str, form: &str) -> String {
        self.key(format_args!("cache:{{{name}}}:v:{form}"))
    }

    fn fill_key(&self, name: &str, form: &str) -> String {
        self.key(format_args!("cache:{{{name}}}:f:{form}"))
    }
}
