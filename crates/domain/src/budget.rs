//! Budgets that all instances of the service share.

use std::time::Duration;

use async_trait::async_trait;

use crate::Result;

/// How much may be taken: a bucket that holds `burst` units and gets one back every `refill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Units that a bucket nobody has touched holds, 1 or more.
    pub burst: u32,
    /// How long one unit takes to come back; at least a microsecond.
    pub refill: Duration,
}

/// Port: buckets by name, one for all instances.
///
/// * Within any time `t` all callers together MUST NOT be granted more units of a name than
///   `burst + t / refill`.
/// * A refusal MUST take nothing, and say after how long the units will be there if nobody else
///   takes any.
/// * A bucket is as good as full when it is forgotten, and MUST NOT be forgotten before it is full.
/// * A call MUST end within a second or two, with an error if the store does not answer. What a
///   process counts by itself holds then.
#[async_trait]
pub trait Budgets: Send + Sync {
    /// Takes units, at most `burst` of them, or answers how long to wait for them.
    async fn take(&self, name: &str, units: u32, quota: Quota) -> Result<Option<Duration>>;
}

/// Grants everything: for a single instance, whose own count is the whole count.
pub struct Unshared;

#[async_trait]
impl Budgets for Unshared {
    async fn take(&self, _name: &str, _units: u32, _quota: Quota) -> Result<Option<Duration>> {
        Ok(None)
    }
}
