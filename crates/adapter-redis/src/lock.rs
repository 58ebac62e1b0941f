//! Leases on names: one key each, which holds the owner and ends with the lease.
//!
//! The lock is a shield and never a proof, so a lease is not renewed while its holder works: the
//! caller asks for one that is longer than any transaction may take, and if it lapses all the
//! same the store's own guards decide.

use std::time::Duration;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::lock::{Lock, Locked};
use redis::Script;

use crate::Redis;

const WHAT: &str = "the lock";

pub(crate) struct LockScripts {
    release: Script,
}

impl Default for LockScripts {
    fn default() -> Self {
        Self { release: Script::new(include_str!("lock/release.lua")) }
    }
}

#[async_trait]
impl Lock for Redis {
    async fn acquire(&self, name: &str, owner: &str, lease: Duration) -> Result<Locked> {
        let millis = lease.as_millis().clamp(1, u128::from(u32::MAX)) as u64;
        let mut set = redis::cmd("SET");
        set.arg(self.lock_key(name)).arg(owner).arg("NX").arg("GET").arg("PX").arg(millis);
        let holder: Option<String> = self.command(WHAT, &set).await?;
        Ok(holder.map_or(Locked::Acquired, Locked::HeldBy))
    }

    async fn release(&self, name: &str, owner: &str) -> Result<()> {
        let mut release = self.scripts.lock.release.key(self.lock_key(name));
        self.script(WHAT, release.arg(owner)).await
    }
}

impl Redis {
    fn lock_key(&self, name: &str) -> String {
        self.key(format_args!("lock:{name}"))
    }
}
