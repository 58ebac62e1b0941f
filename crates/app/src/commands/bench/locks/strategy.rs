//! The ways to sell a seat to one of many, behind one port.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use clap::ValueEnum;
use concert_adapter_mysql::lab::Done;
use concert_adapter_redis::Redis;
use concert_domain::lock::{Lock, Locked};
use concert_domain::reservation::{Hold, Reservation, ReservationStatus, ReservationStore};
use concert_domain::{Error, Timestamp, Won};
use tokio::sync::Notify;

use super::pool::Pool;

/// What came of trying to get a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The caller believes that the seat is theirs.
    Won,
    /// Somebody else has it, or is about to.
    Lost,
    /// Neither: a deadlock, too many tries, a server that did not answer in time.
    Failed,
    /// The caller is gone, in the middle of it.
    Died,
}

/// An attempt of a user, on one of the instances of the service.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub seat: i64,
    pub user: i64,
    pub instance: usize,
    pub stop: Option<Stop>,
}

/// What befalls a caller after the look at the seat and before its change.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    /// Told when the caller has come so far.
    pub reached: Arc<Notify>,
    /// For how long it stands still; without it, it is gone for good.
    pub pause: Option<Duration>,
}

impl Attempt {
    /// Answers whether the caller is still there.
    async fn goes_on(&self) -> bool {
        let Some(stop) = &self.stop else { return true };
        stop.reached.notify_one();
        match stop.pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return false,
        }
        true
    }
}

/// Port: sells seats under contention. What it MUST do is what is measured here: of all who try
/// for a seat exactly one wins. Production has one implementation, `Strategy::Ours`.
#[async_trait]
pub(super) trait SeatContention: Send + Sync {
    async fn attempt(&self, attempt: Attempt) -> Result<Outcome>;
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Strategy {
    /// SELECT ... FOR UPDATE, then the change.
    Pessimistic,
    /// A version is read and checked by the change, which is tried again.
    Optimistic,
    /// A lock in Redis around a read and a change that trust it.
    RedisLock,
    /// A lock in the process around the same, on two instances.
    InProcess,
    /// An INSERT that a unique key refuses.
    Unique,
    /// A shield in Redis before a conditional update: what production does.
    Ours,
}

impl Strategy {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Pessimistic => "pessimistic row lock",
            Self::Optimistic => "optimistic version",
            Self::RedisLock => "Redis lock",
            Self::InProcess => "in-process lock, two instances",
            Self::Unique => "unique key",
            Self::Ours => "ours: shield and conditional update",
        }
    }

    /// The query that says how often seats were sold beyond once.
    pub(super) fn double_sales(self) -> &'static str {
        match self {
            Self::Ours => {
                "SELECT CAST(COALESCE(SUM(sold - 1), 0) AS SIGNED) AS n FROM (SELECT COUNT(*) AS sold
                 FROM reservations WHERE seat_id BETWEEN ? AND ? GROUP BY seat_id) s"
            }
            _ => {
                "SELECT CAST(COALESCE(SUM(sold - 1), 0) AS SIGNED) AS n FROM (SELECT COUNT(*) AS sold
                 FROM lab_sales WHERE seat BETWEEN ? AND ? GROUP BY seat) s"
            }
        }
    }

    pub(super) fn make(
        self,
        pool: Arc<Pool>,
        redis: Redis,
        store: Arc<dyn ReservationStore>,
        lease: Duration,
    ) -> Arc<dyn SeatContention> {
        match self {
            Self::Pessimistic => Arc::new(Pessimistic(pool)),
            Self::Optimistic => Arc::new(Optimistic(pool)),
            Self::RedisLock => Arc::new(RedisLock { pool, redis, lease }),
            Self::InProcess => Arc::new(InProcess { pool, instances: Default::default() }),
            Self::Unique => Arc::new(Unique(pool)),
            Self::Ours => Arc::new(Ours { redis, store, lease }),
        }
    }
}

/// How often the optimistic one tries before it gives up.
const TRIES: u32 = 10;
/// How long a lock in Redis lasts if its holder dies.
pub(super) const LEASE: Duration = Duration::from_secs(3);

const OWNER: &str = "SELECT owner AS n FROM lab_seats WHERE id = ?";
const OWNER_LOCKED: &str = "SELECT owner AS n FROM lab_seats WHERE id = ? FOR UPDATE";
const TAKE: &str = "UPDATE lab_seats SET owner = ? WHERE id = ?";
const SELL: &str = "INSERT INTO lab_sales (seat, user) VALUES (?, ?)";
// Owner and version in one number, so that one row of one column is read: owned seats are negative.
const VERSION: &str = "SELECT CASE WHEN owner = 0 THEN version ELSE -1 END AS n
    FROM lab_seats WHERE id = ?";
const TAKE_VERSION: &str = "UPDATE lab_seats SET owner = ?, version = version + 1
    WHERE id = ? AND version = ?";
const SELL_ONCE: &str = "INSERT INTO lab_unique (seat, user) VALUES (?, ?)";

struct Pessimistic(Arc<Pool>);

#[async_trait]
impl SeatContention for Pessimistic {
    async fn attempt(&self, attempt: Attempt) -> Result<Outcome> {
        let Attempt { seat, user, .. } = attempt;
        let mut session = self.0.get().await?;
        session.batch("START TRANSACTION").await?;
        let outcome = match session.number(OWNER_LOCKED, &[seat]).await? {
            None => Outcome::Failed,
            Some(0) if !attempt.goes_on().await => return Ok(Outcome::Died),
            Some(0) => {
                session.run(TAKE, &[user, seat]).await?;
                session.run(SELL, &[seat, user]).await?;
                Outcome::Won
            }
            Some(_) => Outcome::Lost,
        };
        let end = if outcome == Outcome::Won { "COMMIT" } else { "ROLLBACK" };
        session.batch(end).await?;
        session.give_back();
        Ok(outcome)
    }
}

struct Optimistic(Arc<Pool>);

#[async_trait]
impl SeatContention for Optimistic {
    async fn attempt(&self, attempt: Attempt) -> Result<Outcome> {
        let Attempt { seat, user, .. } = attempt;
        let mut session = self.0.get().await?;
        let mut outcome = Outcome::Failed;
        for _ in 0..TRIES {
            let version = session.number(VERSION, &[seat]).await?.unwrap_or(-1);
            if version < 0 {
                outcome = Outcome::Lost;
                break;
            }
            if !attempt.goes_on().await {
                return Ok(Outcome::Died);
            }
            session.batch("START TRANSACTION").await?;
            if session.run(TAKE_VERSION, &[user, seat, version]).await? == Done::Rows(1) {
                session.run(SELL, &[seat, user]).await?;
                session.batch("COMMIT").await?;
                outcome = Outcome::Won;
                break;
            }
            session.batch("ROLLBACK").await?;
        }
        session.give_back();
        Ok(outcome)
    }
}

/// A read and a change that are right only while nobody else is between them.
async fn read_then_write(pool: &Arc<Pool>, attempt: &Attempt) -> Result<Outcome> {
    let Attempt { seat, user, .. } = *attempt;
    let mut session = pool.get().await?;
    let mut outcome = Outcome::Lost;
    if session.number(OWNER, &[seat]).await? == Some(0) {
        if !attempt.goes_on().await {
            return Ok(Outcome::Died);
        }
        session.batch("START TRANSACTION").await?;
        let taken = session.run(TAKE, &[user, seat]).await?;
        let sold = session.run(SELL, &[seat, user]).await?;
        let done = taken == Done::Rows(1) && sold == Done::Rows(1);
        session.batch(if done { "COMMIT" } else { "ROLLBACK" }).await?;
        outcome = if done { Outcome::Won } else { Outcome::Failed };
    }
    session.give_back();
    Ok(outcome)
}

struct RedisLock {
    pool: Arc<Pool>,
    redis: Redis,
    lease: Duration,
}

#[async_trait]
impl SeatContention for RedisLock {
    async fn attempt(&self, attempt: Attempt) -> Result<Outcome> {
        let (name, owner) = (format!("plain:{}", attempt.seat), attempt.user.to_string());
        match self.redis.acquire(&name, &owner, self.lease).await {
            Ok(Locked::Acquired) => {
                let outcome = read_then_write(&self.pool, &attempt).await;
                if !matches!(outcome, Ok(Outcome::Died)) {
                    self.redis.release(&name, &owner).await.ok();
                }
                outcome
            }
            Ok(Locked::HeldBy(_)) => Ok(Outcome::Lost),
            Err(_) => Ok(Outcome::Failed),
        }
    }
}

type SeatLocks = Mutex<HashMap<i64, Arc<tokio::sync::Mutex<()>>>>;

struct InProcess {
    pool: Arc<Pool>,
    /// What each instance of the service knows of the seats in use: nothing of the other's.
    instances: [SeatLocks; 2],
}

#[async_trait]
impl SeatContention for InProcess {
    async fn attempt(&self, attempt: Attempt) -> Result<Outcome> {
        let lock = {
            let locks = &self.instances[attempt.instance % 2];
            let mut locks = locks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            locks.entry(attempt.seat).or_default().clone()
        };
        let _locked = lock.lock().await;
        read_then_write(&self.pool, &attempt).await
    }
}

struct Unique(Arc<Pool>);

#[async_trait]
impl SeatContention for Unique {
    async fn attempt(&self, attempt: Attempt) -> Result<Outcome> {
        let Attempt { seat, user, .. } = attempt;
        let mut session = self.0.get().await?;
        let outcome = match session.run(SELL_ONCE, &[seat, user]).await? {
            Done::Rows(1) if !attempt.goes_on().await => return Ok(Outcome::Died),
            Done::Rows(1) => {
                session.run(SELL, &[seat, user]).await?;
                Outcome::Won
            }
            Done::Duplicate => Outcome::Lost,
            Done::Rows(_) | Done::Contended => Outcome::Failed,
        };
        session.give_back();
        Ok(outcome)
    }
}

/// What `ReservationService` does with a decided hold, over the same ports.
struct Ours {
    redis: Redis,
    store: Arc<dyn ReservationStore>,
    lease: Duration,
}

#[async_trait]
impl SeatContention for Ours {
    async fn attempt(&self, attempt: Attempt) -> Result<Outcome> {
        let Attempt { seat, user, .. } = attempt;
        let (name, owner) = (format!("seat:{seat}"), user.to_string());
        match self.redis.acquire(&name, &owner, self.lease).await {
            Ok(Locked::HeldBy(_)) => Ok(Outcome::Lost),
            Ok(Locked::Acquired) if !attempt.goes_on().await => Ok(Outcome::Died),
            Ok(Locked::Acquired) => {
                let outcome = self.hold(seat, user).await;
                self.redis.release(&name, &owner).await.ok();
                outcome
            }
            // The shield is no proof: without it the store decides alone.
            Err(_) => self.hold(seat, user).await,
        }
    }
}

impl Ours {
    async fn hold(&self, seat: i64, user: i64) -> Result<Outcome> {
        let reservation = Reservation {
            id: user.try_into()?,
            user_id: user.try_into()?,
            concert_id: 1.try_into()?,
            schedule_id: 1.try_into()?,
            seat_id: seat.try_into()?,
            price: Won::of(100),
            status: ReservationStatus::Pending,
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::MAX,
        };
        match self.store.hold(Hold { reservation, most: u32::MAX, claim: None }).await {
            Ok(_) => Ok(Outcome::Won),
            Err(Error::SeatNotAvailable) => Ok(Outcome::Lost),
            Err(Error::Unavailable { .. }) => Ok(Outcome::Failed),
            Err(error) => Err(error.into()),
        }
    }
}
