//! Locks, caches and readers that fail in one particular way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::cache::{Cache, Generation, Lookup, Value};
use concert_domain::concert::{
    Concert, ConcertReader, Perishable, RankedConcert, ScheduleListing, SeatMap, SeatOffer,
};
use concert_domain::lock::{Lock, Locked};
use concert_domain::reservation::{HoldRequest, ReservationService};
use concert_domain::{ConcertId, Error, Page, PageRequest, Result, ScheduleId, SeatId, Seen};
use tokio::sync::Mutex;

/// A lock of which every call ends alike.
pub(super) struct StuckLock(pub Result<Locked>);

#[async_trait]
impl Lock for StuckLock {
    async fn acquire(&self, _: &str, _: &str, _: Duration) -> Result<Locked> {
        self.0.clone()
    }

    async fn renew(&self, _: &str, _: &str, _: Duration) -> Result<bool> {
        self.0.clone().map(|locked| locked == Locked::Acquired)
    }

    async fn keep(&self, _: &str, _: &str, _: Duration) {}

    async fn release(&self, _: &str, _: &str) -> Result<()> {
        self.0.clone().map(drop)
    }

    async fn holder(&self, _: &str) -> Result<Option<String>> {
        self.0.clone().map(|locked| match locked {
            Locked::Acquired => None,
            Locked::HeldBy(owner) => Some(owner),
        })
    }

    async fn clear(&self, _: &str) -> Result<()> {
        self.0.clone().map(drop)
    }
}

/// A cache that does not answer.
pub(super) struct DeadCache;

#[async_trait]
impl Cache for DeadCache {
    fn peek(&self, _: &str, _: &str) -> Option<Value> {
        None
    }

    async fn get(&self, _: &str, _: &str) -> Result<Lookup> {
        Err(Error::unavailable("cache"))
    }

    async fn put(&self, _: &str, _: &str, _: Generation, _: Value, _: Duration) -> Result<bool> {
        Err(Error::unavailable("cache"))
    }

    async fn bump(&self, _: &[String]) -> Result<()> {
        Err(Error::unavailable("cache"))
    }
}

/// A reader that sells a seat after it has read the list and before it hands the list over: the
/// moment in which a fill races a change. It does so once, when armed.
pub(super) struct RacingReader {
    inner: Arc<dyn ConcertReader>,
    armed: AtomicBool,
    sale: Mutex<Option<(Arc<ReservationService>, HoldRequest)>>,
    lists: AtomicUsize,
}

impl RacingReader {
    pub fn new(inner: Arc<dyn ConcertReader>) -> Self {
        let (armed, lists) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { inner, armed, sale: Mutex::new(None), lists }
    }

    pub async fn arm(&self, service: Arc<ReservationService>, request: HoldRequest) {
        *self.sale.lock().await = Some((service, request));
        self.armed.store(true, Ordering::SeqCst);
    }

    /// How many lists were read.
    pub fn lists(&self) -> usize {
        self.lists.load(Ordering::SeqCst)
    }

    async fn sell(&self) {
        self.lists.fetch_add(1, Ordering::SeqCst);
        if self.armed.swap(false, Ordering::SeqCst)
            && let Some((service, request)) = self.sale.lock().await.take()
        {
            service.hold(request).await.expect("the seat is free");
        }
    }
}

#[async_trait]
impl ConcertReader for RacingReader {
    async fn concerts(&self, page: PageRequest) -> Result<Page<Concert>> {
        self.inner.concerts(page).await
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<Concert>> {
        self.inner.concert(id).await
    }

    async fn schedules(&self, concert: ConcertId) -> Result<Perishable<Vec<ScheduleListing>>> {
        let read = self.inner.schedules(concert).await;
        self.sell().await;
        read
    }

    async fn seats(&self, schedule: ScheduleId) -> Result<Option<Perishable<SeatMap>>> {
        let read = self.inner.seats(schedule).await;
        self.sell().await;
        read
    }

    async fn offer(&self, schedule: ScheduleId, seat: SeatId) -> Result<Option<Seen<SeatOffer>>> {
        self.inner.offer(schedule, seat).await
    }

    async fn ranking(&self, page: PageRequest) -> Result<Page<RankedConcert>> {
        self.inner.ranking(page).await
    }
}
