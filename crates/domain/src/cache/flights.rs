//! One read of the store at a time for each copy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::Value;
use crate::Result;

/// So many flights are in the map before those that nobody waits for are swept out of it.
const SWEEP_FROM: usize = 1_000;

/// A read that all who want the same wait for. Whoever is there drives it, so a reader that goes
/// away takes nobody with it; when all have gone away it ends.
pub(super) type Flight = Shared<BoxFuture<'static, Result<Value>>>;

/// The reads under way by name and form.
#[derive(Default)]
pub(super) struct Flights(Mutex<BTreeMap<(String, &'static str), Slot>>);

struct Slot {
    flight: WeakShared<BoxFuture<'static, Result<Value>>>,
    /// Whether the store is being read, rather than an earlier flight waited for.
    reading: Arc<AtomicBool>,
    /// Whether something was changed after the read began. It still ends, for those who asked
    /// before the change; whoever asks now waits for the next one.
    old: bool,
}

impl Flights {
    /// The flight that answers what is true from now on: one under way, or a new one, which
    /// starts when the one before it, if there is one, has landed.
    pub fn join(
        self: &Arc<Self>,
        name: &str,
        form: &'static str,
        fill: impl Future<Output = Result<Value>> + Send + 'static,
    ) -> Flight {
        let key = (name.to_owned(), form);
        let mut slots = self.slots();
        let under_way = slots.get(&key).and_then(|slot| Some((slot.flight.upgrade()?, slot.old)));
        let before = match under_way {
            Some((flight, false)) => return flight,
            Some((flight, true)) => Some(flight),
            None => None,
        };
        let reading = Arc::new(AtomicBool::new(false));
        let (flights, own, at) = (self.clone(), reading.clone(), key.clone());
        let flight = async move {
            if let Some(before) = before {
                before.await.ok();
            }
            own.store(true, Ordering::SeqCst);
            let answer = fill.await;
            flights.land(&at, &own);
            answer
        };
        let flight = flight.boxed().shared();
        if slots.len() >= SWEEP_FROM {
            slots.retain(|_, slot| slot.flight.upgrade().is_some());
        }
        if let Some(weak) = flight.downgrade() {
            slots.insert(key, Slot { flight: weak, reading, old: false });
        }
        flight
    }

    /// What is being read under these names is older than a change.
    pub fn outdate(&self, names: &[String]) {
        let mut slots = self.slots();
        for name in names {
            let forms = slots.range_mut((name.clone(), "")..);
            for (_, slot) in forms.take_while(|((other, _), _)| other == name) {
                slot.old |= slot.reading.load(Ordering::SeqCst);
            }
        }
    }

    /// Takes a flight that is over out of the map, unless the next one is there already.
    fn land(&self, key: &(String, &'static str), own: &Arc<AtomicBool>) {
        let mut slots = self.slots();
        if slots.get(key).is_some_and(|slot| Arc::ptr_eq(&slot.reading, own)) {
            slots.remove(key);
        }
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<(String, &'static str), Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::channel::oneshot;
    use futures::executor::block_on;
    use futures::future::join_all;

    use super::*;

    fn value(text: &str) -> Value {
        Arc::new(text.as_bytes().to_vec())
    }

    /// A fill that answers when it is told, and counts that it was begun.
    fn told(
        begun: &Arc<AtomicUsize>,
    ) -> (oneshot::Sender<Value>, BoxFuture<'static, Result<Value>>) {
        let (tell, wait) = oneshot::channel();
        let begun = begun.clone();
        let fill = async move {
            begun.fetch_add(1, Ordering::SeqCst);
            Ok(wait.await.expect("it is told"))
        };
        (tell, fill.boxed())
    }

    #[test]
    fn all_who_ask_wait_for_one_read() {
        let (flights, begun) = (Arc::new(Flights::default()), Arc::new(AtomicUsize::new(0)));
        let (tell, fill) = told(&begun);
        let first = flights.join("a", "", fill);
        let others: Vec<_> = (0..9).map(|_| flights.join("a", "", told(&begun).1)).collect();
        tell.send(value("1")).unwrap();
        for answer in block_on(join_all(others.into_iter().chain([first]))) {
            assert_eq!(answer, Ok(value("1")));
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert!(flights.slots().is_empty());
    }

    #[test]
    fn a_reader_that_goes_away_takes_nobody_with_it() {
        let (flights, begun) = (Arc::new(Flights::default()), Arc::new(AtomicUsize::new(0)));
        let (tell, fill) = told(&begun);
        let mut first = flights.join("a", "", fill);
        assert!(block_on(async { futures::poll!(&mut first) }).is_pending());
        let second = flights.join("a", "", told(&begun).1);
        drop(first);
        tell.send(value("1")).unwrap();
        assert_eq!(block_on(second), Ok(value("1")));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_asks_after_a_change_waits_for_the_next_read_which_waits_for_the_first() {
        let (flights, begun) = (Arc::new(Flights::default()), Arc::new(AtomicUsize::new(0)));
        let (tell, fill) = told(&begun);
        let mut first = flights.join("a", "", fill);
        assert!(block_on(async { futures::poll!(&mut first) }).is_pending());
        flights.outdate(&["a".to_owned()]);
        let (tell_next, fill) = told(&begun);
        let mut next = flights.join("a", "", fill);
        assert!(block_on(async { futures::poll!(&mut next) }).is_pending());
        assert_eq!(begun.load(Ordering::SeqCst), 1, "one at a time");
        // The next one has not begun to read, so it is good enough after another change, too.
        flights.outdate(&["a".to_owned()]);
        let third = flights.join("a", "", told(&begun).1);
        tell.send(value("old")).unwrap();
        tell_next.send(value("new")).unwrap();
        assert_eq!(block_on(first), Ok(value("old")));
        assert_eq!(block_on(third), Ok(value("new")));
        assert_eq!(block_on(next), Ok(value("new")));
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_read_that_everybody_left_is_begun_anew() {
        let (flights, begun) = (Arc::new(Flights::default()), Arc::new(AtomicUsize::new(0)));
        let (_never, fill) = told(&begun);
        let mut first = flights.join("a", "", fill);
        assert!(block_on(async { futures::poll!(&mut first) }).is_pending());
        drop(first);
        let (tell, fill) = told(&begun);
        tell.send(value("2")).unwrap();
        assert_eq!(block_on(flights.join("a", "", fill)), Ok(value("2")));
    }

    #[test]
    fn flights_that_nobody_waits_for_do_not_pile_up() {
        let flights = Arc::new(Flights::default());
        for number in 0..3 * SWEEP_FROM {
            drop(flights.join(&number.to_string(), "", async { Ok(Value::default()) }));
        }
        assert!(flights.slots().len() <= SWEEP_FROM);
    }
}
