//! The bodies of the protocol (`docs/GATEWAY.md`).

use concert_domain::point::{ChargeIntent, PaymentMethod};
use serde::{Deserialize, Serialize};

/// What is to be charged.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChargeBody<'a> {
    key: &'a str,
    user_id: i64,
    amount: i64,
    currency: &'static str,
    method: PaymentMethod,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl<'a> ChargeBody<'a> {
    pub(crate) fn of(intent: &'a ChargeIntent, key: &'a str) -> Self {
        Self {
            key,
            user_id: intent.user_id.get(),
            amount: intent.amount.get(),
            currency: "KRW",
            method: intent.method,
            detail: intent.detail.as_ref().map(|detail| detail.as_str()),
        }
    }
}

/// What the bridge says of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    /// The money is taken.
    Approved,
    /// It was not and will not be.
    Declined,
    /// It was not, or was given back, and will not be, because it was asked for.
    Voided,
    /// It is not decided yet.
    Pending,
    /// The bridge has never heard of it.
    Unknown,
}

/// An answer. Members that are not known are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub key: String,
    pub status: Status,
    pub amount: Option<i64>,
}

impl Answer {
    /// Whether it is about this charge: what a wrong cache or a mixed-up bridge says is none.
    pub(crate) fn is_about(&self, intent: &ChargeIntent, key: &str) -> bool {
        let same_amount = self.amount == Some(intent.amount.get());
        self.key == key && (self.status != Status::Approved || same_amount)
    }
}
