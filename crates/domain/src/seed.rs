//! Data that is there before anybody acts: the demo, and masses of rows for measuring.

use async_trait::async_trait;

use crate::concert::{Concert, NewSeat, Schedule};
use crate::queue::{QueueToken, Rules};
use crate::user::User;
use crate::{ConcertId, Result, ScheduleId, Timestamp, TransactionId, UserId, Won};

/// A catalogue with users and their points, to be loaded as a whole.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// Users with a name.
    pub users: Vec<User>,
    /// What users were charged before, one ledger line each.
    pub charges: Vec<(TransactionId, UserId, Won)>,
    /// The concerts.
    pub concerts: Vec<Concert>,
    /// Their schedules.
    pub schedules: Vec<Schedule>,
    /// Their seats.
    pub seats: Vec<(ScheduleId, NewSeat)>,
}

/// Port: loads data past the use cases.
///
/// * `load_if_empty` MUST load all or nothing, and nothing if a concert exists.
/// * Ids handed out afterwards MUST lie above those that were loaded.
/// * Balances MUST equal their ledgers.
#[async_trait]
pub trait SeedStore: Send + Sync {
    /// The store's time, from which shows and openings are dated.
    async fn now(&self) -> Result<Timestamp>;

    /// Loads the data set into an empty store; answers whether it did.
    async fn load_if_empty(&self, data: Dataset) -> Result<bool>;

    /// Adds the data set to whatever is there, all or nothing. Its ids come from the counters.
    async fn load(&self, data: Dataset) -> Result<()>;
}

/// Port: fills queues past the use cases, for measuring.
///
/// * Users MUST wait in the order given, behind those who wait already; only the next admission
///   step admits.
#[async_trait]
pub trait QueueSeeds: Send + Sync {
    /// Puts users without a live place, each with a fresh token, at the tail of a concert's queue.
    /// What was put before a failure may stay.
    async fn fill_queue(
        &self,
        concert: ConcertId,
        waiting: Vec<(UserId, QueueToken)>,
        rules: &Rules,
    ) -> Result<()>;
}
