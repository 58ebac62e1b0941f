use std::sync::Arc;

use super::{Kept, User, UserName, UserStore};
use crate::{Error, IdAllocator, IdKind, Result, UserId};

/// How many ids in use are skipped in one request before the store is called unavailable; ids
/// that callers vouch for may lie in the way of the counter.
const MAX_SKIPPED: u32 = 1_000;

/// Use cases of the user slice.
pub struct UserService {
    store: Arc<dyn UserStore>,
    ids: Arc<IdAllocator>,
}

impl UserService {
    /// Over a store and the ids.
    pub fn new(store: Arc<dyn UserStore>, ids: Arc<IdAllocator>) -> Self {
        Self { store, ids }
    }

    /// Keeps a name, for the given id or for a new one that nobody uses.
    pub async fn register(&self, id: Option<UserId>, name: UserName) -> Result<Kept> {
        if let Some(id) = id {
            return self.store.keep(id, name).await;
        }
        for _ in 0..MAX_SKIPPED {
            let id = self.ids.next(IdKind::User).await?;
            if let Some(user) = self.store.create(id, name.clone()).await? {
                return Ok(Kept::Created(user));
            }
        }
        Err(Error::unavailable("a free user id"))
    }

    /// The user; [`Error::UserNotFound`] if no name is kept.
    pub async fn find(&self, id: UserId) -> Result<User> {
        self.store.find(id).await?.ok_or(Error::UserNotFound)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::super::MockUserStore;
    use super::*;
    use crate::id::MockIdBlocks;
    use crate::{IdBlock, Timestamp};

    fn name() -> UserName {
        UserName::try_from("Kim".to_owned()).unwrap()
    }

    #[test]
    fn a_new_user_never_gets_an_id_in_use() {
        let mut blocks = MockIdBlocks::new();
        blocks.expect_take().returning(|_, count| Ok(IdBlock { first: 1, count }));
        let mut store = MockUserStore::new();
        store.expect_create().returning(|id, name| {
            Ok((id.get() > 3).then_some(User { id, name, created_at: Timestamp::MIN }))
        });
        let service =
            UserService::new(Arc::new(store), Arc::new(IdAllocator::new(Arc::new(blocks))));
        let Kept::Created(user) = block_on(service.register(None, name())).unwrap() else {
            panic!("a new id is a new user");
        };
        assert_eq!(user.id.get(), 4);
    }

    #[test]
    fn names_are_bounded() {
        for bad in ["", "   ", "a\nb", &"x".repeat(101)] {
            assert!(UserName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert!(UserName::try_from("김".repeat(100)).is_ok());
    }
}
