//! The lists that are read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use concert_domain::cache::Cache;
use concert_domain::concert::{ConcertService, Finished};
use concert_domain::ports::Services;
use concert_domain::{ConcertId, Ports, ScheduleId};

use super::super::super::seed::Hall;
use super::super::load::request;
use super::super::world::Guest;
use super::Kind;
use crate::config::Config;
use crate::routes::concert::written::{ALL_SEATS, SCHEDULES};

/// One list.
pub(super) struct Subject {
    title: String,
    concert: ConcertId,
    /// The schedule whose seats are read; its concert's schedules without one.
    schedule: Option<ScheduleId>,
}

impl Subject {
    pub(super) fn schedules(title: String, concert: ConcertId) -> Self {
        Self { title, concert, schedule: None }
    }

    pub(super) fn seats(title: String, hall: &Hall) -> Self {
        Self { title, concert: hall.concert, schedule: Some(hall.schedule) }
    }

    pub(super) fn what(&self) -> String {
        self.title.clone()
    }

    pub(super) fn kind(&self) -> Kind {
        if self.schedule.is_some() { Kind::Seats } else { Kind::Schedules }
    }

    /// The name under which the cache keeps it.
    pub(super) fn name(&self) -> String {
        match self.schedule {
            Some(schedule) => format!("seats:{schedule}"),
            None => format!("schedules:{}", self.concert),
        }
    }

    pub(super) fn request(&self, guest: &Guest, headers: &str) -> Vec<u8> {
        let path = match self.schedule {
            Some(schedule) => format!("/api/v1/schedules/{schedule}/seats"),
            None => format!("/api/v1/concerts/{}/schedules", self.concert),
        };
        request("GET", &path, &guest.token, headers, None)
    }
}

/// The use cases over a cache.
pub(super) struct Reader(Arc<ConcertService>);

impl Reader {
    pub(super) fn over(ports: &Ports, cache: Arc<dyn Cache>) -> Self {
        let mut ports = ports.clone();
        ports.cache = cache;
        Self(Services::new(&ports, Config::default().settings()).concerts)
    }

    pub(super) async fn read(&self, subject: &Subject) -> Result<Finished> {
        let concert = subject.concert;
        let list = match subject.schedule {
            Some(schedule) => self.0.seats_as(concert, schedule, &ALL_SEATS).await?,
            None => self.0.schedules_as(concert, concert, &SCHEDULES).await?,
        };
        Ok(list)
    }

    pub(super) async fn timed(&self, subject: &Subject) -> Result<Duration> {
        let begun = Instant::now();
        self.read(subject).await?;
        Ok(begun.elapsed())
    }
}
