use std::time::Duration;

use async_trait::async_trait;

use super::{ChargeIntent, Charged, LedgerLine, OpenCharge};
use crate::event::Origin;
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
/// * An intent that was given up MUST never be settled as approved: the gateway is told to give its
///   money back.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait PointStore: Send + Sync {
    /// The balance; zero for a user who never charged.
    async fn balance(&self, user: UserId) -> Result<Won>;

    /// The ledger of a user, newest first. The cursor's key is the line's sequence.
    async fn history(&self, user: UserId, page: PageRequest) -> Result<Page<LedgerLine>>;

    /// Records an intent: `PointLimitExceeded`; `IdempotencyKeyReused`; `IdempotencyInProgress` if
    /// the intent of an earlier request with the same claim was given up and is not settled yet.
    async fn open_charge(
        &self,
        intent: ChargeIntent,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Opened>;

    /// Settles a pending intent. Approved: adds the points and answers the charge; settled as
    /// approved before: answers that again. Declined, now or before: `PaymentDeclined`. Approved,
    /// but given up or declined before: `PaymentDeclined` too, and nothing is changed.
    async fn settle_charge(
        &self,
        intent: TransactionId,
        verdict: GatewayVerdict,
    ) -> Result<Applied<Charged>>;

    /// Gives a pending intent up. It stays open and keeps its room until it is settled as declined.
    /// Answers whether it is given up, now or before; `false`: it was settled.
    async fn give_up_charge(&self, intent: TransactionId) -> Result<bool>;

    /// Takes open intents that were neither opened nor taken within `age`, those that have waited
    /// longest first. Of any number of callers at once each MUST get others.
    async fn take_unsettled(&self, age: Duration, limit: u32) -> Result<Vec<OpenCharge>>;
}

/// Port: who takes real money.
///
/// * All three calls MUST treat intents of equal id as one: its money is taken at most once, and
///   what is decided about it stays so, but for `void`.
/// * All MUST end by a deadline of their own. `GatewayFailed` and `GatewayTimedOut` mean that the
///   outcome is unknown; asking again MUST be harmless.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Takes the money; `origin` is the request that it is taken for. Decided before: answers that
    /// again. An intent that was voided MUST be declined.
    async fn charge(&self, intent: &ChargeIntent, origin: &Origin) -> Result<GatewayVerdict>;

    /// What is decided about an intent, without causing anything. `None`: it never arrived, or is
    /// not decided yet; it may still arrive.
    async fn outcome(&self, intent: &ChargeIntent) -> Result<Option<GatewayVerdict>>;

    /// Lets an intent go. After `Ok` its money is not taken, given back if it was, and MUST never be
    /// taken, also if the intent arrives only then. Letting go again is `Ok`.
    async fn void(&self, intent: &ChargeIntent) -> Result<()>;
}
