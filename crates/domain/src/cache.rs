//! Copies of what the store says, which may vanish and never go back in time.

mod copies;
mod flights;

pub use copies::{Copies, Lifetime};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::Result;

/// The generation of a cached name. A reader notes it before it reads the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(pub i64);

/// What is kept: bytes that all who were given them share.
pub type Value = Arc<Vec<u8>>;

/// What a cache knows under a name in one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The generation at the time of the look-up.
    pub generation: Generation,
    /// The value stored under that generation, if there is one and its time is not over.
    pub value: Option<Value>,
}

/// Port: a cache under the versioned protocol.
///
/// A name has one generation and holds a value in each of its *forms* (all seats, only the free
/// ones, ...). A reader calls `get`; on a miss it reads the store and calls `put` with the
/// generation that it had noted *before* that read. Whoever changed the store calls `bump` *after*
/// its commit.
///
/// * `put` MUST store only while the generation is still the noted one, in one atomic step: a
///   fill that raced a change stores nothing.
/// * After `bump` returned, neither `get` nor `peek` of this process MUST answer a value that was
///   put before, in any form; those of another process MUST NOT after [`NEAR_FOR`].
/// * A bump that failed MUST be made up for as soon as that can be done.
/// * A generation that was lost MUST NOT come back with a number handed out before.
/// * A value MUST NOT be answered after its time to live.
/// * `get` MAY wait, for less than a second, while somebody else is reading the same from the
///   store; it then answers what that reader put.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Cache: Send + Sync {
    /// A value that is at hand in this process; `None` says nothing.
    fn peek(&self, name: &str, form: &str) -> Option<Value>;

    /// What is known under the name in this form.
    async fn get(&self, name: &str, form: &str) -> Result<Lookup>;

    /// Stores a value that was read under the noted generation; answers whether it did.
    async fn put(
        &self,
        name: &str,
        form: &str,
        noted: Generation,
        value: Value,
        ttl: Duration,
    ) -> Result<bool>;

    /// Makes everything that is stored under these names old.
    async fn bump(&self, names: &[String]) -> Result<()>;
}

/// For how long a value may be used in a process after its generation was last confirmed.
pub const NEAR_FOR: Duration = Duration::from_millis(100);

/// A cache that keeps nothing: the service without copies.
pub struct NoCache;

#[async_trait]
impl Cache for NoCache {
    fn peek(&self, _: &str, _: &str) -> Option<Value> {
        None
    }

    async fn get(&self, _: &str, _: &str) -> Result<Lookup> {
        Ok(Lookup { generation: Generation(0), value: None })
    }

    async fn put(&self, _: &str, _: &str, _: Generation, _: Value, _: Duration) -> Result<bool> {
        Ok(false)
    }

    async fn bump(&self, _: &[String]) -> Result<()> {
        Ok(())
    }
}
