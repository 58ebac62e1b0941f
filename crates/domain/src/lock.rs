//! The shield in front of a contended row.

use std::any::Any;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
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

/// A turn at a name. It ends when it is dropped.
pub struct Turn {
    /// Whether somebody else was at the name, or waited for it, when the turn was asked for, or a
    /// lock of the name was heard of that this process has not ended since.
    pub contended: bool,
    _place: Option<Box<dyn Any + Send + Sync>>,
}

impl Turn {
    /// A turn where nobody counts turns.
    pub fn uncounted() -> Self {
        Self { contended: false, _place: None }
    }

    /// A turn that lasts as long as the place is kept.
    pub fn with(contended: bool, place: impl Any + Send + Sync) -> Self {
        Self { contended, _place: Some(Box::new(place)) }
    }
}

/// Port: short leases on names, to fail fast in front of the store. Never a proof: every change
/// is safe without it, and a caller that cannot reach the lock goes on without.
///
/// * Of any number of concurrent callers at most one MUST acquire a name within one lease.
/// * A lock MUST end by itself when its lease is over.
/// * `renew` and `release` MUST act only if `owner` has the name, in one atomic step.
/// * `clear` MUST end the lock whoever has it: what it told the others is true no more.
/// * `seen_holder` MUST NOT answer what was true longer than [`NEAR_FOR`](crate::cache::NEAR_FOR) ago,
///   nor a lock that this process has ended since.
/// * While `keep` is polled the lease MUST be renewed well before it ends; once it is dropped the
///   lock ends with the lease that it has.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait Lock: Send + Sync {
    /// Tries once, without waiting.
    async fn acquire(&self, name: &str, owner: &str, lease: Duration) -> Result<Locked>;

    /// Starts the owner's lease anew; answers `false` if the owner has the lock no more.
    async fn renew(&self, name: &str, owner: &str, lease: Duration) -> Result<bool>;

    /// Renews the lease again and again. Ends only when the owner has the lock no more.
    async fn keep(&self, name: &str, owner: &str, lease: Duration);

    /// Gives the lock back; does nothing if the owner has it no more.
    async fn release(&self, name: &str, owner: &str) -> Result<()>;

    /// Who has the name now.
    async fn holder(&self, name: &str) -> Result<Option<String>>;

    /// Who had the name when this process last heard of it; `None` says nothing.
    fn seen_holder(&self, _name: &str) -> Option<String> {
        None
    }

    /// Ends the lock of the name, if there is one.
    async fn clear(&self, name: &str) -> Result<()>;

    /// Waits until the caller may work at the name: an engine may let only a few callers of its
    /// process do so at once. A wait that is too long is refused as unavailable.
    async fn turn(&self, _name: &str) -> Result<Turn> {
        Ok(Turn::uncounted())
    }
}

/// Does the work while the lock is kept. Losing the lock does not stop the work, which is safe
/// without it; dropping the work stops the renewal.
pub async fn while_kept<T>(keep: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    let (mut keep, mut work) = (pin!(keep), pin!(work));
    let mut kept = true;
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        if kept && keep.as_mut().poll(context).is_ready() {
            kept = false;
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn work_goes_on_when_the_lock_is_lost_and_ends_its_renewal() {
        let mut turns = 0;
        let work = poll_fn(|context| {
            turns += 1;
            context.waker().wake_by_ref();
            if turns < 3 { Poll::Pending } else { Poll::Ready("done") }
        });
        assert_eq!(block_on(while_kept(async {}, work)), "done");
        assert_eq!(block_on(while_kept(std::future::pending(), async { 7 })), 7);
    }
}
