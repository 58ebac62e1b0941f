//! What this process has seen of the cache: used without asking for [`NEAR_FOR`] after the server
//! confirmed its generation, and after that until its end if the server confirms it again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use concert_domain::cache::{Generation, NEAR_FOR, Value};

/// So many bytes lie here at the most.
const MOST_BYTES: usize = 12 * 1_024 * 1_024;
/// What was not asked for so long goes first when there is no room.
const LATELY: Duration = Duration::from_secs(1);
/// More than there are names that change at one time.
const MARKS: usize = 1_024;

/// A value as the server had it.
#[derive(Clone)]
pub(super) struct Seen {
    pub generation: Generation,
    pub value: Value,
    /// When its time to live is over.
    pub until: Instant,
}

struct Kept {
    form: String,
    seen: Seen,
    confirmed: Instant,
}

/// Before an answer of the server was asked for: if the name was forgotten meanwhile, the answer
/// may be from before the change and is not kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

pub(crate) struct Near {
    state: Mutex<State>,
    marks: Vec<AtomicU64>,
    hasher: RandomState,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Vec<Kept>>,
    bytes: usize,
}

impl Default for Near {
    fn default() -> Self {
        let marks = (0..MARKS).map(|_| AtomicU64::new(0)).collect();
        Self { state: Mutex::default(), marks, hasher: RandomState::new() }
    }
}

impl Near {
    /// A value that was confirmed just now.
    pub fn fresh(&self, name: &str, form: &str) -> Option<Value> {
        let now = Instant::now();
        let state = self.state();
        let kept = state.find(name, form)?;
        let usable = now < kept.seen.until && now.duration_since(kept.confirmed) < NEAR_FOR;
        usable.then(|| kept.seen.value.clone())
    }

    /// A value that can be confirmed.
    pub(super) fn seen(&self, name: &str, form: &str) -> Option<Seen> {
        let now = Instant::now();
        let state = self.state();
        state.find(name, form).map(|kept| kept.seen.clone()).filter(|seen| now < seen.until)
    }

    /// To be taken before the server is asked.
    pub(super) fn mark(&self, name: &str) -> Mark {
        Mark(self.counter(name).load(Ordering::SeqCst))
    }

    /// Keeps what the server had when it was asked, unless the name was forgotten since.
    pub(super) fn keep(&self, name: &str, form: &str, seen: Seen, asked: Instant, mark: Mark) {
        let mut state = self.state();
        if self.mark(name) != mark {
            return;
        }
        state.drop_form(name, form);
        state.bytes += seen.value.len();
        let kept = Kept { form: form.to_owned(), seen, confirmed: asked };
        state.names.entry(name.to_owned()).or_default().push(kept);
        state.make_room(asked);
    }

    /// Everything under these names may be old.
    pub fn forget(&self, names: &[String]) {
        let mut state = self.state();
        for name in names {
            self.counter(name).fetch_add(1, Ordering::SeqCst);
            for kept in state.names.remove(name).unwrap_or_default() {
                state.bytes -= kept.seen.value.len();
            }
        }
    }

    /// Names share counters: one that is counted with another is asked for once more.
    fn counter(&self, name: &str) -> &AtomicU64 {
        &self.marks[self.hasher.hash_one(name) as usize % MARKS]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&self, name: &str, form: &str) -> Option<&Kept> {
        self.names.get(name)?.iter().find(|kept| kept.form == form)
    }

    fn drop_form(&mut self, name: &str, form: &str) {
        let Some(forms) = self.names.get_mut(name) else { return };
        if let Some(at) = forms.iter().position(|kept| kept.form == form) {
            self.bytes -= forms.swap_remove(at).seen.value.len();
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.bytes <= MOST_BYTES {
            return;
        }
        self.names.retain(|_, forms| {
            forms.retain(|kept| now.duration_since(kept.confirmed) < LATELY);
            !forms.is_empty()
        });
        self.bytes = self.names.values().flatten().map(|kept| kept.seen.value.len()).sum();
        if self.bytes > MOST_BYTES {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn seen(bytes: usize, for_millis: u64) -> Seen {
        Seen {
            generation: Generation(1),
            value: Arc::new(vec![7; bytes]),
            until: Instant::now() + Duration::from_millis(for_millis),
        }
    }

    fn keep(near: &Near, name: &str, seen: Seen, asked: Instant) {
        near.keep(name, "all", seen, asked, near.mark(name));
    }

    #[test]
    fn what_was_confirmed_long_ago_must_be_confirmed_again() {
        let near = Near::default();
        keep(&near, "a", seen(3, 60_000), Instant::now());
        assert!(near.fresh("a", "all").is_some() && near.fresh("a", "free").is_none());
        if let Some(before) = Instant::now().checked_sub(NEAR_FOR) {
            keep(&near, "a", seen(3, 60_000), before);
            assert!(near.fresh("a", "all").is_none() && near.seen("a", "all").is_some());
        }
        keep(&near, "b", seen(3, 0), Instant::now());
        assert!(near.fresh("b", "all").is_none() && near.seen("b", "all").is_none());
    }

    #[test]
    fn an_answer_that_was_asked_for_before_a_change_is_not_kept() {
        let near = Near::default();
        let mark = near.mark("a");
        near.forget(&["a".to_owned()]);
        near.keep("a", "all", seen(3, 60_000), Instant::now(), mark);
        assert!(near.fresh("a", "all").is_none());
    }

    #[test]
    fn its_size_is_bounded() {
        let near = Near::default();
        for number in 0..100 {
            keep(&near, &number.to_string(), seen(1_000_000, 60_000), Instant::now());
            assert!(near.state().bytes <= MOST_BYTES);
        }
        assert!(near.state().bytes > 0, "what came last is kept");
        near.forget(&(0..100).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(near.state().bytes, 0);
    }
}
