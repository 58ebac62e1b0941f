//! Wishes of many callers that are granted in one call.
//!
//! What comes while one call is under way goes with the next: nobody lingers for company, and those
//! who come through this process are served in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use concert_domain::{Error, Result};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Redis;

/// The most wishes of one call, so that no call keeps the server for long.
const MOST: usize = 64;
/// How many may wait; the next one is refused at once.
const ROOM: usize = 2_048;
/// How long one waits.
const WAIT: Duration = Duration::from_secs(2);

/// Those who wait for the next call.
pub(crate) struct Together<I, T> {
    what: &'static str,
    state: Mutex<State<I, T>>,
}

struct State<I, T> {
    waiting: VecDeque<Wish<I, T>>,
    /// Whether somebody is at work.
    running: bool,
}

/// What one caller wants, and the way back to it.
pub(crate) struct Wish<I, T> {
    pub item: I,
    pub answer: oneshot::Sender<Result<T>>,
}

impl<I: Send + 'static, T: Send + 'static> Together<I, T> {
    /// Nobody waits. `what` names the part of the service that is gone if a call fails.
    pub fn new(what: &'static str) -> Self {
        let state = State { waiting: VecDeque::new(), running: false };
        Self { what, state: Mutex::new(state) }
    }

    /// Waits until the wish was part of a call. `serve` makes one call and answers everybody; it
    /// runs where the connections live, again and again until nobody waits.
    pub async fn submit<F>(
        &self,
        redis: &Redis,
        item: I,
        line: fn(&Redis) -> &Self,
        serve: fn(Redis, Vec<Wish<I, T>>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (answer, told) = oneshot::channel();
        if self.add(Wish { item, answer })? {
            let own = redis.clone();
            redis.on_runtime(async move {
                while let Some(batch) = line(&own).next() {
                    // A task of its own: if it panics, the next are served all the same.
                    own.on_runtime(serve(own.clone(), batch)).await.ok();
                }
            });
        }
        match timeout(WAIT, told).await {
            Ok(Ok(told)) => told,
            Ok(Err(_)) | Err(_) => Err(Error::unavailable(self.what)),
        }
    }

    /// Puts the wish into the line; `true` for who must see to it that it is served.
    fn add(&self, wish: Wish<I, T>) -> Result<bool> {
        let mut state = self.state();
        if state.waiting.len() >= ROOM {
            return Err(Error::unavailable(self.what));
        }
        state.waiting.push_back(wish);
        Ok(!std::mem::replace(&mut state.running, true))
    }

    /// Those who are next, without who went away; none if there is nothing more to do.
    fn next(&self) -> Option<Vec<Wish<I, T>>> {
        let mut state = self.state();
        let mut batch = Vec::new();
        while batch.len() < MOST
            && let Some(wish) = state.waiting.pop_front()
        {
            if !wish.answer.is_closed() {
                batch.push(wish);
            }
        }
        state.running = !batch.is_empty();
        state.running.then_some(batch)
    }

    fn state(&self) -> MutexGuard<'_, State<I, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells everybody what came of it. A failed call has failed for all.
pub(crate) fn tell<I, T>(wishes: Vec<Wish<I, T>>, answers: Result<Vec<Result<T>>>) {
    match answers {
        Ok(answers) => {
            for (wish, answer) in wishes.into_iter().zip(answers) {
                wish.answer.send(answer).ok();
            }
        }
        Err(error) => {
            for wish in wishes {
                wish.answer.send(Err(error.clone())).ok();
            }
        }
    }
}

/// Those who want the same, each of them in order.
pub(crate) fn apart<I, T, K: PartialEq>(
    batch: Vec<Wish<I, T>>,
    key: impl Fn(&I) -> K,
) -> Vec<Vec<Wish<I, T>>> {
    let mut groups: Vec<Vec<Wish<I, T>>> = Vec::new();
    for wish in batch {
        let same = |other: &Wish<I, T>| key(&other.item) == key(&wish.item);
        match groups.iter_mut().find(|group| group.first().is_some_and(same)) {
            Some(group) => group.push(wish),
            None => groups.push(vec![wish]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<()>>;

    fn wish(number: usize) -> (Wish<usize, ()>, Answer) {
        let (answer, told) = oneshot::channel();
        (Wish { item: number, answer }, told)
    }

    fn items(batch: &[Wish<usize, ()>]) -> Vec<usize> {
        batch.iter().map(|wish| wish.item).collect()
    }

    #[test]
    fn they_go_in_the_order_in_which_they_came_without_who_went_away() {
        let line = Together::new("it");
        let mut told = Vec::new();
        for number in 1..=100 {
            let (wish, tell) = wish(number);
            assert_eq!(line.add(wish), Ok(number == 1), "the first one finds nobody at work");
            told.push(tell);
        }
        told.remove(1);
        let first: Vec<usize> = [1].into_iter().chain(3..=65).collect();
        assert_eq!(items(&line.next().unwrap()), first);
        assert_eq!(items(&line.next().unwrap()), (66..=100).collect::<Vec<_>>());
        assert!(line.next().is_none());
        assert_eq!(line.add(wish(101).0), Ok(true), "nobody is at work any more");
    }

    #[test]
    fn the_line_is_bounded() {
        let line = Together::new("it");
        let told: Vec<_> = (0..=ROOM)
            .map(|number| {
                let (wish, told) = wish(number);
                (line.add(wish).is_ok(), told)
            })
            .collect();
        assert_eq!(told.iter().filter(|(taken, _)| *taken).count(), ROOM);
    }

    #[test]
    fn those_who_want_the_same_are_together_in_order() {
        let batch = [1, 12, 3, 14, 5].map(|number| wish(number).0);
        let groups: Vec<_> =
            apart(batch.into(), |number| number / 10).iter().map(|group| items(group)).collect();
        assert_eq!(groups, [vec![1, 3, 5], vec![12, 14]]);
    }
}
