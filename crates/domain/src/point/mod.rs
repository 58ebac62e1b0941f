//! Points: the money inside the service, and its ledger.

mod detail;
mod ports;
mod service;

pub use detail::PaymentDetail;
pub use ports::*;
pub use service::{ChargeRequest, PointService, Reconciled};

use serde::{Deserialize, Serialize};

use crate::{PaymentId, Timestamp, TransactionId, UserId, Won};

/// The smallest charge.
pub const MIN_CHARGE: Won = Won::of(100);
/// What a balance never exceeds, charges under way included.
pub const MAX_BALANCE: Won = Won::of(1_000_000);

/// How the points are bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentMethod {
    /// By card.
    Card,
    /// By bank transfer.
    Transfer,
}

/// A charge that was asked for and recorded before the gateway hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeIntent {
    /// Its id: the gateway's idempotency key, and the id of the ledger line to come.
    pub id: TransactionId,
    /// Whose points.
    pub user_id: UserId,
    /// How many.
    pub amount: Won,
    /// How they are bought.
    pub method: PaymentMethod,
    /// The gateway's token for the means of payment.
    pub detail: Option<PaymentDetail>,
}

/// A charge that was opened and is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCharge {
    /// The charge.
    pub intent: ChargeIntent,
    /// Whether it was given up: it can only be declined, once the gateway has let it go.
    pub given_up: bool,
}

/// What a charge did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// The ledger line.
    pub transaction_id: TransactionId,
    /// Whose points.
    pub user_id: UserId,
    /// How many were added.
    pub amount: Won,
    /// The balance afterwards.
    pub balance: Won,
    /// When.
    pub charged_at: Timestamp,
}

/// Why a balance changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EntryKind {
    /// Points were bought.
    Charge,
    /// A reservation was paid.
    Use,
    /// A payment was refunded.
    Refund,
}

impl EntryKind {
    /// The amount with the sign that it has in the ledger: USE takes away.
    pub fn signed(self, amount: Won) -> i64 {
        match self {
            Self::Charge | Self::Refund => amount.get(),
            Self::Use => -amount.get(),
        }
    }
}

/// A line of a user's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLine {
    /// Its id.
    pub transaction_id: TransactionId,
    /// Its place in the user's ledger, from 1 without gaps.
    pub sequence: i64,
    /// Why the balance changed.
    pub kind: EntryKind,
    /// By how much, signed: the lines sum to the balance.
    pub amount: i64,
    /// The balance afterwards.
    pub balance_after: Won,
    /// When.
    pub created_at: Timestamp,
    /// The payment that was made or refunded.
    pub payment_id: Option<PaymentId>,
}
