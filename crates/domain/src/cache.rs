//! Copies of what the store says, which may vanish and never go back in time.

use std::time::Duration;

use async_trait::async_trait;

use crate::Result;

/// The generation of a cached name. A reader notes it before it reads the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(pub i64);

/// What a cache knows under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The generation at the time of the look-up.
    pub generation: Generation,
    /// The value stored under that generation, if there is one and its time is not over.
    pub value: Option<Vec<u8>>,
}

/// Port: a cache under the versioned protocol.
///
/// A reader calls `get`; on a miss it reads the store and calls `put` with the generation that it
/// had noted *before* that read. Whoever changed the store calls `bump` *after* its commit.
///
/// * `put` MUST store only while the generation is still the noted one, in one atomic step: a
///   fill that raced a change stores nothing.
/// * After `bump` returned, `get` MUST NOT answer a value that was put before.
/// * A generation that was lost MUST NOT come back with a number handed out before.
/// * A value MUST NOT be answered after its time to live.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Cache: Send + Sync {
    /// What is known under the name.
    async fn get(&self, name: &str) -> Result<Lookup>;

    /// Stores a value that was read under the noted generation; answers whether it did.
    async fn put(
        &self,
        name: &str,
        noted: Generation,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<bool>;

    /// Makes everything that is stored under these names old.
    async fn bump(&self, names: &[String]) -> Result<()>;
}
