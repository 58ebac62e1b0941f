use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;

use super::super::contest::Supply;
use super::super::effort::Effort;
use super::super::load::{Shots, get, request};
use super::super::world::{Guest, Hall, World};

/// More of each in a second than any machine here makes; so much is there for each second.
const HOLDS_A_SECOND: u32 = 6_000;
const JOINS_A_SECOND: u32 = 40_000;
/// Halls whose lists are read, the longest last.
const SIZES: [u32; 3] = [50, 2_000, 50_000];
/// The smaller and the larger hall in which seats are held.
pub(super) const SMALL: u32 = 50;
pub(super) const LARGE: u32 = 50_000;
/// Clients who want the one hot seat.
pub(super) const CROWD: u32 = 1_000;
/// Who wait in the queue that is polled.
const WAITING: u32 = 1_000;
/// Users who are charged in turn: so many that none is charged too much.
const CHARGED: u32 = 20_000;

/// Somebody who is to hold a seat.
#[derive(Debug, Clone)]
pub(in super::super) struct Booking {
    pub guest: Guest,
    pub schedule: i64,
    pub seat: i64,
}

impl Booking {
    pub(in super::super) fn hold(&self) -> Vec<u8> {
        let Self { guest: Guest { user, token }, schedule, seat } = self;
        let body = format!(r#"{{"userId":{user},"scheduleId":{schedule},"seatId":{seat}}}"#);
        request("POST", "/api/v1/reservations", token, "", Some(&body))
    }

    pub(super) fn pay(&self, reservation: i64) -> Vec<u8> {
        let Guest { user, token } = &self.guest;
        let body = format!(r#"{{"userId":{user},"reservationId":{reservation}}}"#);
        request("POST", "/api/v1/payments", token, "", Some(&body))
    }
}

/// Everything that the paths need.
pub(super) struct Setup {
    /// Whose lists are read, and by whom.
    pub read: i64,
    pub reader: Guest,
    pub lists: Vec<(u32, i64)>,
    pub waiting: Vec<Guest>,
    pub joined: i64,
    pub joining: Vec<Range<i64>>,
    pub charged: Range<i64>,
    pub often_charged: Range<i64>,
    /// One list for each round.
    pub small: Vec<Vec<Booking>>,
    pub large: Vec<Vec<Booking>>,
    pub hot: Vec<Vec<Booking>>,
}

impl Setup {
    /// Makes it. `rounds` is how often each path is played, over all numbers of clients.
    pub(super) async fn new(world: &World, effort: &Effort, rounds: u32) -> Result<Self> {
        let read = world.concert().await?;
        let mut lists = Vec::new();
        for seats in SIZES {
            let seats = seats.min(effort.size(u32::MAX, u32::MAX, 5_000));
            let hall = world.halls(read, 1, seats).await?.pop().context("a hall")?;
            lists.push((seats, hall.schedule.get()));
        }
        let reader = world.admitted(read, 1).await?.pop().context("a reader")?;

        let polled = world.concert().await?;
        let users = world.users(WAITING).await?;
        let waiting = world.waiting(polled, users).await?;
        let joined = world.concert().await?;
        let mut joining = Vec::new();
        for _ in 0..rounds {
            joining.push(world.users(effort.supply(JOINS_A_SECOND)).await?);
        }
        let each = effort.supply(HOLDS_A_SECOND);
        Ok(Self {
            read: read.get(),
            reader,
            lists,
            waiting,
            joined: joined.get(),
            joining,
            charged: world.users(CHARGED).await?,
            often_charged: world.users(rounds).await?,
            small: bookings(world, SMALL, rounds, each).await?,
            large: bookings(world, LARGE, rounds, each).await?,
            hot: crowds(world, effort).await?,
        })
    }

    /// Polls of those who wait, in turn.
    pub(super) fn polls(&self) -> Supply {
        let polls = self.waiting.iter().map(|guest| get("/api/v1/queue/status", &guest.token));
        Supply::again(polls.collect())
    }

    /// Joins of users who never joined before.
    pub(super) fn joins(&self) -> Supply {
        let concert = self.joined;
        let join = |user| {
            let body = format!(r#"{{"userId":{user},"concertId":{concert}}}"#);
            request("POST", "/api/v1/queue/tokens", "", "", Some(&body))
        };
        let rounds = self.joining.iter().map(|users| users.clone().map(join).collect());
        Supply::Dealt(rounds.map(|requests| Arc::new(Shots::once(requests))).collect())
    }

    /// Charges of many users in turn.
    pub(super) fn charges(&self) -> Supply {
        Supply::again(self.charged.clone().map(charge).collect())
    }

    /// Charges of one user, another one in each round.
    pub(super) fn charges_of_one(&self) -> Supply {
        let rounds =
            self.often_charged.clone().map(|user| Arc::new(Shots::again(vec![charge(user)])));
        Supply::Dealt(rounds.collect())
    }
}

fn charge(user: i64) -> Vec<u8> {
    let body = format!(r#"{{"userId":{user},"amount":100,"paymentMethod":"CARD"}}"#);
    request("PATCH", "/api/v1/points/charge", "", "", Some(&body))
}

/// Somebody for each seat of halls of this size, one list for each round.
async fn bookings(world: &World, size: u32, rounds: u32, each: u32) -> Result<Vec<Vec<Booking>>> {
    let concert = world.concert().await?;
    let halls = world.halls(concert, (rounds * each).div_ceil(size), size).await?;
    let guests = world.admitted(concert, rounds * each).await?;
    let seats = halls.iter().flat_map(|hall| hall.seats.clone().map(move |seat| (hall, seat)));
    let mut all = guests.into_iter().zip(seats).map(|(guest, (Hall { schedule, .. }, seat))| {
        Booking { guest, schedule: schedule.get(), seat }
    });
    Ok((0..rounds).map(|_| all.by_ref().take(each as usize).collect()).collect())
}

/// A crowd for one seat, and one more for each further round.
async fn crowds(world: &World, effort: &Effort) -> Result<Vec<Vec<Booking>>> {
    let (rounds, crowd) = (effort.rounds() + 1, effort.size(CROWD, CROWD, 50));
    let concert = world.concert().await?;
    let hall = world.halls(concert, 1, rounds).await?.pop().context("a hall")?;
    let mut guests = world.admitted(concert, rounds * crowd).await?.into_iter();
    let wish = |seat| {
        let schedule = hall.schedule.get();
        let crowd = guests.by_ref().take(crowd as usize);
        crowd.map(|guest| Booking { guest, schedule, seat }).collect()
    };
    Ok(hall.seats.clone().map(wish).collect())
}

/// The holds of each round, whose answers are kept.
pub(super) fn holds(bookings: &[Vec<Booking>]) -> VecDeque<Arc<Shots>> {
    let round = |round: &Vec<Booking>| {
        Arc::new(Shots::once(round.iter().map(Booking::hold).collect()).keeping())
    };
    bookings.iter().map(round).collect()
}

/// The payments for all seats that were held, dealt out evenly.
pub(in super::super) fn payments(
    bookings: &[Vec<Booking>],
    held: &VecDeque<Arc<Shots>>,
) -> Result<Vec<Vec<u8>>> {
    let mut payments = Vec::new();
    for (round, shots) in bookings.iter().zip(held) {
        for (number, body) in shots.answers() {
            let held: Value = serde_json::from_slice(&body).context("a reservation")?;
            let id = held["reservationId"].as_i64().context("a reservation")?;
            payments.push(round[number].pay(id));
        }
    }
    Ok(payments)
}

/// Requests that are used up, the same number for each round.
pub(super) fn deal(requests: Vec<Vec<u8>>, rounds: u32) -> Supply {
    let each = requests.len() / rounds.max(1) as usize;
    let mut requests = requests.into_iter();
    let round = |_| Arc::new(Shots::once(requests.by_ref().take(each).collect()));
    Supply::Dealt((0..rounds).map(round).collect())
}
