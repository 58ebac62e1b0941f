//! Locks, caches and readers that fail in one particular way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::cache::{Cache, Generation, Lookup};
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
    async fn get(&self, _: &str) -> Result<Lookup> {
        Err(Error::unavailable("cache"))
    }

    async fn put(&self, _: &str, _: Generation, _: Vec<u8>, _: Duration) -> Result<bool> {
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
}

impl RacingReader {
    pub fn new(inner: Arc<dyn ConcertReader>) -> Self {
        Self { inner, armed: AtomicBool::new(false), sale: Mutex::new(None) }
    }

    pub async fn arm(&self, service: Arc<ReservationService>, request: HoldRequest) {
        *self.sale.lock().await = Some((service, request));
        self.armed.store(true, Ordering::SeqCst);
    }

    async fn sell(&self) {
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
