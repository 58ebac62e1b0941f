use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Concert, ConcertReader, Perishable, RankedConcert, ScheduleListing, SeatLocation, SeatMap,
    SeatOffer,
};
use crate::cache::Cache;
use crate::{ConcertId, Error, Page, PageRequest, Result, ScheduleId, SeatId, Seen};

/// For how long a list is kept at the most; bounds what a crash between a commit and its bump
/// can leave stale.
const LIST_TTL: Duration = Duration::from_secs(30);
/// For how long it is remembered that a concert exists.
const CONCERT_TTL: Duration = Duration::from_secs(30);

/// The one place that every change of a seat goes through after its commit.
#[derive(Clone)]
pub struct SeatChange {
    cache: Arc<dyn Cache>,
}

impl SeatChange {
    /// Over a cache.
    pub fn new(cache: Arc<dyn Cache>) -> Self {
        Self { cache }
    }

    /// Makes the cached lists with these seats old. A cache that does not answer is passed over:
    /// the change is committed, and the time to live bounds the copy that was missed.
    pub async fn announce(&self, changed: &[SeatLocation]) {
        let mut names: Vec<String> = changed
            .iter()
            .flat_map(|at| [seats_name(at.schedule), schedules_name(at.concert)])
            .collect();
        names.sort_unstable();
        names.dedup();
        self.bump(&names).await;
    }

    /// The same for a concert that was added, edited or removed, and its schedules.
    pub async fn announce_concert(&self, concert: ConcertId, schedules: &[ScheduleId]) {
        let mut names = vec![concert_name(concert), schedules_name(concert)];
        names.extend(schedules.iter().map(|id| seats_name(*id)));
        self.bump(&names).await;
    }

    async fn bump(&self, names: &[String]) {
        if !names.is_empty() {
            self.cache.bump(names).await.ok();
        }
    }
}

fn seats_name(schedule: ScheduleId) -> String {
    format!("seats:{schedule}")
}

fn schedules_name(concert: ConcertId) -> String {
    format!("schedules:{concert}")
}

fn concert_name(concert: ConcertId) -> String {
    format!("concert:{concert}")
}

/// Use cases of the concert slice: what buyers look at.
pub struct ConcertService {
    reader: Arc<dyn ConcertReader>,
    cache: Arc<dyn Cache>,
}

impl ConcertService {
    /// Over the store's reads and a cache.
    pub fn new(reader: Arc<dyn ConcertReader>, cache: Arc<dyn Cache>) -> Self {
        Self { reader, cache }
    }

    /// The concerts by id.
    pub async fn concerts(&self, page: PageRequest) -> Result<Page<Concert>> {
        self.reader.concerts(page).await
    }

    /// One concert; [`Error::ConcertNotFound`].
    pub async fn concert(&self, id: ConcertId) -> Result<Concert> {
        let read = async || {
            let concert = self.reader.concert(id).await?.ok_or(Error::ConcertNotFound)?;
            Ok(Perishable { value: concert, fresh_for: None })
        };
        self.cached(&concert_name(id), CONCERT_TTL, read).await
    }

    /// [`Error::ConcertNotFound`] if there is no such concert.
    pub async fn ensure_exists(&self, id: ConcertId) -> Result<()> {
        self.concert(id).await.map(drop)
    }

    /// The schedules of a concert, which must be the one that the caller is admitted to.
    pub async fn schedules(
        &self,
        admitted_to: ConcertId,
        concert: ConcertId,
    ) -> Result<Vec<ScheduleListing>> {
        self.ensure_exists(concert).await?;
        ensure_same(admitted_to, concert)?;
        self.cached(&schedules_name(concert), LIST_TTL, async || {
            self.reader.schedules(concert).await
        })
        .await
    }

    /// The seats of a schedule of a concert, which must be the one that the caller is admitted to.
    pub async fn seats(&self, admitted_to: ConcertId, schedule: ScheduleId) -> Result<SeatMap> {
        let read = async || self.reader.seats(schedule).await?.ok_or(Error::ScheduleNotFound);
        let map: SeatMap = self.cached(&seats_name(schedule), LIST_TTL, read).await?;
        ensure_same(admitted_to, map.concert_id)?;
        Ok(map)
    }

    /// What must be known of a seat before a caller who is admitted to its concert can hold it.
    pub async fn offer(
        &self,
        admitted_to: ConcertId,
        schedule: ScheduleId,
        seat: SeatId,
    ) -> Result<Seen<SeatOffer>> {
        let offer = self.reader.offer(schedule, seat).await?.ok_or(Error::ScheduleNotFound)?;
        ensure_same(admitted_to, offer.value.schedule.concert_id)?;
        Ok(offer)
    }

    /// The ranking.
    pub async fn ranking(&self, page: PageRequest) -> Result<Page<RankedConcert>> {
        self.reader.ranking(page).await
    }

    /// Answers from the cache, or reads the store under the generation noted before the read.
    /// A cache that does not answer makes this slower, never wrong.
    async fn cached<T, R>(&self, name: &str, ttl: Duration, read: R) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        R: AsyncFnOnce() -> Result<Perishable<T>>,
    {
        let noted = self.cache.get(name).await.ok();
        let hit = noted.as_ref().and_then(|lookup| lookup.value.as_deref());
        if let Some(value) = hit.and_then(|bytes| serde_json::from_slice(bytes).ok()) {
            return Ok(value);
        }
        let read = read().await?;
        if let Some(lookup) = noted {
            let ttl = read.fresh_for.map_or(ttl, |fresh| fresh.min(ttl));
            let bytes = serde_json::to_vec(&read.value).map_err(|e| Error::bug(e.to_string()))?;
            if !ttl.is_zero() {
                self.cache.put(name, lookup.generation, bytes, ttl).await.ok();
            }
        }
        Ok(read.value)
    }
}

fn ensure_same(admitted_to: ConcertId, concert: ConcertId) -> Result<()> {
    if admitted_to == concert { Ok(()) } else { Err(Error::TokenMismatch) }
}
