//! What a run makes: every row follows from the seed, the counts and the ids that were taken once.

#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::{Context, Result};
use concert_domain::concert::{Concert, NewSeat, Schedule};
use concert_domain::payment::{Payment, PaymentStatus};
use concert_domain::reservation::{Reservation, ReservationStatus};
use concert_domain::seed::{Dataset, Sale};
use concert_domain::{ConcertId, IdKind, Ports, ScheduleId, Timestamp, UserId, Won};
use serde::{Deserialize, Serialize};

use crate::demo::splitmix64;

/// How many seats the halls have, from the largest; repeated until all seats are placed.
const HALLS: [u32; 9] = [50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 50];
/// Schedules to a concert.
const SCHEDULES: u32 = HALLS.len() as u32;
/// Seats to a part.
const PART: u32 = 5_000;
const DAY: Duration = Duration::from_secs(24 * 3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// How much there is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Size {
    pub seed: u64,
    pub seats: u32,
    pub tokens: u32,
    /// At most as many as seats.
    pub reservations: u32,
    /// How long the longest hold lasts.
    pub hold_for: Duration,
}

impl Size {
    /// The name of the run: the same for the same wishes.
    pub fn run(self) -> String {
        let Self { seed, seats, tokens, reservations, hold_for } = self;
        format!("bulk {seed}: {seats} {tokens} {reservations} {}", hold_for.as_millis())
    }

    /// Halls of every size, as long as one takes no more than a quarter of all seats.
    pub fn halls(self) -> Vec<u32> {
        let sizes = HALLS.iter().copied().filter(|size| *size <= (self.seats / 4).max(50)).cycle();
        let mut left = self.seats;
        let mut halls = Vec::new();
        for size in sizes {
            if left == 0 {
                break;
            }
            halls.push(size.min(left));
            left -= size.min(left);
        }
        halls
    }

    /// How many concerts its halls are spread over; one if there are only queues.
    fn concerts(self) -> u32 {
        (self.halls().len() as u32).div_ceil(SCHEDULES).max(1)
    }
}

/// Where the ids of a run begin, and the time from which it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Begin {
    now_ms: i64,
    concert: i64,
    schedule: i64,
    seat: i64,
    reservation: i64,
    payment: i64,
    line: i64,
    user: i64,
}

/// A run whose rows are known.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub size: Size,
    begin: Begin,
    rooms: Vec<Room>,
}

/// A schedule that was made, and how many seats it has.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Hall {
    pub concert: ConcertId,
    pub schedule: ScheduleId,
    pub seats: u32,
}

/// A schedule with its seats; seats are counted from 0 over all of them.
#[derive(Debug, Clone, Copy)]
struct Room {
    index: u32,
    first_seat: u32,
    seats: u32,
}

/// Seats of one hall, with all that belongs to them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub number: u32,
    room: Room,
    first_seat: u32,
    pub seats: u32,
}

/// The part that has the concerts and their schedules, before all others.
pub(super) const CATALOGUE: u32 = 1;

impl Plan {
    /// The plan of this run: a new one, or the one that was kept when the run began.
    pub async fn of(ports: &Ports, size: Size) -> Result<Self> {
        let now_ms = ports.seeds.now().await?.as_millis();
        let take = async |kind, count: u32| match count {
            0 => Ok(1),
            _ => ports.ids.take(kind, count).await.map(|block| block.first),
        };
        let begin = Begin {
            now_ms,
            concert: take(IdKind::Concert, size.concerts()).await?,
            schedule: take(IdKind::Schedule, size.halls().len() as u32).await?,
            seat: take(IdKind::Seat, size.seats).await?,
            reservation: take(IdKind::Reservation, size.reservations).await?,
            payment: take(IdKind::Payment, size.reservations).await?,
            line: take(IdKind::Transaction, size.reservations * 2).await?,
            user: take(IdKind::User, size.tokens + size.reservations).await?,
        };
        let kept = ports.seeds.keep_plan(size.run(), serde_json::to_string(&begin)?).await?;
        let begin = serde_json::from_str(&kept).context("the plan of a run in the store")?;
        Ok(Self::new(size, begin))
    }

    fn new(size: Size, begin: Begin) -> Self {
        let mut first_seat = 0;
        let rooms = (0..).zip(size.halls()).map(|(index, seats)| {
            let room = Room { index, first_seat, seats };
            first_seat += seats;
            room
        });
        Self { size, begin, rooms: rooms.collect() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.begin.now_ms)
    }

    /// A number that looks random and is the same in every run of this seed.
    fn chance(&self, of: u64, about: u64) -> u64 {
        let mut state = self.size.seed ^ of.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (about << 56);
        splitmix64(&mut state)
    }

    pub fn concerts(&self) -> Result<Vec<ConcertId>> {
        let ids = self.begin.concert..self.begin.concert + i64::from(self.size.concerts());
        ids.map(|id| Ok(id.try_into()?)).collect()
    }

    pub fn halls(&self) -> Result<Vec<Hall>> {
        let hall = |room: &Room| {
            let Schedule { id, concert_id, .. } = self.schedule(*room)?;
            Ok(Hall { concert: concert_id, schedule: id, seats: room.seats })
        };
        self.rooms.iter().map(hall).collect()
    }

    pub fn catalogue(&self) -> Result<Dataset> {
        let concerts = self.concerts()?.into_iter().map(|id| Concert {
            id,
            title: format!("Bulk concert {id}"),
            description: None,
            version: 1,
        });
        let schedules = self.rooms.iter().map(|room| self.schedule(*room));
        Ok(Dataset {
            concerts: concerts.collect(),
            schedules: schedules.collect::<Result<_>>()?,
            ..Dataset::default()
        })
    }

    /// The shows of a concert are twelve days apart; the one in the smallest hall is over.
    fn schedule(&self, room: Room) -> Result<Schedule> {
        let last = self.now().plus(DAY * 90);
        let starts_at = last.minus(DAY * (12 * (room.index % SCHEDULES)));
        Ok(Schedule {
            id: (self.begin.schedule + i64::from(room.index)).try_into()?,
            concert_id: self.concert_of(room)?,
            starts_at,
            reservation_opens_at: starts_at.minus(DAY * 150),
            version: 1,
        })
    }

    fn concert_of(&self, room: Room) -> Result<ConcertId> {
        Ok((self.begin.concert + i64::from(room.index / SCHEDULES)).try_into()?)
    }

    /// All parts but the catalogue. Neighbours belong to different concerts where there are
    /// several, since parts are loaded side by side and add to the figures of their concerts.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for room in &self.rooms {
            for from in (0..room.seats).step_by(PART as usize) {
                pieces.push(Piece {
                    number: CATALOGUE + 1 + pieces.len() as u32,
                    room: *room,
                    first_seat: room.first_seat + from,
                    seats: PART.min(room.seats - from),
                });
            }
        }
        pieces.sort_by_key(|piece| {
            let from = piece.first_seat - piece.room.first_seat;
            (piece.room.index % SCHEDULES, from, piece.room.index)
        });
        pieces
    }

    /// The rows of a part.
    pub fn rows(&self, piece: Piece) -> Result<Dataset> {
        let mut data = Dataset::default();
        let schedule = self.schedule(piece.room)?;
        let mut first = None;
        for seat in piece.first_seat..piece.first_seat + piece.seats {
            let number = seat - piece.room.first_seat + 1;
            let id = (self.begin.seat + i64::from(seat)).try_into()?;
            let row = NewSeat { id, number, price: price(number, piece.room.seats) };
            if let Some(nth) = self.reservation_of(seat) {
                // A user has two reservations, as long as they are in one part.
                let user = *first.get_or_insert(nth) + (nth - first.unwrap_or(nth)) / 2;
                let held = self.reservation(nth, user, &schedule, &row)?;
                if held.status == ReservationStatus::Confirmed {
                    data.sales.push(self.sale(nth, &held)?);
                }
                data.reservations.push(held);
            }
            data.seats.push((schedule.id, row));
        }
        Ok(data)
    }

    /// Reservations are spread evenly over the seats.
    fn reservation_of(&self, seat: u32) -> Option<u32> {
        let share = |seat: u32| {
            let (of, all) = (u64::from(self.size.reservations), u64::from(self.size.seats));
            (u64::from(seat) * of / all) as u32
        };
        (share(seat + 1) > share(seat)).then(|| share(seat))
    }

    fn reservation(
        &self,
        nth: u32,
        user: u32,
        schedule: &Schedule,
        seat: &NewSeat,
    ) -> Result<Reservation> {
        let fate = self.fate(nth, schedule);
        let millis = |most: Duration, about| {
            Duration::from_millis(self.chance(nth.into(), about) % most.as_millis().max(1) as u64)
        };
        let now = self.now();
        let before = now.min(schedule.starts_at).minus(MINUTE * 10 + millis(DAY * 30, 2));
        let (status, created_at, expires_at) = match fate {
            Fate::Held => {
                let rest = self.size.hold_for / 2 + millis(self.size.hold_for / 2, 2);
                (ReservationStatus::Pending, now.minus(MINUTE), now.plus(rest))
            }
            Fate::Ended => {
                let ended = now.minus(Duration::from_secs(1) + millis(MINUTE * 60, 2));
                (ReservationStatus::Pending, ended.minus(MINUTE * 5), ended)
            }
            Fate::Paid => (ReservationStatus::Confirmed, before, before.plus(MINUTE * 5)),
            Fate::Expired => (ReservationStatus::Expired, before, before.plus(MINUTE * 5)),
            Fate::Cancelled => (ReservationStatus::Cancelled, before, before.plus(MINUTE * 5)),
        };
        Ok(Reservation {
            id: (self.begin.reservation + i64::from(nth)).try_into()?,
            user_id: self.user(self.size.tokens + user)?,
            concert_id: schedule.concert_id,
            schedule_id: schedule.id,
            seat_id: seat.id,
            price: seat.price,
            status,
            created_at,
            expires_at,
        })
    }

    /// Of a hundred reservations some forty are paid (more for one schedule than for another),
    /// nine are held, one is a hold that has ended and that nobody has tidied; the others have
    /// expired or were cancelled. For a show that is over nothing is held.
    fn fate(&self, nth: u32, schedule: &Schedule) -> Fate {
        let paid = 20 + self.chance(schedule.id.get() as u64, 3) % 41;
        let is_over = schedule.starts_at <= self.now();
        match self.chance(nth.into(), 1) % 100 {
            0 if !is_over => Fate::Ended,
            1..10 if !is_over => Fate::Held,
            share if share < 10 + paid => Fate::Paid,
            share if share % 5 < 3 => Fate::Expired,
            _ => Fate::Cancelled,
        }
    }

    fn sale(&self, nth: u32, held: &Reservation) -> Result<Sale> {
        let rounded = held.price.get() + (self.chance(nth.into(), 4) % 6) as i64 * 10_000;
        let line = self.begin.line + 2 * i64::from(nth);
        Ok(Sale {
            concert: held.concert_id,
            payment: Payment {
                id: (self.begin.payment + i64::from(nth)).try_into()?,
                reservation_id: held.id,
                user_id: held.user_id,
                amount: held.price,
                status: PaymentStatus::Completed,
                paid_at: held.created_at.plus(MINUTE),
                refunded_at: None,
            },
            charged: Won::try_from(rounded)?,
            charge_line: line.try_into()?,
            spend_line: (line + 1).try_into()?,
        })
    }

    fn user(&self, nth: u32) -> Result<UserId> {
        Ok((self.begin.user + i64::from(nth)).try_into()?)
    }

    /// The waiting users of each concert. The first concert draws most, the second half as many,
    /// the third a third, and so on.
    pub fn queues(&self) -> Result<Vec<(ConcertId, Vec<UserId>)>> {
        let concerts = self.concerts()?;
        let weight = |nth: usize| 1.0 / (nth + 1) as f64;
        let all: f64 = (0..concerts.len()).map(weight).sum();
        let (mut from, mut share, mut queues) = (0, 0.0, Vec::new());
        for (nth, concert) in concerts.iter().enumerate() {
            share += weight(nth) / all;
            let to = match nth + 1 == concerts.len() {
                true => self.size.tokens,
                false => (f64::from(self.size.tokens) * share) as u32,
            };
            queues.push((*concert, (from..to).map(|n| self.user(n)).collect::<Result<_>>()?));
            from = to;
        }
        Ok(queues)
    }
}

/// What became of a reservation.
enum Fate {
    Held,
    Ended,
    Paid,
    Expired,
    Cancelled,
}

/// The first fifth of a hall costs most.
fn price(number: u32, seats: u32) -> Won {
    match u64::from(number) * 5 / u64::from(seats.max(1)) {
        0 => Won::of(150_000),
        1 | 2 => Won::of(120_000),
        _ => Won::of(80_000),
    }
}
