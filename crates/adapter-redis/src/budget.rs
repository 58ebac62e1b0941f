//! Buckets that all instances share: one key each, which ends when the bucket is full again.

use std::time::Duration;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::budget::{Budgets, Quota};
use redis::Script;

use crate::Redis;

const WHAT: &str = "the shared budgets";

pub(crate) struct BudgetScripts {
    take: Script,
}

impl Default for BudgetScripts {
    fn default() -> Self {
        Self { take: Script::new(include_str!("budget.lua")) }
    }
}

#[async_trait]
impl Budgets for Redis {
    async fn take(&self, name: &str, units: u32, quota: Quota) -> Result<Option<Duration>> {
        let refill = quota.refill.as_micros().clamp(1, u128::from(u32::MAX)) as u64;
        let mut take = self.scripts.budget.take.key(self.key(format_args!("budget:{name}")));
        let wait: u64 = self
            .script(WHAT, take.arg(units.min(quota.burst)).arg(refill).arg(quota.burst))
            .await?;
        Ok((wait > 0).then(|| Duration::from_micros(wait)))
    }
}
