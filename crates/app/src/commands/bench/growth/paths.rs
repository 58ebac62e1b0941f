use std::sync::Arc;

use anyhow::{Context, Result};
use concert_domain::ConcertId;

use super::super::contest::Supply;
use super::super::http::Booking;
use super::super::load::{Shots, get, request};
use super::super::world::{Guest, Hall, World};
use super::Args;

/// Seats to a hall.
const HALL: u32 = 1_000;
/// Joins of one round at most, so that a queue does not grow much by being measured.
const JOINS: u32 = 5_000;
/// Holds of one round at most.
const HOLDS: u32 = 4_000;
/// So many of those who wait are polled in turn.
const POLLED: usize = 1_000;
/// A queue no longer than this would grow by being measured, so that each round has its own.
const SHORT: u32 = 10_000;

/// A path with the requests of all rounds.
pub(super) struct Growing {
    pub name: String,
    pub supply: Supply,
}

fn growing(name: &str, supply: Supply) -> Growing {
    Growing { name: name.to_owned(), supply }
}

fn once(requests: Vec<Vec<u8>>) -> Arc<Shots> {
    Arc::new(Shots::once(requests))
}

/// A queue that grows, and shorter ones for the joins of a single round.
#[derive(Default)]
pub(super) struct Queues {
    concert: Option<ConcertId>,
    waiting: u32,
    polled: Vec<Guest>,
}

impl Queues {
    /// Fills the queue up to so many; answers status and join for each round with each number of
    /// clients.
    pub(super) async fn grow_to(
        &mut self,
        count: u32,
        world: &World,
        args: &Args,
    ) -> Result<Vec<Growing>> {
        let concert = match self.concert {
            Some(concert) => concert,
            None => *self.concert.insert(world.concert().await?),
        };
        let more = world.users(count.saturating_sub(self.waiting).max(1)).await?;
        let mut guests = world.waiting(concert, more).await?;
        self.waiting = self.waiting.max(count);
        // The last ones: they have all others in front of them.
        self.polled = guests.split_off(guests.len().saturating_sub(POLLED));
        let rounds = args.rounds() * args.clients().len() as u32;
        self.paths(world, args, rounds).await
    }

    /// The same for the rounds of one more number of clients.
    pub(super) async fn again(&mut self, world: &World, args: &Args) -> Result<Vec<Growing>> {
        self.paths(world, args, args.rounds()).await
    }

    async fn paths(&self, world: &World, args: &Args, rounds: u32) -> Result<Vec<Growing>> {
        let polls = self.polled.iter().map(|guest| get("/api/v1/queue/status", &guest.token));
        let mut joins = Vec::new();
        for _ in 0..rounds {
            let concert = self.queue_for_a_round(world).await?;
            let users = world.users(args.effort.size(JOINS, JOINS, 50)).await?;
            joins.push(once(users.map(|user| join(user, concert)).collect()));
        }
        Ok(vec![
            growing("status", Supply::again(polls.collect())),
            growing("join", Supply::Dealt(joins.into())),
        ])
    }

    async fn queue_for_a_round(&self, world: &World) -> Result<ConcertId> {
        if self.waiting > SHORT {
            return self.concert.context("a queue");
        }
        let own = world.concert().await?;
        let users = world.users(self.waiting).await?;
        world.waiting(own, users).await?;
        Ok(own)
    }
}

fn join(user: i64, concert: ConcertId) -> Vec<u8> {
    let body = format!(r#"{{"userId":{user},"concertId":{concert}}}"#);
    request("POST", "/api/v1/queue/tokens", "", "", Some(&body))
}

/// A table of seats that grows.
#[derive(Default)]
pub(super) struct Halls {
    concert: Option<ConcertId>,
    reader: Option<Guest>,
    seats: u32,
    listed: Vec<Hall>,
}

impl Halls {
    /// Fills the table up to so many; answers seats and hold for each round with each number of
    /// clients.
    pub(super) async fn grow_to(
        &mut self,
        count: u32,
        world: &World,
        args: &Args,
    ) -> Result<Vec<Growing>> {
        let concert = match self.concert {
            Some(concert) => concert,
            None => *self.concert.insert(world.concert().await?),
        };
        if self.reader.is_none() {
            self.reader = world.admitted(concert, 1).await?.pop();
        }
        let more = count.saturating_sub(self.seats);
        let size = HALL.min(count);
        self.listed.extend(world.halls(concert, (more / size).max(1), size).await?);
        self.seats = self.seats.max(count);
        let rounds = args.rounds() * args.clients().len() as u32;
        self.paths(world, args, rounds).await
    }

    /// The same for the rounds of one more number of clients.
    pub(super) async fn again(&mut self, world: &World, args: &Args) -> Result<Vec<Growing>> {
        self.paths(world, args, args.rounds()).await
    }

    async fn paths(&self, world: &World, args: &Args, rounds: u32) -> Result<Vec<Growing>> {
        let token = &self.reader.as_ref().context("a reader")?.token;
        let list = |hall: &Hall| get(&format!("/api/v1/schedules/{}/seats", hall.schedule), token);
        let one = self.listed.first().map(list).into_iter().collect();
        let all = self.listed.iter().map(list).collect();
        let each = args.effort.size(HOLDS, HOLDS, 50);
        let concert = world.concert().await?;
        let halls = world.halls(concert, (rounds * each).div_ceil(HALL), HALL).await?;
        let guests = world.admitted(concert, rounds * each).await?;
        let seats =
            halls.iter().flat_map(|hall| hall.seats.clone().map(|seat| (hall.schedule, seat)));
        let mut holds = guests.into_iter().zip(seats).map(|(guest, (schedule, seat))| {
            Booking { guest, schedule: schedule.get(), seat }.hold()
        });
        let round = |_| once(holds.by_ref().take(each as usize).collect());
        Ok(vec![
            growing("seats, the same hall", Supply::again(one)),
            growing("seats, all halls in turn", Supply::again(all)),
            growing("hold", Supply::Dealt((0..rounds).map(round).collect())),
        ])
    }
}
