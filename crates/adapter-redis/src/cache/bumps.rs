//! Bumps of many callers in one call: of all who change one list in the same moment, one is enough.

use std::collections::BTreeSet;

use concert_domain::Result;
use futures::future::try_join_all;

use super::{KEEP, WHAT};
use crate::Redis;
use crate::together::{Together, Wish, tell};

/// Those who wait until their names are bumped.
pub(crate) type Bumps = Together<Vec<String>, ()>;

pub(crate) fn bumps() -> Bumps {
    Together::new(WHAT)
}

impl Redis {
    /// Bumps the names with those of all who come at the same time, in a call that begins after
    /// this one.
    pub(super) async fn bump_with_others(&self, names: &[String]) -> Result<()> {
        self.bumps.submit(self, names.to_vec(), |redis| &redis.bumps, Self::serve_bumps).await
    }

    async fn serve_bumps(self, batch: Vec<Wish<Vec<String>, ()>>) {
        let names: BTreeSet<&String> = batch.iter().flat_map(|wish| &wish.item).collect();
        let bumped = self.bump_now(names).await;
        let answers = bumped.map(|()| batch.iter().map(|_| Ok(())).collect());
        tell(batch, answers);
    }

    /// Names lie in slots of their own: a call each, all on their way at once.
    pub(super) async fn bump_now(&self, names: impl IntoIterator<Item = &String>) -> Result<()> {
        let bumps = names.into_iter().map(|name| async move {
            let mut bump = self.scripts.cache.bump.key(self.generation_key(name));
            bump.arg(KEEP.as_secs());
            self.script::<()>(WHAT, &bump).await
        });
        try_join_all(bumps).await.map(drop)
    }
}
