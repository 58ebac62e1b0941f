use std::time::Duration;

use anyhow::Result;
use concert_domain::concert::{Concert, NewSeat, Schedule};
use concert_domain::queue::Rules;
use concert_domain::reservation::{Hold, Reservation, ReservationStatus};
use concert_domain::seed::Dataset;
use concert_domain::{
    ConcertId, IdBlock, IdKind, Ports, ReservationId, ScheduleId, SeatId, Timestamp, UserId, Won,
};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};

/// Seats to a schedule: what one list of seats can still be read as.
const SEATS_PER_SCHEDULE: u32 = 50_000;
/// Rows to a transaction.
const CHUNK: u32 = 10_000;
/// Holds that are under way at a time; the store commits them together.
const PARALLEL_HOLDS: usize = 64;
const PRICE: Won = Won::of(100_000);
/// The show is so far away that everything that can be tried with it can be tried.
const SHOW_IN: Duration = Duration::from_secs(90 * 24 * 3_600);

/// How many rows of each kind.
pub(super) struct Wanted {
    pub seats: u32,
    pub tokens: u32,
    pub reservations: u32,
    pub hold_for: Duration,
    /// What the waiting users wait under.
    pub rules: Rules,
}

impl Wanted {
    pub(super) fn anything(&self) -> bool {
        self.seats > 0 || self.tokens > 0
    }
}

/// Where seats were made: a schedule and a run of seat ids.
#[derive(Clone, Copy)]
struct Made {
    schedule: ScheduleId,
    seats: IdBlock,
}

/// Makes a concert with the wanted rows; answers which.
pub(super) async fn load(ports: &Ports, wanted: &Wanted) -> Result<ConcertId> {
    let now = ports.seeds.now().await?;
    let concert = make_concert(ports).await?;
    let made = make_seats(ports, concert, wanted.seats, now).await?;
    fill_queue(ports, concert, wanted).await?;
    hold_seats(ports, concert, &made, wanted, now).await?;
    Ok(concert)
}

async fn make_concert(ports: &Ports) -> Result<ConcertId> {
    let id = ports.ids.take(IdKind::Concert, 1).await?.first.try_into()?;
    let title = format!("Bulk concert {id}");
    let concert = Concert { id, title, description: None, version: 1 };
    ports.seeds.load(Dataset { concerts: vec![concert], ..Dataset::default() }).await?;
    Ok(id)
}

async fn make_seats(
    ports: &Ports,
    concert_id: ConcertId,
    count: u32,
    now: Timestamp,
) -> Result<Vec<Made>> {
    let bar = progress("seats", count);
    let mut made = Vec::new();
    for in_schedule in chunks(count, SEATS_PER_SCHEDULE) {
        let id = ports.ids.take(IdKind::Schedule, 1).await?.first.try_into()?;
        let schedule = Schedule {
            id,
            concert_id,
            starts_at: now.plus(SHOW_IN),
            reservation_opens_at: now,
            version: 1,
        };
        let mut schedules = vec![schedule];
        let mut number = 0;
        for chunk in chunks(in_schedule, CHUNK) {
            let seats = ports.ids.take(IdKind::Seat, chunk).await?;
            let rows = seat_rows(id, seats, number)?;
            // The schedule goes with its first seats, so that it is never seen without any.
            let schedules = std::mem::take(&mut schedules);
            ports.seeds.load(Dataset { schedules, seats: rows, ..Dataset::default() }).await?;
            made.push(Made { schedule: id, seats });
            number += chunk;
            bar.inc(chunk.into());
        }
    }
    bar.finish();
    Ok(made)
}

fn seat_rows(
    schedule: ScheduleId,
    ids: IdBlock,
    numbered_from: u32,
) -> Result<Vec<(ScheduleId, NewSeat)>> {
    (ids.first..)
        .zip(numbered_from + 1..=numbered_from + ids.count)
        .map(|(id, number)| Ok((schedule, NewSeat { id: id.try_into()?, number, price: PRICE })))
        .collect()
}

async fn fill_queue(ports: &Ports, concert: ConcertId, wanted: &Wanted) -> Result<()> {
    let bar = progress("tokens", wanted.tokens);
    for chunk in chunks(wanted.tokens, CHUNK) {
        let users = ports.ids.take(IdKind::User, chunk).await?;
        let waiting = (users.first..users.first + i64::from(chunk))
            .map(|user| Ok((UserId::try_from(user)?, ports.tokens.fresh())))
            .collect::<Result<_>>()?;
        ports.queue_seeds.fill_queue(concert, waiting, &wanted.rules).await?;
        bar.inc(chunk.into());
    }
    bar.finish();
    Ok(())
}

/// Holds the first seats through the port that requests go through, so that every row is what a
/// request would have left.
async fn hold_seats(
    ports: &Ports,
    concert: ConcertId,
    made: &[Made],
    wanted: &Wanted,
    now: Timestamp,
) -> Result<()> {
    let bar = progress("reservations", wanted.reservations);
    let mut left = wanted.reservations;
    for Made { schedule, seats } in made.iter().copied() {
        let count = seats.count.min(left);
        if count == 0 {
            break;
        }
        left -= count;
        let users = ports.ids.take(IdKind::User, count).await?.first;
        let reservations = ports.ids.take(IdKind::Reservation, count).await?.first;
        stream::iter(0..i64::from(count))
            .map(|n| async move {
                let reservation = Reservation {
                    id: ReservationId::try_from(reservations + n)?,
                    user_id: UserId::try_from(users + n)?,
                    concert_id: concert,
                    schedule_id: schedule,
                    seat_id: SeatId::try_from(seats.first + n)?,
                    price: PRICE,
                    status: ReservationStatus::Pending,
                    created_at: now,
                    expires_at: now.plus(wanted.hold_for),
                };
                ports.reservations.hold(Hold { reservation, most: u32::MAX, claim: None }).await?;
                anyhow::Ok(())
            })
            .buffer_unordered(PARALLEL_HOLDS)
            .try_for_each(async |()| {
                bar.inc(1);
                Ok(())
            })
            .await?;
    }
    bar.finish();
    Ok(())
}

/// The sizes of the pieces that `count` is cut into.
fn chunks(count: u32, most: u32) -> impl Iterator<Item = u32> {
    (0..count).step_by(most as usize).map(move |from| most.min(count - from))
}

fn progress(what: &'static str, count: u32) -> ProgressBar {
    if count == 0 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:>12} {bar:40} {pos}/{len} {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count.into()).with_style(style).with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::composition;
    use crate::config::{Config, Engines};

    #[test]
    fn pieces_add_up() {
        assert_eq!(chunks(0, 10).count(), 0);
        assert_eq!(chunks(25, 10).collect::<Vec<_>>(), [10, 10, 5]);
        assert_eq!(chunks(20, 10).collect::<Vec<_>>(), [10, 10]);
    }

    #[tokio::test]
    async fn what_is_wanted_is_there_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let engines = Engines::embedded(&folder.path().join("bulk.db"));
        let config = Config { engines, ..Config::default() };
        let ports = composition::engine(&config).await.unwrap();
        let wanted = Wanted {
            seats: 30,
            tokens: 20,
            reservations: 7,
            hold_for: Duration::from_secs(60),
            rules: config.settings().queue,
        };
        for _ in 0..2 {
            let concert = load(&ports, &wanted).await.unwrap();
            let schedules = ports.concerts.schedules(concert).await.unwrap().value;
            assert_eq!(schedules.len(), 1);
            assert_eq!(schedules[0].available_seats, 23);
            assert_eq!(ports.queue.overview(concert).await.unwrap().waiting, 20);
        }
    }
}
