//! What this process was told of a queue a moment ago, shared by all who ask.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use concert_domain::Result;
use concert_domain::cache::NEAR_FOR;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

/// What was told at one time.
#[derive(Debug)]
pub(super) struct View<V> {
    pub told: V,
    /// When it was asked for, so that it is not older than it seems.
    pub asked: Instant,
    /// How often this process had changed the queue before.
    mark: u64,
}

type Flight<V> = BoxFuture<'static, Result<Arc<View<V>>>>;

/// Views by name. Each is used for [`NEAR_FOR`] unless this process changes the queue before; then
/// the next who asks has it asked for again, once for all who come meanwhile.
pub(crate) struct Views<K, V> {
    most: usize,
    slots: Mutex<HashMap<K, Slot<V>>>,
}

struct Slot<V> {
    view: Option<Arc<View<V>>>,
    flight: Option<(u64, WeakShared<Flight<V>>)>,
}

enum Found<V> {
    AtHand(Arc<View<V>>),
    OnItsWay(Shared<Flight<V>>),
}

impl<K, V> Views<K, V>
where
    K: Copy + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    /// So many at the most.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, slots: Mutex::default() })
    }

    /// A view that shows at least what this process had changed when it counted `mark` changes.
    pub async fn read<F>(
        self: &Arc<Self>,
        key: K,
        mark: u64,
        ask: impl FnOnce() -> F,
    ) -> Result<Arc<View<V>>>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        match self.find(key, mark, Instant::now(), ask) {
            Found::AtHand(view) => Ok(view),
            Found::OnItsWay(flight) => flight.await,
        }
    }

    fn find<F>(
        self: &Arc<Self>,
        key: K,
        mark: u64,
        now: Instant,
        ask: impl FnOnce() -> F,
    ) -> Found<V>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(&key) {
            if let Some(view) = slot.view.as_ref().filter(|view| view.is_usable(mark, now)) {
                return Found::AtHand(view.clone());
            }
            let flight = slot.flight.as_ref().filter(|(begun, _)| *begun == mark);
            if let Some(flight) = flight.and_then(|(_, flight)| flight.upgrade()) {
                return Found::OnItsWay(flight);
            }
        }
        if slots.len() >= self.most && !slots.contains_key(&key) {
            // What cannot be used any more is no loss.
            slots.retain(|_, slot| slot.is_worth_keeping(now));
            if slots.len() >= self.most {
                slots.clear();
            }
        }
        let (views, asking) = (self.clone(), ask());
        let flight = async move {
            let view = Arc::new(View { told: asking.await?, asked: now, mark });
            views.land(key, &view);
            Ok(view)
        };
        let flight = flight.boxed().shared();
        let slot = slots.entry(key).or_insert(Slot { view: None, flight: None });
        slot.flight = flight.downgrade().map(|weak| (mark, weak));
        Found::OnItsWay(flight)
    }

    /// Keeps a view, unless a later one is here already.
    fn land(&self, key: K, view: &Arc<View<V>>) {
        if let Some(slot) = self.slots().get_mut(&key)
            && slot.view.as_ref().is_none_or(|before| before.asked <= view.asked)
        {
            slot.view = Some(view.clone());
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Slot<V>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> View<V> {
    fn is_usable(&self, mark: u64, now: Instant) -> bool {
        self.mark == mark && now.saturating_duration_since(self.asked) < NEAR_FOR
    }
}

impl<V> Slot<V> {
    fn is_worth_keeping(&self, now: Instant) -> bool {
        let view = self.view.as_ref().is_some_and(|view| view.is_usable(view.mark, now));
        view || self.flight.as_ref().is_some_and(|(_, flight)| flight.upgrade().is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use concert_domain::Error;
    use futures::channel::oneshot;
    use futures::executor::block_on;

    use super::*;

    type Numbers = Arc<Views<u32, u32>>;

    /// What somebody is told who asks at that time; counts who had to be asked.
    fn told(views: &Numbers, mark: u64, now: Instant, asked: &AtomicU32) -> u32 {
        let answer = asked.load(Ordering::SeqCst);
        let ask = || {
            asked.fetch_add(1, Ordering::SeqCst);
            async move { Ok(answer) }
        };
        match views.find(1, mark, now, ask) {
            Found::AtHand(view) => view.told,
            Found::OnItsWay(flight) => block_on(flight).unwrap().told,
        }
    }

    #[test]
    fn a_view_is_used_for_a_tenth_of_a_second_and_not_longer() {
        let (views, asked, start) = (Views::new(9), AtomicU32::new(0), Instant::now());
        let almost = NEAR_FOR - Duration::from_nanos(1);
        assert_eq!(told(&views, 0, start, &asked), 0);
        assert_eq!(told(&views, 0, start + almost, &asked), 0);
        assert_eq!(told(&views, 0, start + NEAR_FOR, &asked), 1);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn what_this_process_changed_shows_at_once() {
        let (views, asked, start) = (Views::new(9), AtomicU32::new(0), Instant::now());
        assert_eq!(told(&views, 0, start, &asked), 0);
        assert_eq!(told(&views, 1, start, &asked), 1);
        assert_eq!(told(&views, 1, start, &asked), 1);
    }

    #[test]
    fn all_who_ask_wait_for_one_answer_but_not_for_one_from_before_a_change() {
        let (views, now) = (Views::<u32, u32>::new(9), Instant::now());
        let (tell, wait) = oneshot::channel();
        let slow = async move { wait.await.map_err(|_| Error::unavailable("the test")) };
        let Found::OnItsWay(first) = views.find(1, 0, now, || slow) else { panic!("nothing yet") };
        let Found::OnItsWay(second) = views.find(1, 0, now, || async { Ok(9) }) else {
            panic!("nothing yet")
        };
        let Found::OnItsWay(third) = views.find(1, 1, now, || async { Ok(8) }) else {
            panic!("from before the change")
        };
        assert_eq!(block_on(third).unwrap().told, 8);
        tell.send(7).unwrap();
        assert_eq!((block_on(first).unwrap().told, block_on(second).unwrap().told), (7, 7));
    }

    #[test]
    fn a_failure_is_not_kept() {
        let (views, now) = (Views::<u32, u32>::new(9), Instant::now());
        let fail = || async { Err(Error::unavailable("the test")) };
        let Found::OnItsWay(flight) = views.find(1, 0, now, fail) else { panic!("nothing yet") };
        assert!(block_on(flight).is_err());
        assert_eq!(told(&views, 0, now, &AtomicU32::new(5)), 5);
    }

    #[test]
    fn their_number_is_bounded() {
        let (views, now) = (Views::<u32, u32>::new(10), Instant::now());
        for key in 0..100 {
            if let Found::OnItsWay(flight) = views.find(key, 0, now, || async { Ok(1) }) {
                block_on(flight).unwrap();
            }
            assert!(views.slots().len() <= 10);
        }
    }
}
