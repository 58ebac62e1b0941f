//! One buyer, from the door of the queue to the paid seat.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::super::load::{Wire, get, request};

/// How long a buyer who is told to come back later does so.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);
const CHARGE: u32 = 100;

/// Connections that all buyers share.
pub(super) struct Pool {
    idle: RefCell<Vec<Wire>>,
    free: Semaphore,
    /// How often somebody was told to come back later.
    pub put_off: Cell<u64>,
    /// Requests of all buyers.
    pub requests: Cell<u64>,
}

impl Pool {
    pub(super) async fn open(addr: SocketAddr, connections: usize) -> Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..connections {
            idle.push(Wire::open(addr).await?);
        }
        let (put_off, requests) = (Cell::new(0), Cell::new(0));
        Ok(Self { idle: RefCell::new(idle), free: Semaphore::new(connections), put_off, requests })
    }

    /// The status and the body of an answer.
    async fn once(&self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        let _permit = self.free.acquire().await?;
        let mut wire = self.idle.borrow_mut().pop().context("a connection")?;
        self.requests.set(self.requests.get() + 1);
        let answer = wire.exchange(request).await;
        let answer = answer.map(|answer| (answer.status, answer.body.to_vec()));
        self.idle.borrow_mut().push(wire);
        answer
    }

    /// A good answer; whoever is told to come back does so.
    async fn ask(&self, request: &[u8]) -> Result<Vec<u8>> {
        let begun = Instant::now();
        loop {
            let (status, body) = self.once(request).await?;
            match status {
                200..300 => return Ok(body),
                429 | 503 if begun.elapsed() < PATIENCE => {
                    self.put_off.set(self.put_off.get() + 1);
                    sleep(AGAIN).await;
                }
                _ => bail!("{status} {}", String::from_utf8_lossy(&body)),
            }
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: &[u8]) -> Result<T> {
        let body = self.ask(request).await?;
        serde_json::from_slice(&body).context("an answer that is not understood")
    }
}

/// Who wants which seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub concert: i64,
    pub schedule: i64,
    pub seat: i64,
}

/// How a buyer fared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    /// Paid, and the slot is free again.
    Paid {
        /// From the join.
        whole: Duration,
        /// From the admission as the buyer saw it.
        inside: Duration,
    },
    /// Still waiting when time was up.
    Waiting,
    /// Admitted, and no seat was left to want.
    SoldOut,
}

#[derive(Deserialize)]
struct Place {
    token: String,
    status: String,
    #[serde(default, rename = "pollAfter")]
    poll_after: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    reservation_id: i64,
}

/// Joins, polls as told until admitted or until `patience` is over, and buys the seat that `wish`
/// gives to whoever has been admitted.
pub(super) async fn buy(
    pool: &Pool,
    user: i64,
    concert: i64,
    patience: Duration,
    wish: impl FnOnce() -> Option<Wish>,
) -> Result<End> {
    let begun = Instant::now();
    let join = format!(r#"{{"userId":{user},"concertId":{concert}}}"#);
    let join = request("POST", "/api/v1/queue/tokens", "", "", Some(&join));
    let mut place: Place = pool.read(&join).await.context("join")?;
    let token = place.token.clone();
    let poll = get("/api/v1/queue/status", &token);
    while place.status == "WAITING" {
        let pause = Duration::from_secs(place.poll_after.max(1));
        if begun.elapsed() + pause > patience {
            return Ok(End::Waiting);
        }
        sleep(pause).await;
        place = pool.read(&poll).await.context("poll")?;
    }
    let admitted = Instant::now();
    let Some(wish) = wish() else { return Ok(End::SoldOut) };
    take(pool, user, &token, wish).await?;
    // The payment has given the slot back.
    let after: Place = pool.read(&poll).await.context("poll after the payment")?;
    if after.status != "EXPIRED" {
        bail!("the slot is not free after the payment: {}", after.status);
    }
    Ok(End::Paid { whole: begun.elapsed(), inside: admitted.elapsed() })
}

/// Looks at the seats, holds one, charges and pays.
async fn take(pool: &Pool, user: i64, token: &str, wish: Wish) -> Result<()> {
    let Wish { schedule, seat, .. } = wish;
    let seats = get(&format!("/api/v1/schedules/{schedule}/seats"), token);
    pool.ask(&seats).await.context("seats")?;
    let hold = format!(r#"{{"userId":{user},"scheduleId":{schedule},"seatId":{seat}}}"#);
    let hold = request("POST", "/api/v1/reservations", token, "", Some(&hold));
    let held: Held = pool.read(&hold).await.context("hold")?;
    let charge = format!(r#"{{"userId":{user},"amount":{CHARGE},"paymentMethod":"CARD"}}"#);
    let charge = request("PATCH", "/api/v1/points/charge", "", "", Some(&charge));
    pool.ask(&charge).await.context("charge")?;
    let pay = format!(r#"{{"userId":{user},"reservationId":{}}}"#, held.reservation_id);
    let pay = request("POST", "/api/v1/payments", token, "", Some(&pay));
    pool.ask(&pay).await.context("pay")?;
    Ok(())
}
