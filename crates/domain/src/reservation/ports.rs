use async_trait::async_trait;

use super::Reservation;
use crate::concert::SeatLocation;
use crate::{
    Applied, Error, IdempotencyClaim, Page, PageRequest, ReservationId, Result, Seen, UserId,
};

/// What refuses a hold whose seat has another price than the one that was read.
pub const PRICE_CHANGED: Error =
    Error::Conflict("the price of the seat has just changed; look at it again");

/// A decided hold: the row to be written. Its guards are that the seat can be taken, at the price
/// that was read, and that its user does not hold too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The reservation, PENDING.
    pub reservation: Reservation,
    /// How many seats of the concert its user may hold at once, this one counted; 1 or more.
    pub most: u32,
    /// The key under which the answer is kept.
    pub claim: Option<IdempotencyClaim>,
}

/// What a sweep tidied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Where the seats are that became available, once per ended hold.
    pub freed: Vec<SeatLocation>,
    /// Ended holds that could not be tidied; they are left for the next sweep.
    pub failed: u32,
    /// Whether the sweep stopped at its bound and another one has work to do.
    pub more: bool,
}

/// Port: holds.
///
/// * A seat MUST have at most one live owner (a pending hold not past its time, or a confirmed
///   one), proved by a conditional update and a unique key, with any number of callers.
/// * A seat MUST NOT be held at a price that is not its own.
/// * A seat MUST be takeable from the instant its hold ends, whether or not it was swept; the
///   ended hold becomes EXPIRED in the same transaction.
/// * A user MUST NOT have more live unpaid holds of a concert than `most` says, with any number of
///   callers; who is at the bound loses none of them by asking for more.
/// * Whether a hold has ended MUST be judged by the store's time inside the transaction.
/// * Of settling, cancelling and expiring one hold exactly one MUST win.
/// * With a claim, the answer MUST be kept in the transaction of the effect; a second call with
///   the claim MUST answer it and have no effect, also when both run at once.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ReservationStore: Send + Sync {
    /// Takes the seat for the reservation: `SeatNotAvailable`; `SeatNotFound` if the seat is no
    /// more; [`PRICE_CHANGED`]; `HoldLimitExceeded`; `IdempotencyKeyReused`.
    async fn hold(&self, hold: Hold) -> Result<Applied<Reservation>>;

    /// One reservation, whoever owns it.
    async fn find(&self, id: ReservationId) -> Result<Option<Seen<Reservation>>>;

    /// The reservations of a user, newest first. The cursor's key is `created_at` in
    /// milliseconds.
    async fn list(&self, user: UserId, page: PageRequest) -> Result<Page<Reservation>>;

    /// Lets the user's pending hold go and frees its seat. Answers whether this call did it:
    /// `false` if it was cancelled or had expired before. `ReservationNotFound`;
    /// `ReservationNotPending` when paid.
    async fn cancel(&self, id: ReservationId, user: UserId) -> Result<bool>;

    /// Tidies ended holds, the oldest first, at most `limit`. One bad row MUST NOT undo the rest.
    async fn sweep(&self, limit: u32) -> Result<Swept>;
}
