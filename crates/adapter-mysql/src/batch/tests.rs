use std::sync::atomic::AtomicUsize;

use tokio::sync::Notify;
use tokio::task::yield_now;

use super::*;
use crate::Options;
use crate::common::Database;

/// What a caller is told.
type Told<T> = oneshot::Receiver<Result<T>>;

/// A batch of these items, and what its callers are told.
pub(crate) fn batch<I, T>(items: Vec<I>) -> (Vec<Waiting<I, T>>, Vec<Told<T>>) {
    let room = Arc::new(Semaphore::new(items.len()));
    let one = |item| {
        let (caller, told) = Caller::new(room.clone().try_acquire_owned().unwrap());
        (Waiting { item, caller }, told)
    };
    items.into_iter().map(one).unzip()
}

async fn store() -> (Database, Mysql) {
    let database = Database::create().await;
    let store = Mysql::connect(&database.url, Options { connections: 2 }).await.unwrap();
    (database, store)
}

/// An item says when its batch is let go, and is answered with how many came along.
type Item = Arc<Notify>;

fn when_let_go(_: Mysql, batch: Vec<Waiting<Item, usize>>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        batch[0].item.notified().await;
        let size = batch.len();
        batch.into_iter().for_each(|waiting| waiting.caller.tell(Ok(size)));
    })
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

impl<I: Send + 'static, T: Send + 'static> Batcher<I, T> {
    fn lengths(&self) -> (usize, usize) {
        let state = self.state();
        (state.waiting.len(), state.running)
    }
}

#[tokio::test]
async fn what_gathers_during_a_batch_is_the_next_one() {
    let (_database, store) = store().await;
    let batcher = Batcher::new("test", 1, when_let_go);
    let go = Item::default();
    let submit = |_| {
        let (batcher, store, go) = (batcher.clone(), store.clone(), go.clone());
        tokio::spawn(async move { batcher.submit(&store, go).await })
    };
    let first = submit(0);
    until(|| batcher.lengths() == (0, 1)).await;
    let others: Vec<_> = (0..MOST + 3).map(submit).collect();
    until(|| batcher.lengths() == (MOST + 3, 1)).await;
    go.notify_one();
    assert_eq!(first.await.unwrap(), Ok(1));
    let mut sizes = Vec::new();
    for other in others {
        go.notify_one();
        sizes.push(other.await.unwrap().unwrap());
    }
    assert_eq!((sizes[0], sizes[MOST - 1], sizes[MOST]), (MOST, MOST, 3));
    until(|| batcher.lengths() == (0, 0)).await;
}

#[tokio::test]
async fn who_finds_the_queue_full_is_refused_at_once_and_places_come_back() {
    let (_database, store) = store().await;
    let batcher = Batcher::with_room("test", 1, 2, when_let_go);
    let go = Item::default();
    let submit = || {
        let (batcher, store, go) = (batcher.clone(), store.clone(), go.clone());
        tokio::spawn(async move { batcher.submit(&store, go).await })
    };
    let (first, second) = (submit(), submit());
    until(|| batcher.room.available_permits() == 0).await;
    assert_eq!(batcher.submit(&store, go.clone()).await, Err(unavailable()));
    go.notify_one();
    first.await.unwrap().unwrap();
    go.notify_one();
    second.await.unwrap().unwrap();
    until(|| batcher.room.available_permits() == 2).await;
}

#[tokio::test]
async fn who_leaves_the_queue_is_left_out_and_the_others_are_served() {
    let (_database, store) = store().await;
    let batcher = Batcher::new("test", 1, when_let_go);
    let go = Item::default();
    let submit = || {
        let (batcher, store, go) = (batcher.clone(), store.clone(), go.clone());
        tokio::spawn(async move { batcher.submit(&store, go).await })
    };
    let first = submit();
    until(|| batcher.lengths() == (0, 1)).await;
    let (leaving, staying) = (submit(), submit());
    until(|| batcher.lengths() == (2, 1)).await;
    leaving.abort();
    leaving.await.unwrap_err();
    go.notify_one();
    first.await.unwrap().unwrap();
    go.notify_one();
    assert_eq!(staying.await.unwrap(), Ok(1));
}

#[tokio::test]
async fn nobody_waits_for_long_behind_a_batch_that_stands_still() {
    let (_database, store) = store().await;
    let batcher = Batcher::new("test", 1, when_let_go);
    let (stuck, waiting) = (Item::default(), Item::default());
    let first = {
        let (batcher, store, stuck) = (batcher.clone(), store.clone(), stuck.clone());
        tokio::spawn(async move { batcher.submit(&store, stuck).await })
    };
    until(|| batcher.lengths() == (0, 1)).await;
    assert_eq!(batcher.submit(&store, waiting).await, Err(unavailable()));
    assert!(!first.is_finished(), "who is part of a batch waits for its outcome");
    stuck.notify_one();
    assert_eq!(first.await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_batch_that_panics_is_told_to_its_callers_and_the_lane_goes_on() {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    fn first_panics(_: Mysql, batch: Vec<Waiting<(), ()>>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            assert!(TIMES.fetch_add(1, Ordering::SeqCst) > 0, "the first batch fails");
            batch.into_iter().for_each(|waiting| waiting.caller.tell(Ok(())));
        })
    }
    let (_database, store) = store().await;
    let batcher = Batcher::new("test", 1, first_panics);
    assert!(matches!(batcher.submit(&store, ()).await, Err(Error::Bug(_))));
    assert_eq!(batcher.submit(&store, ()).await, Ok(()));
}
