use async_trait::async_trait;

use super::{User, UserName};
use crate::{Result, UserId};

/// Whether a name was kept for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The user had no name before.
    Created(User),
    /// The user had one; it is replaced, `created_at` stays.
    Renamed(User),
}

/// Port: the names of users.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Keeps a name for an id that the caller vouches for.
    async fn keep(&self, id: UserId, name: UserName) -> Result<Kept>;

    /// Keeps a name for an id that the service gives.
    ///
    /// * MUST answer `None` and change nothing if the id is in use: it has a name, points or
    ///   reservations. Nobody is ever given somebody else's points.
    async fn create(&self, id: UserId, name: UserName) -> Result<Option<User>>;

    /// The user, if a name is kept.
    async fn find(&self, id: UserId) -> Result<Option<User>>;
}
