use async_trait::async_trait;

use super::Payment;
use crate::event::Event;
use crate::reservation::Reservation;
use crate::{
    Applied, IdempotencyClaim, Page, PageRequest, PaymentId, Result, Seen, Timestamp,
    TransactionId, UserId,
};

/// A decided payment: the rows to be written. Guards: the reservation is the user's, pending and
/// not past its time; its seat is held by it; the balance covers the price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The payment, COMPLETED.
    pub payment: Payment,
    /// The reservation as it was read; its ids are the guards.
    pub reservation: Reservation,
    /// The id of the ledger line.
    pub transaction_id: TransactionId,
    /// The event to be recorded.
    pub event: Event,
    /// The key under which the answer is kept.
    pub claim: Option<IdempotencyClaim>,
}

/// A decided refund. Guards: the payment is completed; the reservation is confirmed and owns its
/// seat; the balance has room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The payment, REFUNDED.
    pub payment: Payment,
    /// The reservation as it was read; its ids are the guards.
    pub reservation: Reservation,
    /// The id of the ledger line.
    pub transaction_id: TransactionId,
    /// The event to be recorded.
    pub event: Event,
    /// The key under which the answer is kept.
    pub claim: Option<IdempotencyClaim>,
}

/// What must be known of a payment before it can be refunded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundCase {
    /// The payment.
    pub payment: Payment,
    /// What was paid for.
    pub reservation: Reservation,
    /// When the show starts.
    pub starts_at: Timestamp,
}

/// Port: payments.
///
/// * `settle` and `refund` MUST each be one transaction over idempotency row, points, ledger,
///   payment, reservation, seat and outbox row: all or nothing.
/// * A reservation MUST be paid at most once, with any number of callers.
/// * Exactly one event row MUST exist for every settlement and for every refund.
/// * Time and claims: as in [`ReservationStore`](crate::reservation::ReservationStore).
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait PaymentStore: Send + Sync {
    /// Applies a settlement: `ReservationExpired`, `ReservationNotPending`, `InsufficientPoints`,
    /// `IdempotencyKeyReused`.
    async fn settle(&self, settlement: Settlement) -> Result<Applied<Payment>>;

    /// Applies a refund: `RefundNotAllowed`, `PointLimitExceeded`, `IdempotencyKeyReused`.
    async fn refund(&self, refund: Refund) -> Result<Applied<Payment>>;

    /// One payment, whoever made it.
    async fn find(&self, id: PaymentId) -> Result<Option<Payment>>;

    /// A payment with what a refund depends on.
    async fn refund_case(&self, id: PaymentId) -> Result<Option<Seen<RefundCase>>>;

    /// The payments of a user, newest first. The cursor's key is `paid_at` in milliseconds.
    async fn list(&self, user: UserId, page: PageRequest) -> Result<Page<Payment>>;
}
