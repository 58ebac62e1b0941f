//! Leases on names: one key each, which holds the owner and ends with the lease.
//!
//! The lock is a shield and never a proof: if a lease lapses while its holder works, the store's
//! own guards decide.

mod taken;
mod turns;

use std::time::Duration;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::lock::{Lock, Locked, Turn};
use redis::Script;

use crate::Redis;
pub(crate) use taken::Taken;
pub(crate) use turns::Turns;

const WHAT: &str = "the lock";

pub(crate) struct LockScripts {
    release: Script,
    renew: Script,
}

impl Default for LockScripts {
    fn default() -> Self {
        Self {
            release: Script::new(include_str!("lock/release.lua")),
            renew: Script::new(include_str!("lock/renew.lua")),
        }
    }
}

#[async_trait]
impl Lock for Redis {
    async fn acquire(&self, name: &str, owner: &str, lease: Duration) -> Result<Locked> {
        let mark = self.taken.mark();
        let mut set = redis::cmd("SET");
        set.arg(self.lock_key(name)).arg(owner).arg("NX").arg("GET").arg("PX").arg(millis(lease));
        let holder: Option<String> = self.command(WHAT, &set).await?;
        Ok(match holder {
            None => {
                self.taken.keep(name, owner, Some(lease), mark);
                Locked::Acquired
            }
            Some(holder) => {
                self.taken.keep(name, &holder, None, mark);
                Locked::HeldBy(holder)
            }
        })
    }

    async fn renew(&self, name: &str, owner: &str, lease: Duration) -> Result<bool> {
        let mut renew = self.scripts.lock.renew.key(self.lock_key(name));
        self.script(WHAT, renew.arg(owner).arg(millis(lease))).await
    }

    /// A server that does not answer is asked again: the lease may still run.
    async fn keep(&self, name: &str, owner: &str, lease: Duration) {
        loop {
            tokio::time::sleep(lease / 3).await;
            if self.renew(name, owner, lease).await == Ok(false) {
                return;
            }
        }
    }

    async fn release(&self, name: &str, owner: &str) -> Result<()> {
        let mut release = self.scripts.lock.release.key(self.lock_key(name));
        let released = self.script(WHAT, release.arg(owner)).await;
        self.taken.forget(name);
        released
    }

    async fn holder(&self, name: &str) -> Result<Option<String>> {
        let mark = self.taken.mark();
        let get = redis::Cmd::get(self.lock_key(name));
        let holder: Option<String> = self.command(WHAT, &get).await?;
        if let Some(holder) = &holder {
            self.taken.keep(name, holder, None, mark);
        }
        Ok(holder)
    }

    fn seen_holder(&self, name: &str) -> Option<String> {
        self.taken.holder(name)
    }

    async fn clear(&self, name: &str) -> Result<()> {
        let cleared = self.command(WHAT, redis::cmd("DEL").arg(self.lock_key(name))).await;
        self.taken.forget(name);
        cleared
    }

    async fn turn(&self, name: &str) -> Result<Turn> {
        let heard_of = self.taken.heard_of(name);
        let mut turn = self.turns.turn(name).await?;
        turn.contended |= heard_of;
        Ok(turn)
    }
}

impl Redis {
    fn lock_key(&self, name: &str) -> String {
        self.key(format_args!("lock:{name}"))
    }
}

fn millis(lease: Duration) -> u64 {
    lease.as_millis().clamp(1, u128::from(u32::MAX)) as u64
}
