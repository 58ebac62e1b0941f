use std::time::Duration;

use serde_json::{Value, json};

use crate::buyer::id;
use crate::{Buyer, Client, TestApp};

/// What every seat of a [`Show`] costs.
pub const PRICE: i64 = 50_000;

/// The user who looks for the ids of seats; no test uses the number.
const SCOUT: i64 = 900_000_001;

/// A concert with one schedule, made through the admin routes.
#[derive(Clone, Debug)]
pub struct Show {
    /// The concert.
    pub concert: i64,
    /// Its schedule.
    pub schedule: i64,
    /// The seats by number.
    pub seats: Vec<i64>,
}

/// When shows start, and when their reservations opened, where no test minds.
const FAR_AHEAD: &str = "2099-12-31T10:00:00.000Z";
const LONG_AGO: &str = "2020-01-01T00:00:00.000Z";

impl TestApp {
    /// A show that starts after the given time, open for reservations.
    pub async fn show_in(&self, time: Duration, seats: u32) -> Show {
        self.show_at(&self.now().plus(time).to_string(), seats).await
    }
}

impl Client {
    /// A show far ahead, open for reservations, with so many seats.
    pub async fn show(&self, seats: u32) -> Show {
        self.show_at(FAR_AHEAD, seats).await
    }

    async fn show_at(&self, starts_at: &str, seats: u32) -> Show {
        let concert = self.concert().await;
        let schedule = self.schedule(concert, starts_at, LONG_AGO).await;
        self.add_seats(schedule, seats).await;
        let seats = self.seat_ids(concert, schedule).await;
        Show { concert, schedule, seats }
    }

    /// A concert without schedules.
    pub async fn concert(&self) -> i64 {
        let body = json!({ "title": "Spring Night", "description": "one evening" });
        id(&self.post("/admin/concerts").json(body).await.ok(201)["id"])
    }

    /// A schedule without seats.
    pub async fn schedule(&self, concert: i64, starts_at: &str, opens_at: &str) -> i64 {
        let body = json!({ "startsAt": starts_at, "reservationOpensAt": opens_at });
        let path = format!("/admin/concerts/{concert}/schedules");
        id(&self.post(path).json(body).await.ok(201)["id"])
    }

    /// Seats 1 to `count` of a schedule.
    pub async fn add_seats(&self, schedule: i64, count: u32) {
        let body = json!({ "ranges": [{ "from": 1, "to": count, "price": PRICE }] });
        self.post(format!("/admin/schedules/{schedule}/seats")).json(body).await.ok(201);
    }

    /// The ids of the seats of a schedule, as somebody who is admitted sees them.
    pub async fn seat_ids(&self, concert: i64, schedule: i64) -> Vec<i64> {
        self.look(concert, schedule).await.iter().map(|seat| id(&seat["id"])).collect()
    }

    /// A user of the service.
    pub fn buyer(&self, user: i64) -> Buyer {
        Buyer::of(self, user)
    }

    /// Changes the policy of a concert's queue.
    pub async fn policy(&self, concert: i64, patch: Value) -> Value {
        self.patch(format!("/admin/concerts/{concert}/queue")).json(patch).await.ok(200)
    }

    /// What an operator sees of a concert's queue.
    pub async fn queue(&self, concert: i64) -> Value {
        self.get(format!("/admin/concerts/{concert}/queue")).await.ok(200)
    }

    /// The line of a concert in the ranking.
    pub async fn ranked(&self, concert: i64) -> Option<Value> {
        let lines = self.all("/concerts/ranking").await;
        lines.into_iter().find(|line| line["concertId"] == concert)
    }

    /// The state of a seat as somebody who is admitted sees it.
    pub async fn seat_status(&self, show: &Show, seat: i64) -> String {
        let states = self.seat_states(show).await;
        states.into_iter().find(|(id, _)| *id == seat).expect("the seat is listed").1
    }

    /// The state of every seat of a show.
    pub async fn seat_states(&self, show: &Show) -> Vec<(i64, String)> {
        let seats = self.look(show.concert, show.schedule).await;
        let state = |seat: &Value| seat["status"].as_str().expect("a status").to_owned();
        seats.iter().map(|seat| (id(&seat["id"]), state(seat))).collect()
    }

    async fn look(&self, concert: i64, schedule: i64) -> Vec<Value> {
        let scout = self.buyer(SCOUT).admitted(concert).await;
        let seats = scout.seats(schedule).await.ok(200);
        scout.leave().await.ok(204);
        seats["seats"].as_array().expect("seats").clone()
    }
}
