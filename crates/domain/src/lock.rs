//! The shield in front of a contended row.

use std::time::Duration;

use async_trait::async_trait;

use crate::Result;

/// What came of trying to take a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    /// The caller has it until the lease ends.
    Acquired,
    /// This owner has it. It can be the caller's own name, when two equal requests run at once.
    HeldBy(String),
}

/// Port: short leases on names, to fail fast in front of the store. Never a proof: every change
/// is safe without it, and a caller that cannot reach the lock goes on without.
///
/// * Of any number of concurrent callers at most one MUST acquire a name within one lease.
/// * A lock MUST end by itself when its lease is over.
/// * `release` MUST free the name only if `owner` has it, in one atomic step.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Lock: Send + Sync {
    /// Tries once, without waiting.
    async fn acquire(&self, name: &str, owner: &str, lease: Duration) -> Result<Locked>;

    /// Gives the lock back; does nothing if the owner has it no more.
    async fn release(&self, name: &str, owner: &str) -> Result<()>;
}
