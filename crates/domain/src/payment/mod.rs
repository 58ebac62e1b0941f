//! Paying for a hold with points, and giving the money back.

mod ports;
mod service;

pub use ports::*;
pub use service::{PayRequest, PaymentService, RefundRequest};

use serde::{Deserialize, Serialize};

use crate::{PaymentId, ReservationId, Timestamp, UserId, Won};

/// What became of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentStatus {
    /// Paid; the seat is sold.
    Completed,
    /// The money was given back and the seat is free.
    Refunded,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// What was paid for.
    pub reservation_id: ReservationId,
    /// Who paid.
    pub user_id: UserId,
    /// The price of the hold.
    pub amount: Won,
    /// What became of it.
    pub status: PaymentStatus,
    /// When it was paid.
    pub paid_at: Timestamp,
    /// When the money was given back.
    pub refunded_at: Option<Timestamp>,
}
