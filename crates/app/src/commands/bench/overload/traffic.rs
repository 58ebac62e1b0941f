use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use concert_domain::ConcertId;

use super::super::contest::closed;
use super::super::effort::Effort;
use super::super::http::{Booking, payments};
use super::super::load::{Class, Shots, get, request};
use super::super::world::{Guest, Hall, World};

/// The kinds of requests from the most to the least important, and how many of each come in a
/// hundred.
pub(super) const KINDS: [(&str, u32); 5] =
    [("pay", 4), ("hold", 6), ("seats", 25), ("status", 55), ("join", 10)];
/// Requests of all kinds in a second that are prepared for; more than any machine here answers, or
/// is sent.
const PREPARED: u32 = 40_000;
/// Seats of the hall whose list is read, and of those in which seats are held.
const HALL: u32 = 50;
const WAITING: u32 = 1_000;
/// Clients who hold what is to be paid.
const HOLDERS: usize = 32;
const LONGEST: Duration = Duration::from_secs(120);

/// What comes, enough for every run.
pub(super) struct Traffic {
    to_pay: Vec<Vec<Booking>>,
    to_hold: Vec<Vec<Booking>>,
    joins: Vec<Vec<Vec<u8>>>,
    seats: Arc<Shots>,
    status: Arc<Shots>,
}

impl Traffic {
    pub(super) async fn new(
        world: &World,
        effort: &Effort,
        during: Duration,
        runs: u32,
    ) -> Result<Self> {
        let seconds = during.as_secs_f64();
        let prepared = effort.size(PREPARED, PREPARED, 2_000);
        let share = |hundredth: u32| (f64::from(prepared * hundredth) / 100.0 * seconds) as u32 + 1;
        let read = world.concert().await?;
        let hall = world.halls(read, 1, HALL).await?.pop().context("a hall")?;
        let reader = world.admitted(read, 1).await?.pop().context("a reader")?;
        let list = get(&format!("/api/v1/schedules/{}/seats", hall.schedule), &reader.token);
        let polled = world.concert().await?;
        let users = world.users(WAITING).await?;
        let waiting = world.waiting(polled, users).await?;
        let polls = waiting.iter().map(|guest| get("/api/v1/queue/status", &guest.token));
        let joined = world.concert().await?;
        let mut traffic = Self {
            to_pay: Vec::new(),
            to_hold: Vec::new(),
            joins: Vec::new(),
            seats: Arc::new(Shots::again(vec![list])),
            status: Arc::new(Shots::again(polls.collect())),
        };
        for _ in 0..runs {
            traffic.to_pay.push(bookings(world, share(KINDS[0].1)).await?);
            traffic.to_hold.push(bookings(world, share(KINDS[1].1)).await?);
            let users = world.users(share(KINDS[4].1)).await?;
            traffic.joins.push(users.map(|user| join(user, joined)).collect());
        }
        Ok(traffic)
    }

    /// Requests for one run. What is to be paid is held first.
    pub(super) async fn next(&mut self, addr: SocketAddr) -> Result<Vec<Class>> {
        let to_pay = vec![self.to_pay.pop().context("seats for one more run")?];
        let to_hold = self.to_hold.pop().context("seats for one more run")?;
        let joins = self.joins.pop().context("joins for one more run")?;
        let holds = to_pay[0].iter().map(Booking::hold).collect();
        let held = Arc::new(Shots::once(holds).keeping());
        closed(vec![addr], HOLDERS, LONGEST, held.clone()).await.context("holding")?;
        let pay = payments(&to_pay, &[held].into())?;
        let hold = to_hold.iter().map(Booking::hold).collect();
        let once = |requests| Arc::new(Shots::once(requests));
        let shots = [once(pay), once(hold), self.seats.clone(), self.status.clone(), once(joins)];
        let class = |(shots, (_, weight))| Class { shots, weight };
        Ok(shots.into_iter().zip(KINDS).map(class).collect())
    }
}

async fn bookings(world: &World, count: u32) -> Result<Vec<Booking>> {
    let concert = world.concert().await?;
    let halls = world.halls(concert, count.div_ceil(HALL), HALL).await?;
    let guests = world.admitted(concert, count).await?;
    let seats = halls.iter().flat_map(|hall| hall.seats.clone().map(move |seat| (hall, seat)));
    let booking = |(guest, (hall, seat)): (Guest, (&Hall, i64))| Booking {
        guest,
        schedule: hall.schedule.get(),
        seat,
    };
    Ok(guests.into_iter().zip(seats).map(booking).collect())
}

fn join(user: i64, concert: ConcertId) -> Vec<u8> {
    let body = format!(r#"{{"userId":{user},"concertId":{concert}}}"#);
    request("POST", "/api/v1/queue/tokens", "", "", Some(&body))
}
