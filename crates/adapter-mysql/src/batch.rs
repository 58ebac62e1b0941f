//! Work of many callers done together.
//!
//! What gathers while one batch is under way is the next batch: nobody lingers for company, and
//! the more callers there are, the fewer commits and round trips each of them costs. Lanes are
//! tasks of the main runtime that live as long as there is work.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use concert_domain::{Error, Result};
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::Mysql;
use crate::error::unavailable;

/// The most items of one batch.
pub(crate) const MOST: usize = 64;
/// How many callers wait or are served at the most; the next one is refused at once.
const ROOM: usize = 2_048;
/// How long a caller waits for a batch to begin, as for a connection.
const WAIT: Duration = Duration::from_secs(2);

/// One caller's wish and the way back to it. Its place is free when this is gone.
pub(crate) struct Waiting<I, T> {
    pub item: I,
    pub caller: Caller<T>,
}

/// The way back to a caller, who may have gone away.
pub(crate) struct Caller<T> {
    answer: oneshot::Sender<Result<T>>,
    /// Set by the lane that takes the item, or by the caller who waits no longer.
    settled: Arc<AtomicBool>,
    _place: OwnedSemaphorePermit,
}

impl<T> Caller<T> {
    fn new(place: OwnedSemaphorePermit) -> (Self, oneshot::Receiver<Result<T>>) {
        let (answer, told) = oneshot::channel();
        (Self { answer, settled: Arc::default(), _place: place }, told)
    }

    /// Tells the caller what came of it.
    pub fn tell(self, result: Result<T>) {
        self.answer.send(result).ok();
    }
}

/// Does one batch and tells every caller.
type Serve<I, T> = fn(Mysql, Vec<Waiting<I, T>>) -> BoxFuture<'static, ()>;

/// A queue and its lanes.
pub(crate) struct Batcher<I, T> {
    name: &'static str,
    lanes: usize,
    serve: Serve<I, T>,
    room: Arc<Semaphore>,
    state: Mutex<State<I, T>>,
}

struct State<I, T> {
    waiting: VecDeque<Waiting<I, T>>,
    /// How many lanes are running.
    running: usize,
}

impl<I: Send + 'static, T: Send + 'static> Batcher<I, T> {
    /// An empty queue with at most so many batches at once.
    pub fn new(name: &'static str, lanes: usize, serve: Serve<I, T>) -> Arc<Self> {
        Self::with_room(name, lanes, ROOM, serve)
    }

    fn with_room(name: &'static str, lanes: usize, room: usize, serve: Serve<I, T>) -> Arc<Self> {
        let state = Mutex::new(State { waiting: VecDeque::new(), running: 0 });
        Arc::new(Self { name, lanes, serve, room: Arc::new(Semaphore::new(room)), state })
    }

    /// Waits until the item was part of a batch. A caller who goes away before its batch begins
    /// is left out; after that its item takes its course.
    pub async fn submit(self: &Arc<Self>, store: &Mysql, item: I) -> Result<T> {
        let Ok(place) = self.room.clone().try_acquire_owned() else {
            return Err(self.refuse());
        };
        let (caller, mut told) = Caller::new(place);
        let settled = caller.settled.clone();
        if self.add(Waiting { item, caller }) {
            let (lane, store) = (self.clone(), store.clone());
            store.runtime().spawn(lane.run(store.clone()));
        }
        let told = match timeout(WAIT, &mut told).await {
            Ok(told) => told,
            // Not one of them can both leave and be taken along.
            Err(_) if !settled.swap(true, Ordering::AcqRel) => return Err(self.refuse()),
            Err(_) => told.await,
        };
        told.unwrap_or_else(|_| Err(Error::bug("a batch ended without an answer")))
    }

    fn refuse(&self) -> Error {
        metrics::counter!("concert_batch_refused_total", "batch" => self.name).increment(1);
        unavailable()
    }

    /// Adds to the queue; answers whether a lane is to be started for it.
    fn add(&self, waiting: Waiting<I, T>) -> bool {
        let mut state = self.state();
        state.waiting.push_back(waiting);
        let start = state.running < self.lanes;
        state.running += usize::from(start);
        start
    }

    async fn run(self: Arc<Self>, store: Mysql) {
        while let Some(batch) = self.next() {
            metrics::histogram!("concert_batch_items", "batch" => self.name)
                .record(batch.len() as f64);
            // A task of its own: if it panics, its callers are told and the lane goes on.
            let served = store.runtime().spawn((self.serve)(store.clone(), batch));
            if let Err(error) = served.await {
                tracing::error!(batch = self.name, %error, "a batch failed");
            }
        }
    }

    /// The next batch, or the end of this lane: decided in one step, so that nobody is left in
    /// the queue without a lane.
    fn next(&self) -> Option<Vec<Waiting<I, T>>> {
        let mut state = self.state();
        let mut batch = Vec::new();
        while batch.len() < MOST
            && let Some(next) = state.waiting.pop_front()
        {
            let gone = next.caller.answer.is_closed();
            if !gone && !next.caller.settled.swap(true, Ordering::AcqRel) {
                batch.push(next);
            }
        }
        if batch.is_empty() {
            state.running -= 1;
            return None;
        }
        Some(batch)
    }

    fn state(&self) -> MutexGuard<'_, State<I, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The items of a batch and their callers, in the same order.
pub(crate) fn apart<I, T>(batch: Vec<Waiting<I, T>>) -> (Vec<I>, Vec<Caller<T>>) {
    batch.into_iter().map(|waiting| (waiting.item, waiting.caller)).unzip()
}

/// Puts what a statement said of the item at a place, counted from 1 as `FOR ORDINALITY` does.
pub(crate) fn put<T>(answers: &mut [T], place: i64, answer: T) {
    let place = usize::try_from(place - 1).ok();
    if let Some(slot) = place.and_then(|place| answers.get_mut(place)) {
        *slot = answer;
    }
}

#[cfg(test)]
pub(crate) mod tests;
