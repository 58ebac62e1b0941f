//! Data that is there before anybody acts: the demo, and masses of rows for measuring.

use async_trait::async_trait;

use crate::concert::{Concert, NewSeat, Schedule};
use crate::payment::Payment;
use crate::queue::{QueueToken, Rules};
use crate::reservation::Reservation;
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
    /// Holds and what became of them. A pending or confirmed one has its seat, which is in this
    /// data set too; no seat has two such.
    pub reservations: Vec<Reservation>,
    /// How confirmed ones of these were paid.
    pub sales: Vec<Sale>,
}

/// A payment of the past, whose event has had its effect long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// The concert whose figures it counts for.
    pub concert: ConcertId,
    /// The payment.
    pub payment: Payment,
    /// What its user was charged just before, at least its amount.
    pub charged: Won,
    /// The ledger line of that charge.
    pub charge_line: TransactionId,
    /// The ledger line of the payment.
    pub spend_line: TransactionId,
}

/// A part of a run that loads its rows piece by piece.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// Which run, in at most 200 characters.
    pub run: String,
    /// Which of its parts, from 1; part 0 is its plan.
    pub number: u32,
}

/// Port: loads data past the use cases.
///
/// * `load_if_empty` MUST load all or nothing, and nothing if a concert exists.
/// * Ids handed out afterwards MUST lie above those that were loaded.
/// * Balances MUST equal their ledgers.
/// * A part MUST be loaded once, whoever else loads it at the same time, and what was noted of a
///   part MUST be there if and only if its rows are.
#[async_trait]
pub trait SeedStore: Send + Sync {
    /// The store's time, from which shows and openings are dated.
    async fn now(&self) -> Result<Timestamp>;

    /// Loads the data set into an empty store; answers whether it did.
    async fn load_if_empty(&self, data: Dataset) -> Result<bool>;

    /// Adds the data set to whatever is there, all or nothing. Its ids come from the counters.
    async fn load(&self, data: Dataset) -> Result<()>;

    /// Keeps the plan of a run, unless it has one; answers the one that it has.
    async fn keep_plan(&self, run: String, plan: String) -> Result<String>;

    /// Adds a part of a run, and notes that it is there; answers whether it did, `false` if the
    /// part was there.
    async fn load_part(&self, part: Part, data: Dataset) -> Result<bool>;

    /// The numbers of the parts of a run that are there.
    async fn loaded_parts(&self, run: String) -> Result<Vec<u32>>;
}

/// Port: fills queues past the use cases, for measuring.
///
/// * Users MUST wait in the order given, behind those who wait already; only the next admission
///   step admits.
/// * A user with a live place MUST keep it: filling again changes nothing.
#[async_trait]
pub trait QueueSeeds: Send + Sync {
    /// Puts users, each with a fresh token, at the tail of a concert's queue.
    /// What was put before a failure may stay.
    async fn fill_queue(
        &self,
        concert: ConcertId,
        waiting: Vec<(UserId, QueueToken)>,
        rules: &Rules,
    ) -> Result<()>;
}
