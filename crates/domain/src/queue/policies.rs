use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures::lock::Mutex;

use super::{KeptPolicy, PolicyPatch, PolicyStore};
use crate::audit::Edit;
use crate::{ConcertId, Result};

/// The policies of all queues, as this process knows them. They are read again at every tick, all
/// of them in one read, so no request waits for the store; while the store does not answer, what
/// was known last holds.
pub struct Policies {
    store: Arc<dyn PolicyStore>,
    known: RwLock<HashMap<ConcertId, KeptPolicy>>,
    /// Held from before a read until its result is known, so that an older read never replaces
    /// what a newer one or a change of this process found.
    reading: Mutex<()>,
}

impl Policies {
    /// Over the store; nothing is known before the first [`Policies::refresh`].
    pub fn new(store: Arc<dyn PolicyStore>) -> Self {
        Self { store, known: RwLock::default(), reading: Mutex::default() }
    }

    /// What is known of a concert's policy.
    pub fn of(&self, concert: ConcertId) -> KeptPolicy {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&concert).copied().unwrap_or_default()
    }

    /// Reads all policies; answers how many there are.
    pub async fn refresh(&self) -> Result<usize> {
        let _alone = self.reading.lock().await;
        let all: HashMap<_, _> = self.store.policies().await?.into_iter().collect();
        let count = all.len();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(count)
    }

    /// A concert's policy, from the store.
    pub async fn read(&self, concert: ConcertId) -> Result<KeptPolicy> {
        self.store.policy(concert).await
    }

    /// Changes a concert's policy in the store; this process knows it at once.
    pub async fn change(
        &self,
        edit: Edit,
        concert: ConcertId,
        patch: PolicyPatch,
    ) -> Result<KeptPolicy> {
        let changed = self.store.set_policy(edit, concert, patch).await?;
        let _alone = self.reading.lock().await;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let own = known.entry(concert).or_default();
        if changed.version > own.version {
            *own = changed;
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::Error;
    use crate::queue::{MockPolicyStore, Mode, Policy};

    fn kept(mode: Mode, version: i64) -> KeptPolicy {
        KeptPolicy { policy: Policy { mode, ..Policy::default() }, version }
    }

    fn concert(id: i64) -> ConcertId {
        ConcertId::try_from(id).unwrap()
    }

    #[test]
    fn what_was_known_last_holds_while_the_store_is_out_of_reach() {
        let mut store = MockPolicyStore::new();
        let mut reads = 0;
        store.expect_policies().returning(move || {
            reads += 1;
            match reads {
                1 => {
                    Ok(vec![(concert(1), kept(Mode::Hold, 1)), (concert(2), kept(Mode::Drain, 4))])
                }
                2 => Err(Error::unavailable("the store")),
                _ => Ok(vec![(concert(2), kept(Mode::Open, 5))]),
            }
        });
        let policies = Policies::new(Arc::new(store));
        assert_eq!(policies.of(concert(1)), KeptPolicy::default());
        assert_eq!(block_on(policies.refresh()), Ok(2));
        assert!(block_on(policies.refresh()).is_err());
        assert_eq!(policies.of(concert(1)), kept(Mode::Hold, 1));
        assert_eq!(policies.of(concert(2)), kept(Mode::Drain, 4));
        assert_eq!(block_on(policies.refresh()), Ok(1));
        assert_eq!(policies.of(concert(1)), KeptPolicy::default(), "the concert is gone");
        assert_eq!(policies.of(concert(2)), kept(Mode::Open, 5));
    }

    #[test]
    fn of_two_changes_the_newer_one_is_known() {
        let mut store = MockPolicyStore::new();
        let mut answers = vec![kept(Mode::Hold, 2), kept(Mode::Drain, 3)];
        store.expect_set_policy().returning(move |_, _, _| Ok(answers.pop().unwrap()));
        let policies = Policies::new(Arc::new(store));
        block_on(policies.change(Edit::default(), concert(1), PolicyPatch::default())).unwrap();
        block_on(policies.change(Edit::default(), concert(1), PolicyPatch::default())).unwrap();
        assert_eq!(policies.of(concert(1)), kept(Mode::Drain, 3));
    }
}
