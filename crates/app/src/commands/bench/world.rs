//! What is there before anything is measured: halls, users with points, and people in queues.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result};
use concert_domain::audit::Edit;
use concert_domain::concert::{Concert, NewSeat, Schedule};
use concert_domain::queue::{PolicyPatch, Rules, Seal, Terms, Ticked};
use concert_domain::seed::Dataset;
use concert_domain::{ConcertId, IdKind, Ports, ScheduleId, SeatId, TransactionId, UserId, Won};

use super::report::progress;

/// Rows to a transaction.
const CHUNK: u32 = 20_000;
/// Admission steps without anybody who is admitted, after which something is wrong.
const IDLE_STEPS: usize = 1_000;
const PRICE: u32 = 10;
/// What a user has who is to pay.
const POINTS: u32 = 1_000;
/// The show is so far away that everything that can be tried with it can be tried.
const SHOW_IN: Duration = Duration::from_secs(90 * 24 * 3_600);

/// Times so long that nobody loses a place or a seat in the middle of a measurement.
pub(super) const PATIENT: [(&str, &str); 3] =
    [("QUEUE_CLAIM_TTL", "2h"), ("QUEUE_ACTIVE_TTL", "2h"), ("HOLD_TTL", "2h")];

/// [`PATIENT`] as the queue has it.
pub(super) fn patient() -> Rules {
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    Rules {
        active_limit: 50,
        claim_ttl: hours(2),
        active_ttl: hours(2),
        waiting_ttl: hours(24),
        remember_ttl: Rules::REMEMBER,
    }
}

/// A schedule with its seats.
#[derive(Debug, Clone)]
pub(super) struct Hall {
    pub schedule: ScheduleId,
    pub seats: Range<i64>,
}

/// A user with a place in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guest {
    pub user: i64,
    pub token: String,
}

/// Makes what is there before. It works through the ports, past the use cases.
pub(super) struct World {
    ports: Ports,
}

impl World {
    pub(super) fn new(ports: Ports) -> Self {
        Self { ports }
    }

    pub(super) async fn concert(&self) -> Result<ConcertId> {
        let id = self.ports.ids.take(IdKind::Concert, 1).await?.first.try_into()?;
        let title = format!("Benchmark {id}");
        let concert = Concert { id, title, description: None, version: 1 };
        self.load(Dataset { concerts: vec![concert], ..Dataset::default() }).await?;
        Ok(id)
    }

    /// So many halls of so many seats each.
    pub(super) async fn halls(
        &self,
        concert_id: ConcertId,
        halls: u32,
        seats: u32,
    ) -> Result<Vec<Hall>> {
        let now = self.ports.seeds.now().await?;
        let first_hall = self.ports.ids.take(IdKind::Schedule, halls).await?.first;
        let first_seat = self.ports.ids.take(IdKind::Seat, halls * seats).await?.first;
        let bar = progress("seats", (halls * seats).into());
        let (mut made, mut data) = (Vec::new(), Dataset::default());
        for hall in 0..i64::from(halls) {
            let schedule = ScheduleId::try_from(first_hall + hall)?;
            let start = first_seat + hall * i64::from(seats);
            data.schedules.push(Schedule {
                id: schedule,
                concert_id,
                starts_at: now.plus(SHOW_IN),
                reservation_opens_at: now,
                version: 1,
            });
            for (id, number) in (start..).zip(1..=seats) {
                let id = SeatId::try_from(id)?;
                data.seats.push((schedule, NewSeat { id, number, price: Won::of(PRICE) }));
                if data.seats.len() >= CHUNK as usize {
                    bar.inc(data.seats.len() as u64);
                    self.load(std::mem::take(&mut data)).await?;
                }
            }
            made.push(Hall { schedule, seats: start..start + i64::from(seats) });
        }
        bar.inc(data.seats.len() as u64);
        self.load(data).await?;
        bar.finish_and_clear();
        Ok(made)
    }

    /// Ids of users without anything.
    pub(super) async fn users(&self, count: u32) -> Result<Range<i64>> {
        let first = self.ports.ids.take(IdKind::User, count).await?.first;
        Ok(first..first + i64::from(count))
    }

    /// Gives points to users.
    pub(super) async fn points(&self, users: Range<i64>) -> Result<()> {
        let count = u32::try_from(users.end - users.start)?;
        let bar = progress("points", (count).into());
        let first = self.ports.ids.take(IdKind::Transaction, count).await?.first;
        let mut ids = first..;
        let users: Vec<_> = users.collect();
        for chunk in users.chunks(CHUNK as usize) {
            let charges = chunk.iter().zip(&mut ids).map(|(user, id)| {
                let ids = (TransactionId::try_from(id)?, UserId::try_from(*user)?);
                Ok((ids.0, ids.1, Won::of(POINTS)))
            });
            let charges = charges.collect::<Result<_>>()?;
            self.load(Dataset { charges, ..Dataset::default() }).await?;
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Users who wait at the tail of a concert's queue.
    pub(super) async fn waiting(
        &self,
        concert: ConcertId,
        users: Range<i64>,
    ) -> Result<Vec<Guest>> {
        let bar = progress("waiting users", (u32::try_from(users.end - users.start)?).into());
        let users: Vec<_> = users.collect();
        let seal = Seal::shared(&*self.ports.seal_keys, &*self.ports.tokens).await?;
        let mut guests = Vec::with_capacity(users.len());
        for chunk in users.chunks(CHUNK as usize) {
            let mut places = Vec::with_capacity(chunk.len());
            for user in chunk {
                let token = self.ports.tokens.fresh();
                guests.push(Guest { user: *user, token: seal.seal(&token).to_string() });
                places.push((UserId::try_from(*user)?, token));
            }
            self.ports.queue_seeds.fill_queue(concert, places, &patient()).await?;
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        Ok(guests)
    }

    /// How many may be inside.
    pub(super) async fn limit(&self, concert: ConcertId, active: u32) -> Result<()> {
        let patch = PolicyPatch { active_limit: Some(Some(active)), ..PolicyPatch::default() };
        self.ports.policies.set_policy(Edit::default(), concert, patch).await?;
        self.step(concert).await?;
        Ok(())
    }

    /// An admission step under the concert's own policy.
    async fn step(&self, concert: ConcertId) -> Result<Ticked> {
        let own = self.ports.policies.policy(concert).await?;
        Ok(self.ports.queue.tick(concert, &Terms { rules: patient(), own }).await?)
    }

    /// Users with points who have been admitted.
    pub(super) async fn admitted(&self, concert: ConcertId, count: u32) -> Result<Vec<Guest>> {
        self.limit(concert, 1_000_000).await?;
        let users = self.users(count).await?;
        self.points(users.clone()).await?;
        let guests = self.waiting(concert, users).await?;
        let mut idle = 0;
        while self.ports.queue.counts(concert).await?.waiting > 0 {
            let step = self.step(concert).await?;
            idle = if step.admitted > 0 { 0 } else { idle + 1 };
            (idle < IDLE_STEPS).then_some(()).context("nobody is admitted any more")?;
        }
        Ok(guests)
    }

    async fn load(&self, data: Dataset) -> Result<()> {
        Ok(self.ports.seeds.load(data).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::composition;
    use crate::config::{Config, Engines};

    #[test]
    fn the_queue_is_told_what_the_service_is_told() {
        let flags = PATIENT
            .map(|(name, value)| format!("--{}={value}", name.to_lowercase().replace('_', "-")));
        let command =
            <Config as clap::Args>::augment_args(clap::Command::new("c").no_binary_name(true));
        let matches = command.try_get_matches_from(flags).unwrap();
        let config = <Config as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
        assert_eq!(config.settings().queue, patient());
    }

    #[tokio::test]
    async fn guests_are_admitted_and_halls_have_their_seats() {
        let folder = tempfile::tempdir().unwrap();
        let engines = Engines::embedded(&folder.path().join("world.db"));
        let config = Config { engines, ..Config::default() };
        let ports = composition::engine(&config).await.unwrap();
        let world = World::new(ports.clone());
        let concert = world.concert().await.unwrap();
        let halls = world.halls(concert, 3, 7).await.unwrap();
        assert_eq!(halls.iter().map(|hall| hall.seats.end - hall.seats.start).sum::<i64>(), 21);
        let listed = ports.concerts.schedules(concert).await.unwrap().value;
        assert!(listed.len() == 3 && listed.iter().all(|hall| hall.available_seats == 7));
        let guests = world.admitted(concert, 20).await.unwrap();
        let overview = ports.queue.counts(concert).await.unwrap();
        assert_eq!((guests.len(), overview.active, overview.waiting), (20, 20, 0));
        world.limit(concert, 20).await.unwrap();
        let users = world.users(5).await.unwrap();
        world.waiting(concert, users).await.unwrap();
        assert_eq!(ports.queue.counts(concert).await.unwrap().waiting, 5);
    }
}
