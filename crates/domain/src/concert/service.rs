use std::sync::Arc;
use std::time::Duration;

use super::finished::{Finished, Form, from_json, plain, to_json};
use super::{
    Concert, ConcertReader, Perishable, RankedConcert, ScheduleListing, SeatLocation, SeatMap,
    SeatOffer,
};
use crate::cache::{Copies, Lifetime, Value};
use crate::{ConcertId, Error, Page, PageRequest, Result, ScheduleId, SeatId, Seen};

/// How long seat lists are kept; bounds what a crash between a commit and its bump can leave
/// stale.
const SEATS: Lifetime = Lifetime { about: Duration::from_secs(30), spread: Duration::from_secs(5) };
/// How long schedules with the number of their free seats are kept.
const SCHEDULES: Lifetime =
    Lifetime { about: Duration::from_secs(300), spread: Duration::from_secs(30) };
/// How long it is remembered what a concert is.
const CONCERT: Lifetime =
    Lifetime { about: Duration::from_secs(300), spread: Duration::from_secs(30) };
/// The one form of a concert.
const FACTS: &str = "facts";

/// The one place that every change of a seat goes through after its commit.
#[derive(Clone)]
pub struct SeatChange {
    copies: Arc<Copies>,
}

impl SeatChange {
    /// Over the copies that readers are given.
    pub fn new(copies: Arc<Copies>) -> Self {
        Self { copies }
    }

    /// Makes the cached lists with these seats old. A cache that does not answer is passed over:
    /// the change is committed, and the cache makes up for it as soon as it can.
    pub async fn announce(&self, changed: &[SeatLocation]) {
        let mut names: Vec<String> = changed
            .iter()
            .flat_map(|at| [seats_name(at.schedule), schedules_name(at.concert)])
            .collect();
        names.sort_unstable();
        names.dedup();
        self.copies.outdate(&names).await;
    }

    /// The same for a concert that was added, edited or removed, and its schedules.
    pub async fn announce_concert(&self, concert: ConcertId, schedules: &[ScheduleId]) {
        let mut names = vec![concert_name(concert), schedules_name(concert)];
        names.extend(schedules.iter().map(|id| seats_name(*id)));
        self.copies.outdate(&names).await;
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
    copies: Arc<Copies>,
}

impl ConcertService {
    /// Over the store's reads and the copies of them.
    pub fn new(reader: Arc<dyn ConcertReader>, copies: Arc<Copies>) -> Self {
        Self { reader, copies }
    }

    /// The concerts by id.
    pub async fn concerts(&self, page: PageRequest) -> Result<Page<Concert>> {
        self.reader.concerts(page).await
    }

    /// One concert; [`Error::ConcertNotFound`].
    pub async fn concert(&self, id: ConcertId) -> Result<Concert> {
        from_json(&self.facts(id).await?)
    }

    /// [`Error::ConcertNotFound`] if there is no such concert.
    pub async fn ensure_exists(&self, id: ConcertId) -> Result<()> {
        self.facts(id).await.map(drop)
    }

    async fn facts(&self, id: ConcertId) -> Result<Value> {
        let read = || {
            let reader = self.reader.clone();
            async move {
                let concert = reader.concert(id).await?;
                let value = concert.as_ref().map(to_json).transpose()?;
                Ok(Perishable { value, fresh_for: None })
            }
        };
        let facts = self.copies.read(&concert_name(id), FACTS, CONCERT, read).await?;
        facts.ok_or(Error::ConcertNotFound)
    }

    /// The schedules of a concert, which must be the one that the caller is admitted to.
    pub async fn schedules(
        &self,
        admitted_to: ConcertId,
        concert: ConcertId,
    ) -> Result<Vec<ScheduleListing>> {
        let list = self.schedules_as(admitted_to, concert, &plain()).await?;
        Ok(from_json::<(ConcertId, _)>(list.body())?.1)
    }

    /// The same, written.
    pub async fn schedules_as(
        &self,
        admitted_to: ConcertId,
        concert: ConcertId,
        form: &Form<(ConcertId, Vec<ScheduleListing>)>,
    ) -> Result<Finished> {
        if admitted_to != concert {
            self.ensure_exists(concert).await?;
            return Err(Error::TokenMismatch);
        }
        let read = || {
            let (reader, write) = (self.reader.clone(), form.write);
            async move {
                let Perishable { value, fresh_for } = reader.schedules(concert).await?;
                // An unknown concert has no schedules either.
                let known = !value.is_empty() || reader.concert(concert).await?.is_some();
                let body = if known { Some(write(&(concert, value))?) } else { None };
                let value = body.map(|body| Finished::pack(concert, &body));
                Ok(Perishable { value, fresh_for })
            }
        };
        let list = self.copies.read(&schedules_name(concert), form.name, SCHEDULES, read).await?;
        Finished::unpack(list.ok_or(Error::ConcertNotFound)?)
    }

    /// The seats of a schedule of a concert, which must be the one that the caller is admitted to.
    pub async fn seats(&self, admitted_to: ConcertId, schedule: ScheduleId) -> Result<SeatMap> {
        from_json(self.seats_as(admitted_to, schedule, &plain()).await?.body())
    }

    /// The same, written.
    pub async fn seats_as(
        &self,
        admitted_to: ConcertId,
        schedule: ScheduleId,
        form: &Form<SeatMap>,
    ) -> Result<Finished> {
        let read = || {
            let (reader, write) = (self.reader.clone(), form.write);
            async move {
                let Some(Perishable { value: map, fresh_for }) = reader.seats(schedule).await?
                else {
                    return Ok(Perishable { value: None, fresh_for: None });
                };
                let value = Some(Finished::pack(map.concert_id, &write(&map)?));
                Ok(Perishable { value, fresh_for })
            }
        };
        let list = self.copies.read(&seats_name(schedule), form.name, SEATS, read).await?;
        let list = Finished::unpack(list.ok_or(Error::ScheduleNotFound)?)?;
        if list.is_of(admitted_to) { Ok(list) } else { Err(Error::TokenMismatch) }
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
}

fn ensure_same(admitted_to: ConcertId, concert: ConcertId) -> Result<()> {
    if admitted_to == concert { Ok(()) } else { Err(Error::TokenMismatch) }
}
