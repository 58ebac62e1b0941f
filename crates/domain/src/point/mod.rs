//! Points: the money inside the service, and its ledger.

mod ports;
mod service;

pub use ports::*;
pub use service::{ChargeRequest, PointService};

use serde::{Deserialize, Serialize};

use crate::{Error, PaymentId, Result, Timestamp, TransactionId, UserId, Won};

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

/// The gateway's token for the means of payment, at most 200 visible ASCII characters. Never a
/// card number: a text with 12 or more digits in a row (spaces and dashes apart) is refused, so
/// that none is ever stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentDetail(String);

impl PaymentDetail {
    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PaymentDetail {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let refuse = |message: &str| Err(Error::invalid("paymentDetail", message));
        if text.is_empty() || text.len() > 200 || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return refuse("must be 1 to 200 printable ASCII characters");
        }
        if looks_like_a_card_number(&text) {
            return refuse("must be the gateway's token, never a card number");
        }
        Ok(Self(text))
    }
}

fn looks_like_a_card_number(text: &str) -> bool {
    let mut run = 0;
    text.bytes().filter(|b| !matches!(b, b' ' | b'-')).any(|b| {
        run = if b.is_ascii_digit() { run + 1 } else { 0 };
        run >= 12
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_never_taken_for_a_token() {
        for bad in ["4111111111111111", "4111 1111 1111 1111", "x-4111-1111-1111-y", ""] {
            assert!(PaymentDetail::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(PaymentDetail::try_from("tok_1Nabc234".to_owned()).is_ok());
    }
}
