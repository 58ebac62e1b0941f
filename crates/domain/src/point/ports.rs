use std::time::Duration;

use async_trait::async_trait;

use super::{ChargeIntent, Charged, LedgerLine};
use crate::{Applied, IdempotencyClaim, Page, PageRequest, Result, TransactionId, UserId, Won};

/// What came of recording an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The intent to take to the gateway: the new one, or the one that an earlier request with
    /// the same claim recorded and that is not settled yet.
    Pending(ChargeIntent),
    /// An earlier request with the same claim was charged.
    Replayed(Charged),
}

/// What the gateway knows of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayVerdict {
    /// The money was taken.
    Approved,
    /// The money was not and will not be taken.
    Declined,
}

/// Port: balances, their ledger and the charges under way.
///
/// * The balance MUST equal the sum of the ledger lines and MUST never be negative.
/// * Balance plus pending intents MUST never exceed [`MAX_BALANCE`](super::MAX_BALANCE): an open
///   intent keeps its room free, so an approved charge always fits.
/// * Of any number of concurrent changes of one balance none MUST be lost.
/// * An intent MUST be settled at most once; with a claim, the answer is kept in the transaction
///   that settles it as approved.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait PointStore: Send + Sync {
    /// The balance; zero for a user who never charged.
    async fn balance(&self, user: UserId) -> Result<Won>;

    /// The ledger of a user, newest first. The cursor's key is the line's sequence.
    async fn history(&self, user: UserId, page: PageRequest) -> Result<Page<LedgerLine>>;

    /// Records an intent: `PointLimitExceeded`; `IdempotencyKeyReused`.
    async fn open_charge(
        &self,
        intent: ChargeIntent,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Opened>;

    /// Settles a pending intent. Approved: adds the points and answers the charge; settled as
    /// approved before: answers that again. Declined, now or before: `PaymentDeclined`.
    async fn settle_charge(
        &self,
        intent: TransactionId,
        verdict: GatewayVerdict,
    ) -> Result<Applied<Charged>>;

    /// Pending intents that were opened longer ago than `age`, the oldest first.
    async fn unsettled(&self, age: Duration, limit: u32) -> Result<Vec<ChargeIntent>>;
}

/// Port: who takes real money.
///
/// * `charge` MUST treat intents of equal id as one: it takes the money at most once and answers
///   every repetition alike.
/// * Both calls MUST end by a deadline of their own.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Takes the money. `GatewayFailed` and `GatewayTimedOut` mean that the outcome is unknown.
    async fn charge(&self, intent: &ChargeIntent) -> Result<GatewayVerdict>;

    /// What became of an intent, without causing anything. An intent that never arrived is
    /// declined, and MUST stay so.
    async fn outcome(&self, intent: &ChargeIntent) -> Result<GatewayVerdict>;
}
