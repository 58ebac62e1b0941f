//! Names that were found taken a moment ago, so that a crowd in front of one need not ask one by one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use concert_domain::cache::NEAR_FOR;

/// More names than are fought for at one time.
const MOST: usize = 4_096;

/// Who had which name, for as long as that may be told without asking, or until this process has
/// ended the lock.
#[derive(Default)]
pub(crate) struct Taken {
    names: Mutex<HashMap<String, Seen>>,
    ended: AtomicU64,
}

struct Seen {
    holder: String,
    until: Instant,
}

/// Before the server was asked: if this process ended a lock meanwhile, the answer may be from
/// before that and is not kept.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    ended: u64,
    asked: Instant,
}

impl Taken {
    pub fn holder(&self, name: &str) -> Option<String> {
        let names = self.names();
        let seen = names.get(name)?;
        (Instant::now() < seen.until).then(|| seen.holder.clone())
    }

    /// Whether there was a lock of the name, however long ago, that this process has not ended
    /// since. May forget.
    pub(super) fn heard_of(&self, name: &str) -> bool {
        self.names().contains_key(name)
    }

    /// To be taken before the server is asked.
    pub(super) fn mark(&self) -> Mark {
        Mark { ended: self.ended.load(Ordering::SeqCst), asked: Instant::now() }
    }

    /// The holder had the name then, for the rest of its lease at the most.
    pub(super) fn keep(&self, name: &str, holder: &str, lease: Option<Duration>, mark: Mark) {
        let mut names = self.names();
        if self.ended.load(Ordering::SeqCst) != mark.ended {
            return;
        }
        if names.len() >= MOST {
            names.retain(|_, seen| seen.until > mark.asked);
            if names.len() >= MOST {
                names.clear();
            }
        }
        let until = mark.asked + lease.unwrap_or(NEAR_FOR).min(NEAR_FOR);
        names.insert(name.to_owned(), Seen { holder: holder.to_owned(), until });
    }

    pub fn forget(&self, name: &str) {
        let mut names = self.names();
        self.ended.fetch_add(1, Ordering::SeqCst);
        names.remove(name);
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_for_a_moment_and_not_after_this_process_ended_the_lock() {
        let taken = Taken::default();
        let later = Mark { asked: Instant::now() + Duration::from_secs(60), ..taken.mark() };
        taken.keep("seat", "one", None, later);
        assert_eq!(taken.holder("seat").as_deref(), Some("one"));
        taken.forget("seat");
        assert_eq!(taken.holder("seat"), None);
        taken.keep("seat", "one", None, later);
        assert_eq!(taken.holder("seat"), None, "that was asked before");
        if let Some(asked) = Instant::now().checked_sub(NEAR_FOR) {
            taken.keep("seat", "one", None, Mark { asked, ..taken.mark() });
            assert_eq!(taken.holder("seat"), None, "that was long ago");
        }
        taken.keep("seat", "one", Some(Duration::ZERO), taken.mark());
        assert_eq!(taken.holder("seat"), None, "the lease is over");
    }

    #[test]
    fn its_size_is_bounded() {
        let taken = Taken::default();
        for name in 0..3 * MOST {
            taken.keep(&name.to_string(), "one", None, taken.mark());
            assert!(taken.names().len() <= MOST);
        }
    }
}
