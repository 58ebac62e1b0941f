//! Copies under the versioned protocol: two keys of one hash tag for a name.
//!
//! * `cache:{NAME}:g` is the generation, kept for a day after its last change. One that is missing
//!   starts at the server's time in microseconds, and one that is bumped never falls behind that
//!   time: no number comes back, whatever was lost in between.
//! * `cache:{NAME}:v` is the value, which ends with its time to live or with the next bump.

use std::time::Duration;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::cache::{Cache, Generation, Lookup};
use futures::future::try_join_all;
use redis::Script;

use crate::Redis;

const WHAT: &str = "the cache";

/// How long a generation is kept. A fill that takes longer stores nothing.
const KEEP: Duration = Duration::from_secs(24 * 3_600);

pub(crate) struct CacheScripts {
    start: Script,
    put: Script,
    bump: Script,
}

impl Default for CacheScripts {
    fn default() -> Self {
        Self {
            start: Script::new(include_str!("cache/start.lua")),
            put: Script::new(include_str!("cache/put.lua")),
            bump: Script::new(include_str!("cache/bump.lua")),
        }
    }
}

#[async_trait]
impl Cache for Redis {
    async fn get(&self, name: &str) -> Result<Lookup> {
        let mut get = redis::cmd("MGET");
        get.arg(self.generation_key(name)).arg(self.value_key(name));
        if let (Some(generation), value) = self.command(WHAT, &get).await? {
            return Ok(Lookup { generation: Generation(generation), value });
        }
        let mut start = self.scripts.cache.start.key(self.generation_key(name));
        start.key(self.value_key(name)).arg(KEEP.as_secs());
        let generation = self.script(WHAT, &start).await?;
        Ok(Lookup { generation: Generation(generation), value: None })
    }

    async fn put(
        &self,
        name: &str,
        noted: Generation,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<bool> {
        let Ok(millis @ 1..) = u32::try_from(ttl.as_millis().min(u128::from(u32::MAX))) else {
            return Ok(false);
        };
        let mut put = self.scripts.cache.put.key(self.generation_key(name));
        put.key(self.value_key(name)).arg(noted.0).arg(value).arg(millis);
        self.script(WHAT, &put).await
    }

    async fn bump(&self, names: &[String]) -> Result<()> {
        // Names lie in slots of their own: a call each, all on their way at once.
        let bumps = names.iter().map(|name| async {
            let mut bump = self.scripts.cache.bump.key(self.generation_key(name));
            bump.key(self.value_key(name)).arg(KEEP.as_secs());
            self.script::<()>(WHAT, &bump).await
        });
        try_join_all(bumps).await.map(drop)
    }
}

impl Redis {
    fn generation_key(&self, name: &str) -> String {
        self.key(format_args!("cache:{{{name}}}:g"))
    }

    fn value_key(&self, name: &str) -> String {
        self.key(format_args!("cache:{{{name}}}:v"))
    }
}
