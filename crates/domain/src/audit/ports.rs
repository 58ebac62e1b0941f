use std::time::Duration;

use async_trait::async_trait;

use super::{Entry, Resource};
use crate::{Page, PageRequest, Result};

/// Which changes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Those of one sort of thing.
    Of(Resource),
    /// Those of one thing.
    One(Resource, i64),
}

/// Port: the changes that operators made.
///
/// * The store MUST write the line of a change in the transaction of the change: a change has
///   exactly one, and what was refused or undone has none.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// The changes, newest first.
    async fn changes(&self, filter: Filter, page: PageRequest) -> Result<Page<Entry>>;

    /// Forgets at most `limit` changes that are older than this; answers how many.
    async fn purge(&self, age: Duration, limit: u32) -> Result<u32>;
}
