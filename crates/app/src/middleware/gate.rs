//! How many requests are worked on at once, and whose turn it is.
//!
//! Each class has some places of its own, so that one whose dependency stands still cannot take
//! all of them; the rest is common, and the less important a class, the earlier it finds the
//! common places taken. Who finds none waits shortly, the most important first, or is refused.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::class::Class;

const CLASSES: usize = Class::ALL.len();
/// Sixteenths of all places that are a class's own; six are common.
const OWN: [u32; CLASSES] = [2, 1, 2, 2, 2, 1];
/// Up to how many sixteenths of the common places a class may use.
const OPEN: [u32; CLASSES] = [16, 16, 13, 10, 6, 6];
/// How long a class waits for a place: it is worth more to finish a purchase than a poll, which
/// comes again by itself.
const PATIENCE: [Duration; CLASSES] = [
    Duration::from_millis(1_000),
    Duration::from_millis(1_000),
    Duration::from_millis(1_000),
    Duration::from_millis(250),
    Duration::from_millis(100),
    Duration::from_millis(100),
];

/// How many times as many as there are places may wait, in each class: a crowd around one seat
/// comes at once and is gone within the patience.
const LINE: usize = 8;

/// Gives out places.
pub struct Gate {
    own: [u32; CLASSES],
    open: [u32; CLASSES],
    line: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    busy: [u32; CLASSES],
    waiting: [VecDeque<oneshot::Sender<Permit>>; CLASSES],
}

/// A place, free again when dropped.
pub struct Permit {
    gate: Option<Arc<Gate>>,
    class: Class,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.leave(self.class);
        }
    }
}

impl Gate {
    /// A gate of so many places.
    pub fn new(limit: u32) -> Arc<Self> {
        let share =
            |all: u32, sixteenths: u32| (u64::from(all) * u64::from(sixteenths) / 16) as u32;
        let own = OWN.map(|part| share(limit, part));
        let common = limit - own.iter().sum::<u32>();
        let open = OPEN.map(|part| share(common, part).max(1));
        Arc::new(Self { own, open, line: limit as usize * LINE, state: Mutex::default() })
    }

    /// A place; none if all that the class may have are taken, and stay so for as long as it waits.
    pub async fn enter(self: &Arc<Self>, class: Class) -> Option<Permit> {
        let turn = {
            let mut state = self.lock();
            if state.waiting[class.index()].is_empty() && self.has_place(&state, class) {
                state.busy[class.index()] += 1;
                return Some(Permit { gate: Some(self.clone()), class });
            }
            let line = &mut state.waiting[class.index()];
            // Those who gave up are still in line until somebody looks.
            if line.len() >= self.line {
                line.retain(|waiting| !waiting.is_closed());
            }
            if line.len() >= self.line {
                return None;
            }
            let (sender, turn) = oneshot::channel();
            line.push_back(sender);
            turn
        };
        tokio::time::timeout(PATIENCE[class.index()], turn).await.ok()?.ok()
    }

    /// How many places are taken.
    #[cfg(test)]
    fn in_flight(&self) -> u32 {
        self.lock().busy.iter().sum()
    }

    fn has_place(&self, state: &State, class: Class) -> bool {
        let own = self.own[class.index()];
        if state.busy[class.index()] < own {
            return true;
        }
        let common: u32 =
            state.busy.iter().zip(self.own).map(|(busy, own)| busy.saturating_sub(own)).sum();
        common < self.open[class.index()]
    }

    fn leave(self: &Arc<Self>, class: Class) {
        let mut state = self.lock();
        state.busy[class.index()] -= 1;
        if state.waiting.iter().all(VecDeque::is_empty) {
            return;
        }
        for class in Class::ALL {
            while self.has_place(&state, class) {
                let Some(waiting) = state.waiting[class.index()].pop_front() else { break };
                let permit = Permit { gate: Some(self.clone()), class };
                match waiting.send(permit) {
                    Ok(()) => state.busy[class.index()] += 1,
                    // It gave up; its place was never taken.
                    Err(mut permit) => permit.gate = None,
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixteen places: two, one, two, two, two and one of their own, six common.
    async fn full_of(class: Class, count: usize) -> (Arc<Gate>, Vec<Permit>) {
        let gate = Gate::new(16);
        let mut permits = Vec::new();
        for _ in 0..count {
            permits.push(gate.enter(class).await.expect("a place"));
        }
        (gate, permits)
    }

    #[tokio::test(start_paused = true)]
    async fn a_class_that_stands_still_leaves_the_others_their_places() {
        let (gate, permits) = full_of(Class::Pay, 8).await;
        assert!(gate.enter(Class::Pay).await.is_none());
        let mut others = Vec::new();
        for class in [Class::Admin, Class::Hold, Class::Read, Class::Poll, Class::Join] {
            others.push(gate.enter(class).await.expect("a place of its own"));
        }
        assert_eq!(gate.in_flight(), 13);
        drop((permits, others));
        assert_eq!(gate.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_less_important_find_it_full_earlier() {
        for (class, places) in [
            (Class::Pay, 8),
            (Class::Admin, 7),
            (Class::Hold, 6),
            (Class::Read, 5),
            (Class::Poll, 4),
            (Class::Join, 3),
        ] {
            let (gate, _permits) = full_of(class, places).await;
            assert!(gate.enter(class).await.is_none(), "{class:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_goes_to_the_most_important_who_waits_and_none_is_lost() {
        let gate = Gate::new(1);
        let first = gate.enter(Class::Join).await.expect("a place");
        let order = Mutex::new(Vec::new());
        let ask = async |class: Class| {
            let permit = gate.enter(class).await;
            order.lock().unwrap().push((class, permit.is_some()));
        };
        let gone = tokio::time::timeout(Duration::ZERO, gate.enter(Class::Pay)).await;
        assert!(gone.is_err());
        let free = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        tokio::join!(ask(Class::Poll), ask(Class::Read), ask(Class::Pay), free);
        let pay_read_poll = [(Class::Pay, true), (Class::Read, true), (Class::Poll, true)];
        assert_eq!(*order.lock().unwrap(), pay_read_poll);
        assert_eq!(gate.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_first_and_got_nothing_in_time_is_refused() {
        let (gate, permits) = full_of(Class::Poll, 4).await;
        let started = tokio::time::Instant::now();
        assert!(gate.enter(Class::Poll).await.is_none());
        assert_eq!(started.elapsed(), PATIENCE[Class::Poll.index()]);
        drop(permits);
        assert!(gate.enter(Class::Poll).await.is_some());
    }
}
